"""The way of one API request: log, origin, token, limiter, faults, handler, answer."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from appcrm_sandbox.api import Api, Call, Reply, Request, understand
from appcrm_sandbox.errors import ApiError
from appcrm_sandbox.faults import HTML, NONE, Effects, Faults
from appcrm_sandbox.limits import Limiter
from appcrm_sandbox.mutations import mutate
from appcrm_sandbox.requestlog import Entry, RequestLog
from appcrm_sandbox.settings import UNLIMITED, Settings
from appcrm_sandbox.writing import body_of

if TYPE_CHECKING:
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.validate import Body
    from appcrm_sandbox.values import Json

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/api"
# The ASGI extension by which the server lets a request reset its connection.
ABORT = "appcrm_sandbox.abort"
_LARGEST_BODY = 10 * 1024 * 1024


class Dropped(Exception):
    """The connection is reset instead of answered."""


class Sandbox:
    """Everything that one running sandbox holds."""

    def __init__(self, store: Store, settings: Settings, faults: Faults) -> None:
        self.store = store
        self.settings = settings
        self.faults = faults
        self.log = RequestLog()
        self.limiter = Limiter(time.monotonic, time.time)
        self.api = Api(store, settings)

    def mutate(self, script: Json) -> dict[str, Any]:
        """Change contacts behind the clients' backs."""
        return mutate(self.store, self.api.writer, script)


class Gateway:
    """The ASGI application under /api."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or cut it off where a fault says so."""
        sandbox = self._sandbox
        began = time.perf_counter()
        method, path = scope["method"], scope["path"].removeprefix(PREFIX)
        query = scope["query_string"].decode("latin-1")
        call = understand(method, path)
        entry = sandbox.log.begin(sandbox.store.clock.stamp(), method, path, query, _operation(call))
        effects = NONE
        status: int | None = None
        try:
            body = await _read(receive)
            if sandbox.settings.latency_ms:
                await asyncio.sleep(sandbox.settings.latency_ms / 1000)
            reply, effects = await self._reply(scope, call, query, body, entry)
            status = reply.status
            await _send(send, scope, reply, effects)
        except Dropped:
            _abort(scope)
        finally:
            duration_ms = (time.perf_counter() - began) * 1000
            sandbox.log.end(entry, status, duration_ms, entry.fault)
            if sandbox.settings.log_requests:
                shown = f"{path}?{query}" if query else path
                sys.stderr.write(
                    f"{method} {shown} {entry.operation} {status or 'reset'} {duration_ms:.1f} ms"
                    f"{f' [{entry.fault}]' if entry.fault else ''}\n",
                )

    async def _reply(
        self,
        scope: Scope,
        call: Call,
        query: str,
        body: bytes,
        entry: Entry,
    ) -> tuple[Reply, Effects]:
        sandbox = self._sandbox
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if "referer" in headers or "origin" in headers:
            return Reply.json(419, {"message": "CSRF token mismatch."}), NONE
        if not _authorised(headers.get("authorization", ""), sandbox.settings.token):
            return Reply.json(401, {"message": "Unauthenticated."}), NONE
        verdict = sandbox.limiter.check(sandbox.settings.rate_limit or UNLIMITED)
        if not verdict.allowed:
            return Reply.json(429, {"message": "Too Many Attempts."}, verdict.headers), NONE
        effects = sandbox.faults.on(entry.operation, call.resource, entry.method, entry.path, query)
        if effects.names:
            entry.fault = ", ".join(effects.names)
        reply = await self._act(scope, call, query, body, entry, effects)
        reply.headers = {**verdict.headers, **reply.headers}
        return reply, effects

    async def _act(
        self,
        scope: Scope,
        call: Call,
        query: str,
        body: bytes,
        entry: Entry,
        effects: Effects,
    ) -> Reply:
        for script in effects.mutations:
            self._sandbox.mutate(script)
        if effects.get("delay_seconds"):
            await asyncio.sleep(effects.get("delay_seconds"))
        if effects.get("reset") == "before_commit":
            raise Dropped
        failing = effects.get("status") is not None
        if failing and not effects.get("after_commit"):
            reply = _failure(effects)
        else:
            reply = self._handle(scope, call, query, body, entry, effects)
            if failing:
                reply = _failure(effects)
        if effects.get("delay_after_commit_seconds"):
            await asyncio.sleep(effects.get("delay_after_commit_seconds"))
        if effects.get("reset") == "after_commit":
            raise Dropped
        return reply

    def _handle(
        self,
        scope: Scope,
        call: Call,
        query: str,
        body: bytes,
        entry: Entry,
        effects: Effects,
    ) -> Reply:
        try:
            payload = _payload(body)
            entry.keys = sorted(payload)[:50]
            request = Request(
                call=call,
                query=dict(parse_qsl(query, keep_blank_values=True)),
                body=payload,
                base_url=_base_url(scope),
                envelope=effects.get("envelope") or self._sandbox.settings.envelope,
                per_page=effects.get("per_page"),
            )
            return self._sandbox.api.answer(request)
        except ApiError as error:
            return Reply.json(error.status, error.payload, error.headers)


def _operation(call: Call) -> str:
    return call.operation


def _authorised(header: str, token: str) -> bool:
    scheme, _, given = header.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _payload(body: bytes) -> Body:
    if not body:
        return {}
    try:
        return body_of(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, {"message": "O corpo da requisição não é um JSON válido."}) from error


def _base_url(scope: Scope) -> str:
    host, port = scope.get("server") or ("127.0.0.1", 80)
    return f"http://{host}:{port}{scope['path']}"


def _failure(effects: Effects) -> Reply:
    headers = dict(effects.get("headers") or {})
    if effects.get("retry_after") is not None:
        headers["Retry-After"] = effects.get("retry_after")
    status, body = effects.get("status"), effects.get("body")
    if body == "empty" or status == 204:
        return Reply(status, b"", headers)
    if body == "html":
        return Reply(status, HTML.encode(), {"Content-Type": "text/html; charset=UTF-8", **headers})
    if isinstance(body, str):
        return Reply(status, body.encode(), {"Content-Type": "text/plain; charset=UTF-8", **headers})
    if body is None:
        body = {"message": _MESSAGES.get(status, "Server Error")}
    return Reply.json(status, body, headers)


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


async def _read(receive: Receive) -> bytes:
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


async def _send(send: Send, scope: Scope, reply: Reply, effects: Effects) -> None:
    body = reply.body
    cut = effects.get("cut")
    if cut == "body":
        body = body[: len(body) // 2]
    elif cut == "malformed":
        body = body + b'{"'
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()
    ]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if cut == "connection":
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        # Give the half its time to leave before the connection goes.
        await asyncio.sleep(0.05)
        _abort(scope)
        return
    if scope["method"] == "HEAD":
        body = b""
    await send({"type": "http.response.body", "body": body})


def _abort(scope: Scope) -> None:
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is not None:
        with contextlib.suppress(OSError):
            abort()
