"""The CRM of the demo: `appcrm-sandbox serve` on a free port, and what people do in it by hand."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from servers import Server

_ADDRESS = re.compile(r"serving (http://\S+)/api")
_START_SECONDS = 60
_REQUEST_SECONDS = 30


class CrmError(RuntimeError):
    """The CRM did not start."""


class Crm:
    """A sandbox without contacts, its data and log below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.token = secrets.token_hex(16)
        self.api_url = ""
        self._folder = folder
        self._server: Server | None = None

    def start(self) -> None:
        """Serve an empty CRM; raises CrmError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        database = self._folder / "crm.sqlite3"
        for leftover in self._folder.glob("crm.sqlite3*"):
            leftover.unlink()
        command = [str(Path(sys.executable).parent / "appcrm-sandbox"), "serve", "--port", "0"]
        command += ["--database", str(database), "--contacts", "0", "--token", self.token]
        self._server = Server(command, self._folder / "sandbox.log")
        deadline = time.monotonic() + _START_SECONDS
        while self._server.running and time.monotonic() < deadline:
            if address := _ADDRESS.search(self._server.output):
                self.api_url = f"{address[1]}/api"
                return
            time.sleep(0.05)
        raise CrmError(f"The sandbox did not start: {self._server.output[-2000:]}")

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._server:
            self._server.stop()

    def requests(self) -> int:
        """Requests that it has answered, by its own log."""
        return int(self._call("GET", f"{self._origin}/__log/counts")["total"])

    def advance_clock(self, seconds: int) -> None:
        """Let time pass in the CRM."""
        self._call("POST", f"{self._origin}/__control/clock", {"advance_seconds": seconds})

    def users(self) -> dict[int, str]:
        """Who may log in: e-mail address by id."""
        users = self._call("GET", f"{self.api_url}/users?per_page=100")["data"]
        return {user["id"]: user["email"] for user in users}

    def create_company(self, name: str) -> None:
        """A company without contacts."""
        self._call("POST", f"{self.api_url}/companies", {"name": name})

    def create_deal(self, name: str, email: str) -> None:
        """A deal in the first stage, for one contact."""
        deal = self._call("POST", f"{self.api_url}/deals", {"name": name, "stage_id": 1})
        address = f"{self.api_url}/associations/contacts/{self._find(email)['id']}"
        self._call("PUT", address, {"deals": [deal["id"]]})

    def edit(self, email: str, **fields: str) -> None:
        """Change one contact, as someone at the CRM's screen does."""
        contact = self._find(email)
        body = {"first_name": contact["first_name"], **fields}
        self._call("PUT", f"{self.api_url}/contacts/{contact['id']}", body)

    def _find(self, email: str) -> dict[str, Any]:
        query = urllib.parse.urlencode({"q": email, "search_fields": "email:="})
        [contact] = self._call("GET", f"{self.api_url}/contacts/search?{query}")
        return contact  # type: ignore[no-any-return]  # JSON

    def contacts(self) -> list[dict[str, Any]]:
        """Every contact as the API shows it one by one, associations and all, with its owner's address."""
        ids: list[int] = []
        page: dict[str, Any] = {"data": [{}]}
        number = 0
        while page["data"]:
            number += 1
            page = self._call("GET", f"{self.api_url}/contacts?order=id&per_page=100&page={number}")
            ids += [row["id"] for row in page["data"]]
        users = self.users()
        contacts = [self._call("GET", f"{self.api_url}/contacts/{contact_id}") for contact_id in ids]
        return [{**contact, "owner_email": users.get(contact["user_id"])} for contact in contacts]

    @property
    def _origin(self) -> str:
        return self.api_url.removesuffix("/api")

    def _call(self, method: str, url: str, body: Any = None) -> Any:  # noqa: ANN401  any JSON value
        request = urllib.request.Request(url, method=method)  # noqa: S310  the sandbox's own address
        request.add_header("Accept", "application/json")
        request.add_header("Authorization", f"Bearer {self.token}")
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=_REQUEST_SECONDS) as answer:  # noqa: S310  the same
            return json.load(answer)
