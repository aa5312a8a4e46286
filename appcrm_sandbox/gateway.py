"""The way of one API request: log, origin, token, limiter, faults, handler, answer."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import msgspec

from appcrm_sandbox.accounts import viewer_of_token
from appcrm_sandbox.api import Api, Request
from appcrm_sandbox.clock import real_now
from appcrm_sandbox.delivery import Dropped, Receive, Scope, Send, abort, failure, read, send_reply
from appcrm_sandbox.errors import ApiError, SandboxError
from appcrm_sandbox.faults import NONE, Effects, Faults
from appcrm_sandbox.limits import Limiter
from appcrm_sandbox.mutations import mutate
from appcrm_sandbox.query import Query
from appcrm_sandbox.replies import Reply
from appcrm_sandbox.requestlog import Entry, RequestLog
from appcrm_sandbox.routes import Call, understand
from appcrm_sandbox.settings import UNLIMITED, Settings
from appcrm_sandbox.writing import body_of

if TYPE_CHECKING:
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.validate import Body
    from appcrm_sandbox.values import Json
    from appcrm_sandbox.viewer import Viewer

PREFIX = "/api"
_KEYS_KEPT = 50
# What nginx and Apache take before the CRM sees anything of a request.
LONGEST_REQUEST_LINE_BYTES = 8_192
_TOO_LONG = b"<html><head><title>414 Request-URI Too Large</title></head></html>"


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


@dataclasses.dataclass(slots=True)
class Exchange:
    """One request on its way: what came, and what was noted of it."""

    scope: Scope
    call: Call
    query: str
    entry: Entry
    body: bytes = b""
    effects: Effects = NONE


class Gateway:
    """The ASGI application under /api."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or cut it off where a fault says so."""
        began = time.perf_counter()
        exchange = self._begin(scope)
        status: int | None = None
        try:
            exchange.body = await read(receive)
            if _request_line_bytes(scope) > LONGEST_REQUEST_LINE_BYTES:
                reply = Reply(414, _TOO_LONG, {"Content-Type": "text/html"})
                status = reply.status
                await send_reply(send, scope, reply, None)
                return
            if self._sandbox.settings.latency_ms:
                await asyncio.sleep(self._sandbox.settings.latency_ms / 1000)
            reply = await self._reply(exchange)
            reply.headers.setdefault("X-App-Version", self._sandbox.settings.app_version)
            status = reply.status
            await send_reply(send, scope, reply, exchange.effects.get("cut"))
        except Dropped:
            abort(scope)
        finally:
            self._end(exchange, status, (time.perf_counter() - began) * 1000)

    def _begin(self, scope: Scope) -> Exchange:
        method, path = scope["method"], scope["path"].removeprefix(PREFIX)
        query = scope["query_string"].decode("latin-1")
        call = understand(method, path)
        at = real_now().isoformat(timespec="milliseconds")
        return Exchange(scope, call, query, self._sandbox.log.begin(at, method, path, query, call.operation))

    def _end(self, exchange: Exchange, status: int | None, duration_ms: float) -> None:
        entry = exchange.entry
        self._sandbox.log.end(entry, status, duration_ms, ", ".join(exchange.effects.names) or None)
        if self._sandbox.settings.log_requests:
            address = f"{entry.path}?{entry.query}" if entry.query else entry.path
            fault = f" [{entry.fault}]" if entry.fault else ""
            line = (
                f"{entry.method} {address} {entry.operation} {status or 'reset'} {duration_ms:.1f} ms{fault}"
            )
            sys.stderr.write(f"{line}\n")

    async def _reply(self, exchange: Exchange) -> Reply:
        sandbox = self._sandbox
        limit = sandbox.settings.rate_limit or UNLIMITED
        try:
            viewer = self._viewer(exchange.scope)
        except ApiError as error:
            return Reply.json(error.status, error.payload)
        verdict = sandbox.limiter.check(viewer.user_id, limit)
        if not verdict.allowed:
            return Reply.json(429, {"message": "Too Many Attempts."}, verdict.headers)
        if not viewer.api_access:
            refused = {"error": "Este usuário não tem acesso à API."}
            return Reply.json(403, refused, verdict.headers)
        entry = exchange.entry
        exchange.effects = sandbox.faults.on(
            entry.operation, exchange.call.resource, entry.method, entry.path, exchange.query
        )
        reply = await self._act(exchange, viewer)
        reply.headers = {**verdict.headers, **reply.headers}
        return reply

    def _viewer(self, scope: Scope) -> Viewer:
        """The user behind the token; ApiError 419 or 401 for a request that is turned away at the door."""
        headers = dict(scope["headers"])
        if b"referer" in headers or b"origin" in headers:
            raise ApiError(419, {"message": "CSRF token mismatch."})
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        sandbox = self._sandbox
        if scheme.lower() == b"bearer":
            viewer = viewer_of_token(sandbox.store, sandbox.settings.token, given.strip())
            if viewer is not None:
                return viewer
        raise ApiError(401, {"message": "Unauthenticated."})

    async def _act(self, exchange: Exchange, viewer: Viewer) -> Reply:
        """Handle the request, with what the faults do before and after it."""
        effects = exchange.effects
        try:
            for script in effects.mutations:
                self._sandbox.mutate(script)
        except SandboxError as error:
            return Reply.json(500, {"message": f"{', '.join(effects.names)}: {error}"})
        await asyncio.sleep(effects.get("delay_seconds") or 0)
        if effects.get("reset") == "before_commit":
            raise Dropped
        failing = effects.get("status") is not None
        reply = None if failing and not effects.get("after_commit") else self._handle(exchange, viewer)
        await asyncio.sleep(effects.get("delay_after_commit_seconds") or 0)
        if effects.get("reset") == "after_commit":
            raise Dropped
        return failure(effects) if failing or reply is None else reply

    def _handle(self, exchange: Exchange, viewer: Viewer) -> Reply:
        try:
            payload = _payload(exchange.body)
            exchange.entry.keys = sorted(payload)[:_KEYS_KEPT]
            request = Request(
                call=exchange.call,
                query=Query.parse(exchange.query),
                viewer=viewer,
                body=payload,
                base_url=_base_url(exchange.scope),
                envelope=exchange.effects.get("envelope") or self._sandbox.settings.envelope,
                per_page=exchange.effects.get("per_page"),
            )
            return self._sandbox.api.answer(request)
        except ApiError as error:
            return Reply.json(error.status, error.payload, error.headers)
        except Exception:  # noqa: BLE001  the sandbox's own fault: told to the person, answered as a server does
            traceback.print_exc()
            return Reply.json(500, {"message": "Server Error"})


def _request_line_bytes(scope: Scope) -> int:
    path, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
    return len(f"{scope['method']}  HTTP/1.1\r\n") + len(path) + len(query) + bool(query)


def _payload(body: bytes) -> Body:
    if not body:
        return {}
    try:
        return body_of(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, {"message": "O corpo da requisição não é um JSON válido."}) from error


def _base_url(scope: Scope) -> str:
    host, port = scope.get("server") or ("127.0.0.1", 80)
    return f"http://{host}:{port}{scope['path']}"
