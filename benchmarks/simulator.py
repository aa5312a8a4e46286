"""AppCRM's contacts API, made to cost next to nothing, so that what is measured is the client.

Everything is in memory and pages are rendered once. It keeps the semantics that decide how many requests a
client needs (order, pages, look-ups by ``=`` and ``in``, refusal of taken e-mails) and leaves out the rest,
which ``appcrm-sandbox`` has. Beside the API, without latency and uncounted:

``GET /_bench/stats``: requests by call, most requests in flight, connections, CPU seconds.
``GET /_bench/reset``: forget what was counted and written.
``GET /_bench/touch?count=K``: K contacts, spread evenly, get a new ``updated_at`` and job title.
"""

from __future__ import annotations

import argparse
import asyncio
import email.utils
import re
import sys
import time
from collections import Counter
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson
import uvloop
from people import associations_of, email_of, moment, php, row_of, stamp_of

MAX_PAGE_SIZE: Final = 100
REASONS: Final = {
    200: b"200 OK",
    201: b"201 Created",
    204: b"204 No Content",
    401: b"401 Unauthorized",
    403: b"403 Forbidden",
    404: b"404 Not Found",
    422: b"422 Unprocessable Content",
}
CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
RELATIONS: Final = ("companies", "deals")


class Contacts:
    """All contacts as rendered rows, with the orders and pages that were asked for."""

    def __init__(self, count: int, base: str) -> None:
        self._count = count
        self._base = base
        self._initial = {number: row_of(number) for number in range(1, count + 1)}
        self._initial_emails = {email_of(number): number for number in self._initial}
        self.is_changed = True
        self.reset()

    def reset(self) -> None:
        """Go back to the contacts of the beginning."""
        if not self.is_changed:
            return
        self.rows = dict(self._initial)
        self.stamps = {number: stamp_of(number) for number in self.rows}
        self.emails = dict(self._initial_emails)
        self.relations: dict[int, dict[str, list[int]]] = {}
        self.next_id = self._count + 1
        self.created = 0
        self._forget_pages()
        self.is_changed = False

    def _forget_pages(self) -> None:
        self.is_changed = True
        self._orders: dict[str, list[int]] = {}
        self._pages: dict[tuple[object, ...], bytes] = {}

    def full(self, contact_id: int) -> bytes:
        """Return a contact with its associations, as Retrieve shows it."""
        own = self.relations.get(contact_id)
        companies, deals = associations_of(contact_id) if own is None else (own["companies"], own["deals"])
        tail = b',"companies":%s,"deals":%s}' % (orjson.dumps(companies), orjson.dumps(deals))
        return self.rows[contact_id][:-1] + tail

    def page(self, query: dict[str, str]) -> bytes:
        """Return one page of a list."""
        order = query.get("order", "first_name")
        per_page = min(MAX_PAGE_SIZE, max(1, int(query.get("per_page", 15))))
        number = max(1, int(query.get("page", 1)))
        select, include = query.get("select", ""), query.get("with", "")
        if query.get("q"):
            return self._render(self.found(query), number, per_page, select, include)
        key = (order, per_page, number, select, include)
        if key not in self._pages:
            self._pages[key] = self._render(self._ordered(order), number, per_page, select, include)
        return self._pages[key]

    def _ordered(self, order: str) -> list[int]:
        if order not in self._orders:
            field, _, direction = order.partition("|")
            ids = (
                sorted(self.rows, key=self.stamps.__getitem__) if field == "updated_at" else sorted(self.rows)
            )
            self._orders[order] = ids[::-1] if direction == "desc" else ids
        return self._orders[order]

    def _render(self, ids: list[int], number: int, per_page: int, select: str, include: str) -> bytes:
        first, total = (number - 1) * per_page, len(ids)
        rows = self.shown(ids[first : first + per_page], select, include)
        last = max(1, -(-total // per_page))

        def link(page: int | None) -> str | None:
            return None if page is None else f"{self._base}?per_page={per_page}&page={page}"

        tail = php(
            {
                "links": {
                    "first": link(1),
                    "last": link(last),
                    "prev": link(number - 1 if number > 1 else None),
                    "next": link(number + 1 if number < last else None),
                },
                "meta": {
                    "current_page": number,
                    "from": first + 1 if rows else None,
                    "last_page": last,
                    "path": self._base,
                    "per_page": per_page,
                    "to": first + len(rows) if rows else None,
                    "total": total,
                },
            }
        )
        return b'{"data":[' + b",".join(rows) + b"]," + tail[1:].encode()

    def shown(self, ids: list[int], select: str, include: str) -> list[bytes]:
        """Return rows with the fields and relations that were asked for."""
        rows = [self.full(i) for i in ids] if include else [self.rows[i] for i in ids]
        if not select:
            return rows
        names = set(select.split(";"))
        return [orjson.dumps({k: v for k, v in orjson.loads(row).items() if k in names}) for row in rows]

    def found(self, query: dict[str, str]) -> list[int]:
        """Return the ids that a search by e-mail or id finds, one value or several with commas."""
        values = [value.strip().lower() for value in query.get("q", "").split(",")]
        if query.get("search_fields", "").startswith("id"):
            return [int(value) for value in values if value.isdigit() and int(value) in self.rows]
        return sorted({self.emails[value] for value in values if value in self.emails})

    def create(self, fields: dict[str, Any]) -> tuple[int, bytes]:
        """Create a contact; return a status and a body."""
        address = (fields.get("email") or "").lower()
        if not fields.get("first_name"):
            return 422, b'{"message":"Invalid.","errors":{"first_name":["required"]}}'
        if address in self.emails:
            return 422, b'{"message":"Invalid.","errors":{"email":["taken"]}}'
        contact_id = self.next_id
        self.next_id += 1
        self.created += 1
        self.stamps[contact_id] = int(time.time())
        if address:
            self.emails[address] = contact_id
        self.relations[contact_id] = {name: fields.pop(name, []) for name in RELATIONS}
        self._keep(contact_id, {"id": contact_id, **fields, "created_at": moment(self.stamps[contact_id])})
        return 201, self.full(contact_id)

    def update(self, contact_id: int, fields: dict[str, Any]) -> tuple[int, bytes]:
        """Update a contact; return a status and a body."""
        kept = {name: fields.pop(name) for name in RELATIONS if name in fields}
        if kept:
            self.associate(contact_id, kept)
        self.stamps[contact_id] = int(time.time())
        self._keep(contact_id, orjson.loads(self.rows[contact_id]) | fields)
        return 200, self.full(contact_id)

    def associate(self, contact_id: int, given: dict[str, list[int]]) -> None:
        """Replace a contact's associations of the kinds that are given."""
        companies, deals = associations_of(contact_id)
        self.relations.setdefault(contact_id, {"companies": companies, "deals": deals}).update(given)
        self._forget_pages()

    def _keep(self, contact_id: int, contact: dict[str, Any]) -> None:
        contact["updated_at"] = moment(self.stamps[contact_id])
        self.rows[contact_id] = orjson.dumps(contact)
        if self._pages or self._orders:
            self._forget_pages()
        self.is_changed = True

    def delete(self, contact_id: int) -> None:
        """Delete a contact."""
        address = orjson.loads(self.rows.pop(contact_id)).get("email")
        self.emails.pop((address or "").lower(), None)
        self._forget_pages()

    def touch(self, count: int) -> None:
        """Change contacts, spread evenly over all, each a few seconds after the one before."""
        latest = max(self.stamps.values())
        ids = sorted(self.rows)
        for step in range(count):
            contact_id = ids[step * len(ids) // count]
            self.stamps[contact_id] = latest + 7 * (step + 1)
            contact = orjson.loads(self.rows[contact_id]) | {"job_title": f"Diretora {step}"}
            self._keep(contact_id, contact)


class Api:
    """Answers requests and counts them."""

    def __init__(self, contacts: Contacts, latency_seconds: float) -> None:
        self.contacts = contacts
        self.latency_seconds = latency_seconds
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.calls: Counter[str] = Counter()
        self.most_in_flight = 0
        self.connections = 0
        self.cpu_before = time.process_time()
        self.contacts.reset()

    def stats(self) -> bytes:
        """Return what was counted."""
        return orjson.dumps(
            {
                "calls": self.calls,
                "requests": self.calls.total(),
                "created": self.contacts.created,
                "contacts": len(self.contacts.rows),
                "most_in_flight": self.most_in_flight,
                "connections": self.connections,
                "cpu_seconds": time.process_time() - self.cpu_before,
            }
        )

    def control(self, path: str, query: dict[str, str]) -> bytes:
        """Answer a call of the benchmark's own."""
        if path == "/_bench/reset":
            self.reset()
        elif path == "/_bench/touch":
            self.contacts.touch(int(query["count"]))
        return self.stats()

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Answer a call of the API: status and body."""
        contacts = self.contacts
        if path == "/api/contacts" and method == "GET":
            self.calls["list"] += 1
            return 200, contacts.page(query)
        if path == "/api/contacts" and method == "POST":
            self.calls["create"] += 1
            return contacts.create(orjson.loads(body))
        if path == "/api/contacts/search" and method == "GET":
            self.calls["search"] += 1
            fields = query.get("search_fields", "email:=")
            if not fields.startswith(("email:", "id:")):
                return 403, b'{"message":"Unknown search field."}'
            rows = contacts.shown(contacts.found(query), query.get("select", ""), query.get("with", ""))
            return 200, b"[" + b",".join(rows) + b"]"
        collection, _, tail = path.rpartition("/")
        contact_id = int(tail) if tail.isdigit() else 0
        if contact_id not in contacts.rows:
            self.calls["not found"] += 1
            return 404, b'{"message":"Not found."}'
        if collection == "/api/associations/contacts":
            self.calls["associate"] += 1
            contacts.associate(contact_id, orjson.loads(body))
            return 200, contacts.full(contact_id)
        return self._one(method, contact_id, body)

    def _one(self, method: str, contact_id: int, body: bytes) -> tuple[int, bytes]:
        if method == "PUT":
            self.calls["update"] += 1
            return self.contacts.update(contact_id, orjson.loads(body))
        if method == "DELETE":
            self.calls["delete"] += 1
            self.contacts.delete(contact_id)
            return 204, b""
        self.calls["retrieve"] += 1
        return 200, self.contacts.full(contact_id)


class Connection(asyncio.Protocol):
    """One connection: HTTP/1.1 with keep-alive, as little of it as the clients use."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._held = b""
        self._loop = asyncio.get_running_loop()
        api.connections += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        held = self._held + data if self._held else data
        while (end := held.find(b"\r\n\r\n")) >= 0:
            head = held[:end]
            length = 0
            if not head.startswith(b"GET"):
                told = CONTENT_LENGTH.search(head)
                length = int(told[1]) if told else 0
            if len(held) < end + 4 + length:
                break
            body, held = held[end + 4 : end + 4 + length], held[end + 4 + length :]
            self._handle(head, body)
        self._held = held

    def _handle(self, head: bytes, body: bytes) -> None:
        method, target, _ = head[: head.find(b"\r\n")].decode().split(" ", 2)
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query)) if parts.query else {}
        api = self._api
        if parts.path.startswith("/_bench/"):
            self._transport.write(response(200, api.control(parts.path, query)))
            return
        api.in_flight += 1
        api.most_in_flight = max(api.most_in_flight, api.in_flight)
        if b"Bearer " in head:
            whole = response(*api.answer(method, parts.path, query, body))
        else:
            whole = response(401, b'{"message":"Unauthenticated."}')
        if api.latency_seconds:
            self._loop.call_later(api.latency_seconds, self._send, whole)
        else:
            self._send(whole)

    def _send(self, whole: bytes) -> None:
        self._api.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(whole)


def response(status: int, body: bytes) -> bytes:
    """Put the headers before a body that AppCRM sends."""
    return (
        b"HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: application/json\r\nX-RateLimit-Limit: 1000000\r\nX-RateLimit-Remaining: 999999\r\nContent-Length: %d\r\n\r\n%s"
        % (
            REASONS[status],
            email.utils.formatdate(usegmt=True).encode(),
            len(body),
            body,
        )
    )


async def serve(port: int, contacts: int, latency_ms: float) -> None:
    """Serve until ended."""
    api = Api(Contacts(contacts, f"http://127.0.0.1:{port}/api/contacts"), latency_ms / 1000)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(api), "127.0.0.1", port, backlog=512
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--latency-ms", type=float, default=0)
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.contacts, given.latency_ms))
