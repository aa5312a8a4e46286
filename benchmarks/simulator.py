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
import math
import re
import sys
import time
from collections import Counter
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson
import uvloop
from simulated_contacts import Contacts

REASONS: Final = {
    200: b"200 OK",
    201: b"201 Created",
    204: b"204 No Content",
    401: b"401 Unauthorized",
    403: b"403 Forbidden",
    404: b"404 Not Found",
    422: b"422 Unprocessable Content",
    429: b"429 Too Many Requests",
}
WINDOW_SECONDS: Final = 60
APP_VERSION: Final = b"1.7.0"
CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


class Api:
    """Answers requests and counts them."""

    def __init__(self, contacts: Contacts, latency_seconds: float, rate_limit: int | None) -> None:
        self.contacts = contacts
        self.latency_seconds = latency_seconds
        self.rate_limit = rate_limit
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.calls: Counter[str] = Counter()
        self.most_in_flight = 0
        self.connections = 0
        self.window_begins = float("-inf")
        self.in_window = 0
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

    def admit(self) -> tuple[bool, bytes]:
        """Count a request against the limit; return whether it may pass, and the headers that tell of the limit."""
        if self.rate_limit is None:
            return True, b"X-RateLimit-Limit: 1000000\r\nX-RateLimit-Remaining: 999999\r\n"
        now = time.monotonic()
        if now - self.window_begins >= WINDOW_SECONDS:
            self.window_begins, self.in_window = now, 0
        self.in_window += 1
        told = b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\n" % (
            self.rate_limit,
            max(0, self.rate_limit - self.in_window),
        )
        if self.in_window <= self.rate_limit:
            return True, told
        self.calls["refused by the limit"] += 1
        left = math.ceil(self.window_begins + WINDOW_SECONDS - now)
        return False, told + b"Retry-After: %d\r\nX-RateLimit-Reset: %d\r\n" % (left, time.time() + left)

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
            if not fields.startswith(("email:=", "email:like", "id:")):  # 1.7 takes `in` on ids alone
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
        if b"Bearer " not in head:
            whole = response(401, b'{"message":"Unauthenticated."}')
        else:
            passes, limit = api.admit()
            status, content = (
                api.answer(method, parts.path, query, body)
                if passes
                else (429, b'{"message":"Too Many Attempts."}')
            )
            whole = response(status, content, limit)
        if api.latency_seconds:
            self._loop.call_later(api.latency_seconds, self._send, whole)
        else:
            self._send(whole)

    def _send(self, whole: bytes) -> None:
        self._api.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(whole)


def response(status: int, body: bytes, limit: bytes = b"") -> bytes:
    """Put the headers before a body that AppCRM sends."""
    return (
        b"HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: application/json\r\nX-App-Version: %s\r\n%sContent-Length: %d\r\n\r\n%s"
        % (
            REASONS[status],
            email.utils.formatdate(usegmt=True).encode(),
            APP_VERSION,
            limit,
            len(body),
            body,
        )
    )


async def serve(port: int, contacts: int, latency_ms: float, rate_limit: int | None) -> None:
    """Serve until ended."""
    api = Api(Contacts(contacts, f"http://127.0.0.1:{port}/api/contacts"), latency_ms / 1000, rate_limit)
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
    parser.add_argument(
        "--rate-limit", type=int, help="requests a minute, in windows that begin with a request"
    )
    given = parser.parse_args()
    uvloop.run(serve(given.port, given.contacts, given.latency_ms, given.rate_limit))
