"""How fast this machine can move contacts from the API to standard output at a number of requests in flight.

``raw``: asyncio streams, HTTP written by hand, rows spliced into messages without being decoded.
``aiohttp``: a client library, rows decoded and encoded by orjson. Neither keeps an order, retries or checks anything.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import orjson
import uvloop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BEGIN = b'{"type":"RECORD","stream":"contacts","record":'
HEADERS = {"Authorization": "Bearer token", "Accept": "application/json"}
address, kind, in_flight = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Spliced(msgspec.Struct):
    """A page whose rows stay as they came."""

    data: list[msgspec.Raw]
    meta: dict[str, Any]


DECODER = msgspec.json.Decoder(Spliced)


def splice(body: bytes) -> int:
    """Write the rows of a page without decoding them; return the last page's number."""
    page = DECODER.decode(body)
    sys.stdout.buffer.write(b"".join(part for row in page.data for part in (BEGIN, row, b"}\n")))
    return int(page.meta["last_page"])


def recode(body: bytes) -> int:
    """Decode and write the rows of a page; return the last page's number."""
    page = orjson.loads(body)
    lines = (orjson.dumps({"type": "RECORD", "stream": "contacts", "record": row}) for row in page["data"])
    sys.stdout.buffer.write(b"\n".join(lines) + b"\n")
    return int(page["meta"]["last_page"])


async def read_all(get: Callable[[int, int], Awaitable[bytes]], write: Callable[[bytes], int]) -> None:
    """Read every page with so many requests in flight."""
    last = write(await get(0, 1))
    numbers = iter(range(2, last + 1))

    async def lane(own: int) -> None:
        for number in numbers:
            write(await get(own, number))

    await asyncio.gather(*(lane(own) for own in range(in_flight)))


async def raw() -> None:
    """Read over sockets of one's own."""
    where = urlsplit(address)
    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    lanes: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def get(own: int, number: int) -> bytes:
        if own not in lanes:
            lanes[own] = await asyncio.open_connection(where.hostname, where.port, limit=2**20)
        reader, writer = lanes[own]
        target = f"{where.path}/contacts?order=id&per_page=100&page={number}"
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {where.hostname}\r\n{head}\r\n".encode())
        received = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = received.partition(b"content-length:")[2].partition(b"\r\n")[0]
        return await reader.readexactly(int(length))

    await read_all(get, splice)


async def with_aiohttp() -> None:
    """Read with aiohttp."""
    import aiohttp  # noqa: PLC0415  the raw limit must not pay for it

    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:

        async def get(_: int, number: int) -> bytes:
            url = f"{address}/contacts?order=id&per_page=100&page={number}"
            async with session.get(url) as response:
                return await response.read()

        await read_all(get, recode)


uvloop.run({"raw": raw, "aiohttp": with_aiohttp}[kind]())
sys.stdout.flush()
