"""How fast this machine can post Singer records to the API at a number of requests in flight.

``raw``: asyncio streams, HTTP written by hand. ``threads``: a requests session shared by threads, which is what the
HTTP library of the product costs by itself. Neither looks anything up, keeps an order, retries or checks.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = {"Authorization": "Bearer token", "Accept": "application/json", "Content-Type": "application/json"}
address, kind, in_flight = sys.argv[1], sys.argv[2], int(sys.argv[3])


def bodies() -> Iterator[bytes]:
    """Yield what is to be posted."""
    for line in sys.stdin.buffer:
        message = orjson.loads(line)
        if message["type"] == "RECORD":
            yield orjson.dumps(message["record"])


def check(status: int, body: bytes) -> None:
    """End the run if a contact was not created."""
    if status != 201 or "id" not in orjson.loads(body):
        raise SystemExit(f"status {status}")


async def raw() -> None:
    """Post over sockets of one's own."""
    where = urlsplit(address)
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    head = (
        f"POST {where.path}/contacts HTTP/1.1\r\nHost: {where.hostname}\r\n{fields}Content-Length: ".encode()
    )
    waiting = bodies()

    async def lane() -> None:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        for body in waiting:
            writer.write(b"%s%d\r\n\r\n%s" % (head, len(body), body))
            received = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = received.partition(b"content-length:")[2].partition(b"\r\n")[0]
            check(int(received[9:12]), await reader.readexactly(int(length)))

    await asyncio.gather(*(lane() for _ in range(in_flight)))


def with_threads() -> None:
    """Post from threads that share a requests session."""
    import requests  # noqa: PLC0415  the raw limit must not pay for it
    from requests.adapters import HTTPAdapter  # noqa: PLC0415  the same

    session = requests.Session()
    session.headers.update(HEADERS)
    session.mount("http://", HTTPAdapter(pool_maxsize=in_flight))
    waiting, lock = bodies(), threading.Lock()

    def lane() -> None:
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                return
            response = session.post(f"{address}/contacts", data=body, timeout=60)
            check(response.status_code, response.content)

    threads = [threading.Thread(target=lane) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if kind == "raw":
    import uvloop

    uvloop.run(raw())
else:
    with_threads()
