"""A sandbox in a process of its own: its faults, its log, and its rows read from the database file."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import urllib.request
from collections import defaultdict
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "sandbox-token"  # noqa: S105  of a server on loopback
BIN = Path(sys.executable).parent


class Crm:
    """One served sandbox."""

    def __init__(self, origin: str, database: Path) -> None:
        self.origin = origin
        self.url = f"{origin}/api"
        self.database = database

    def control(self, method: str, path: str, payload: object = None) -> Any:  # noqa: ANN401  any JSON
        """Send a request to the control plane."""
        data = None if payload is None else json.dumps(payload).encode()
        request = urllib.request.Request(  # noqa: S310  loopback
            self.origin + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310  the same
            content = answer.read()
        return json.loads(content) if content else None

    def faults(self, *rules: dict[str, Any], seed: int = 0) -> None:
        """Replace all rules."""
        self.control("PUT", "/__control/faults", {"seed": seed, "faults": list(rules)})

    def rules(self) -> list[dict[str, Any]]:
        """The rules, with how often each acted."""
        told = self.control("GET", "/__control/faults")
        rules: list[dict[str, Any]] = told["faults"] if isinstance(told, dict) else told
        return rules

    def fired(self) -> int:
        """How often a rule acted."""
        return sum(rule["fired"] for rule in self.rules())

    def mutate(self, **script: object) -> Any:  # noqa: ANN401  any JSON
        """Change the CRM as a person would."""
        return self.control("POST", "/__control/mutate", script)

    def requests(self) -> dict[str, int]:
        """Requests by operation since the log was emptied."""
        counted: dict[str, int] = self.control("GET", "/__log/counts")["operations"]
        return counted

    def rows(self, resource: str = "contacts", *, trashed: bool = False) -> dict[int, dict[str, Any]]:
        """What stands in the file, by id; the trash only on request."""
        with closing(sqlite3.connect(self.database, timeout=60)) as connection:
            connection.row_factory = sqlite3.Row
            where = "" if trashed else "WHERE deleted_at IS NULL"
            return {
                row["id"]: dict(row)
                for row in connection.execute(f"SELECT * FROM {resource} {where}")  # noqa: S608  our own words
            }

    def by_address(self, *, trashed: bool = False) -> dict[str, list[dict[str, Any]]]:
        """Contacts by e-mail in small letters: more than one in a list is a double."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows(trashed=trashed).values():
            if row["email"]:
                found[row["email"].lower()].append(row)
        return found


@contextmanager
def sandbox(folder: Path, contacts: int, *, app_version: str = "1.7", **switches: object) -> Iterator[Crm]:
    """Serve a sandbox as long as the block lasts."""
    database = folder / "crm.sqlite3"
    command = [BIN / "appcrm-sandbox", "serve", "--port", 0, "--database", database, "--contacts", contacts]
    command += ["--token", TOKEN, "--app-version", app_version]
    for name, value in switches.items():
        command += [f"--{name.replace('_', '-')}", value]
    with (folder / "sandbox.log").open("w+") as log:
        process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None  # noqa: S101  as was asked for
        told = process.stderr.readline()
        if "serving " not in told:
            raise RuntimeError(f"the sandbox did not start: {told}")
        log.write(told)
        try:
            yield Crm(told.split("serving ", 1)[1].split("/api", 1)[0], database)
        finally:
            process.terminate()
            process.communicate(timeout=60)
