"""Requests read and replies sent, whole or cut off as a fault says."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.replies import Reply

if TYPE_CHECKING:
    from appcrm_sandbox.faults import Effects

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# The ASGI extension by which the server lets a request reset its connection.
ABORT = "appcrm_sandbox.abort"
HTML = (
    "<!DOCTYPE html><html><head><title>Server Error</title></head>"
    "<body><h1>500 | Server Error</h1></body></html>"
)
_MESSAGES = {
    401: "Unauthenticated.",
    403: "Esta ação não é autorizada.",
    404: "Registro não encontrado.",
    409: "Conflito.",
    419: "CSRF token mismatch.",
    422: "Os dados fornecidos são inválidos.",
    429: "Too Many Attempts.",
    503: "Service Unavailable",
}
_LARGEST_BODY = 10 * 1024 * 1024
_BODILESS = (204, 304)
# Long enough for half a body to leave before its connection goes.
_HALF_SENT_SECONDS = 0.05


class Dropped(Exception):
    """The connection is reset instead of answered."""


def failure(effects: Effects) -> Reply:
    """The answer that a fault gives instead of the API's."""
    status, body = effects.get("status"), effects.get("body")
    headers = _failure_headers(effects)
    if body == "empty" or status in _BODILESS:
        return Reply(status, b"", headers)
    if body == "html":
        return Reply(status, HTML.encode(), {"Content-Type": "text/html; charset=UTF-8", **headers})
    if isinstance(body, str):
        return Reply(status, body.encode(), {"Content-Type": "text/plain; charset=UTF-8", **headers})
    if body is None:
        body = {"message": _MESSAGES.get(status, "Server Error")}
    return Reply.json(status, body, headers)


def _failure_headers(effects: Effects) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after = effects.get("retry_after")
    if retry_after is not None:
        headers["Retry-After"] = retry_after
    if effects.get("status") == 429:
        headers["X-RateLimit-Remaining"] = "0"
        if str(retry_after).isdigit():
            headers["X-RateLimit-Reset"] = str(math.ceil(time.time()) + int(retry_after))
    return headers | (effects.get("headers") or {})


async def read(receive: Receive) -> bytes:
    """The whole body of a request; what is beyond ten megabytes is dropped. Dropped when the client left."""
    pieces = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Dropped
        piece = message.get("body", b"")
        size += len(piece)
        if size <= _LARGEST_BODY:
            pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)


async def send_reply(send: Send, scope: Scope, reply: Reply, cut: str | None) -> None:
    """Send a reply, cut as asked: `body` (half of it, well framed), `malformed`, or `connection`."""
    body = reply.body
    if cut == "body":
        body = body[: len(body) // 2]
    elif cut == "malformed":
        body += b'{"'
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()
    ]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if cut == "connection":
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await asyncio.sleep(_HALF_SENT_SECONDS)
        abort(scope)
        return
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def abort(scope: Scope) -> None:
    """Reset the connection of a request."""
    reset = scope.get("extensions", {}).get(ABORT)
    if reset is not None:
        with contextlib.suppress(OSError):
            reset()
