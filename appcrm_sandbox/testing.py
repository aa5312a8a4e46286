"""pytest fixtures: a real AppCRM sandbox on a free port, with its faults, its log and its rows.

Registered as a pytest plugin by the installed package:

    def test_my_pipeline(appcrm_sandbox):
        appcrm_sandbox.faults({"operation": "create", "nth": 1, "reset": "after_commit"})
        run_my_pipeline(appcrm_sandbox.url, appcrm_sandbox.token)
        assert appcrm_sandbox.counts()["operations"]["create"] == 1
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appcrm_sandbox.app_version import NEWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from appcrm_sandbox.values import Json

TOKEN = "sandbox-token"  # noqa: S105  the token of a server that listens on loopback for one test


class RunningSandbox:
    """One served sandbox: where it is, what was asked of it, and what it holds."""

    def __init__(self, origin: str, token: str, database: Path, stop: Callable[[], None]) -> None:
        self.origin = origin
        self.url = f"{origin}/api"
        self.token = token
        self.database = database
        self._stop = stop

    # Control

    def faults(self, *rules: dict[str, Any], seed: int | None = None) -> Json:
        """Add fault rules (docs/sandbox.md); returns all rules, with how often each met and fired."""
        document: dict[str, Any] = {"faults": list(rules)}
        if seed is not None:
            document["seed"] = seed
        return self.control("POST", "/__control/faults", document)

    def clear_faults(self) -> None:
        """Forget every fault rule."""
        self.control("DELETE", "/__control/faults")

    def mutate(self, **script: Json) -> Json:
        """Change the CRM behind the client's back, as docs/sandbox.md lists it: delete, touch, edit, merge, hide."""
        return self.control("POST", "/__control/mutate", script)

    def set_clock(self, now: str | None) -> None:
        """Stand still at an ISO timestamp, or follow the real clock again with None."""
        self.control("POST", "/__control/clock", {"now": now})

    def advance_clock(self, seconds: float) -> None:
        """Move the clock on, standing still or not."""
        self.control("POST", "/__control/clock", {"advance_seconds": seconds})

    def settings(self, **switches: Json) -> Json:
        """Change switches while it serves; returns all of them."""
        return self.control("POST", "/__control/settings", switches)

    def declare_field(
        self,
        name: str,
        kind: str,
        options: Sequence[str] = (),
        *,
        unique: bool = False,
        required: bool = False,
    ) -> None:
        """Declare one more custom field of contacts."""
        field = {"name": name, "type": kind, "options": list(options), "unique": unique, "required": required}
        self.control("POST", "/__control/fields", field)

    def change_user(self, user_id: int, **changes: Json) -> None:
        """Change or make a user: `sees={"contacts": "own"}`, `may_not={"contacts": ["delete"]}`, `api_access=False`."""
        self.control("POST", "/__control/users", {"id": user_id, **changes})

    def add_token(self, token: str, user_id: int) -> None:
        """Give a user one more token."""
        self.control("POST", "/__control/tokens", {"token": token, "user_id": user_id})

    def snapshot(self, path: Path) -> Path:
        """Copy the database, as it is now, to a file that can be served."""
        return Path(self.control("POST", "/__control/snapshot", {"path": str(path)})["path"])

    def restore(self, path: Path) -> None:
        """Go back to a snapshot: every row, user, token and field; switches, clock, faults and log stay."""
        self.control("POST", "/__control/restore", {"path": str(path)})

    # What happened

    def log(self, operation: str | None = None, since: int = 0) -> Json:
        """The requests since a number, oldest first, of one operation or of all."""
        query = f"?since={since}" + (f"&operation={operation}" if operation else "")
        return self.control("GET", f"/__log{query}")

    def counts(self) -> Json:
        """`total`, `operations`, `statuses`, `in_flight` and `max_in_flight`."""
        return self.control("GET", "/__log/counts")

    def reset_log(self) -> None:
        """Forget the requests so far."""
        self.control("DELETE", "/__log")

    # What it holds, read from the file and not from the API

    def contacts(self, *, trashed: bool = False) -> list[dict[str, Any]]:
        """Every contact's row by id, with its phones, tags and linked ids; the trash only on request."""
        return self._rows("" if trashed else "WHERE deleted_at IS NULL")

    def contact(self, contact_id: int) -> dict[str, Any] | None:
        """One contact's row, in the trash or not; None when there is none."""
        return next(iter(self._rows(f"WHERE id = {int(contact_id)}")), None)

    def find(self, email: str) -> dict[str, Any] | None:
        """The contact with an e-mail address, whatever its case, in the trash or not."""
        return next(
            (row for row in self.contacts(trashed=True) if (row["email"] or "").lower() == email.lower()),
            None,
        )

    def _rows(self, where: str) -> list[dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM contacts {where} ORDER BY id")]
            hung: dict[str, dict[int, list[Any]]] = {
                name: {} for name in ("phones", "tags", "companies", "deals", "activities", "notes", "calls")
            }
            for contact_id, number, kind in connection.execute(
                "SELECT contact_id, number, type FROM phones ORDER BY id"
            ):
                hung["phones"].setdefault(contact_id, []).append({"number": number, "type": kind})
            for contact_id, name in connection.execute(
                "SELECT contact_id, name FROM contact_tags JOIN tags ON tags.id = tag_id ORDER BY tags.id",
            ):
                hung["tags"].setdefault(contact_id, []).append(name)
            for contact_id, name, other in connection.execute(
                "SELECT contact_id, resource, other_id FROM contact_links ORDER BY other_id",
            ):
                hung[name].setdefault(contact_id, []).append(other)
        for row in rows:
            row |= {name: found.get(row["id"], []) for name, found in hung.items()}
        return rows

    # Running

    def control(self, method: str, path: str, payload: Json = None) -> Json:
        """One request to the control plane; ValueError with the sandbox's own words when it refuses."""
        body = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(self.origin + path, data=body, method=method)  # noqa: S310  http on loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(json.loads(error.read())["message"]) from None
        return json.loads(text) if text else None

    def stop(self) -> None:
        """End the server; the database file stays."""
        self._stop()


def start(
    database: Path,
    *,
    contacts: int = 25,
    seed: int = 1,
    token: str = TOKEN,
    custom_fields: Sequence[str] = (),
    app_version: str = NEWEST,
    **switches: Json,
) -> RunningSandbox:
    """Serve a sandbox on a free port from a thread of this process; an existing file is served as it is."""
    # The extra is needed where a sandbox is started, not where pytest merely loads this plugin.
    from appcrm_sandbox.background import serve_in_background  # noqa: PLC0415  see above

    switches |= {"token": token, "app_version": app_version}
    port, stop = serve_in_background(database, contacts, seed, custom_fields, switches)
    return RunningSandbox(f"http://127.0.0.1:{port}", token, database, stop)


@pytest.fixture
def appcrm_sandbox_factory(tmp_path: Path) -> Iterator[Callable[..., RunningSandbox]]:
    """`appcrm_sandbox_factory(contacts=25, seed=1, **switches)` starts a sandbox that ends with the test."""
    running: list[RunningSandbox] = []

    def make(database: Path | None = None, **given: Json) -> RunningSandbox:
        path = database or tmp_path / f"appcrm-sandbox-{len(running)}.sqlite3"
        running.append(start(path, **given))
        return running[-1]

    yield make
    for sandbox in running:
        sandbox.stop()


@pytest.fixture
def appcrm_sandbox(appcrm_sandbox_factory: Callable[..., RunningSandbox]) -> RunningSandbox:
    """A sandbox of 25 contacts on a free port: `.url` and `.token` to reach it, and all of RunningSandbox."""
    return appcrm_sandbox_factory()
