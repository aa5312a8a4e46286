"""The control plane (/__control) and the request log (/__log), for tests and people on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appcrm_sandbox import accounts, fault_rules
from appcrm_sandbox.clock import parse_moment
from appcrm_sandbox.custom_fields import FieldRequest
from appcrm_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from appcrm_sandbox.gateway import Sandbox
    from appcrm_sandbox.values import Json

Handler = Callable[[Request], Awaitable[Response]]


class Control:
    """Changes and shows one sandbox while it serves; none of this is logged or limited."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        """Every path under /__log and /__control."""
        return [
            Route("/__log", _guarded(self.log), methods=["GET", "DELETE"]),
            Route("/__log/counts", _guarded(self.counts), methods=["GET"]),
            Route("/__control/faults", _guarded(self.faults), methods=["GET", "POST", "PUT", "DELETE"]),
            Route("/__control/mutate", _guarded(self.mutate), methods=["POST"]),
            Route("/__control/clock", _guarded(self.clock), methods=["GET", "POST"]),
            Route("/__control/fields", _guarded(self.fields), methods=["GET", "POST"]),
            Route("/__control/settings", _guarded(self.settings), methods=["GET", "POST"]),
            Route("/__control/users", _guarded(self.users), methods=["GET", "POST"]),
            Route("/__control/tokens", _guarded(self.tokens), methods=["POST"]),
            Route("/__control/snapshot", _guarded(self.snapshot), methods=["POST"]),
            Route("/__control/restore", _guarded(self.restore), methods=["POST"]),
        ]

    async def log(self, request: Request) -> Response:
        """The kept requests, oldest first; DELETE begins anew."""
        if request.method == "DELETE":
            self._sandbox.log.reset()
            return Response(status_code=204)
        since = request.query_params.get("since", "0")
        if not since.isdigit():
            raise SandboxError("since must be the number of a request.")
        return JSONResponse(self._sandbox.log.entries(request.query_params.get("operation"), int(since)))

    async def counts(self, _request: Request) -> Response:
        """How many requests, by operation and by status."""
        return JSONResponse(self._sandbox.log.counts())

    async def faults(self, request: Request) -> Response:
        """POST adds rules, PUT replaces them all, DELETE clears, GET shows them with their hits."""
        held = self._sandbox.faults
        if request.method in {"POST", "PUT"}:
            rules, seed = fault_rules.parse(await _json(request))
            if request.method == "PUT":
                held.clear()
            held.add(rules, seed)
        elif request.method == "DELETE":
            held.clear()
        return JSONResponse(held.public())

    async def mutate(self, request: Request) -> Response:
        """Delete, touch, insert, set, restore, purge, hide or show contacts behind the clients' backs."""
        return JSONResponse(self._sandbox.mutate(await _json(request)))

    async def clock(self, request: Request) -> Response:
        """`{"now": ISO or null, "advance_seconds": n}`: stand still, follow the real clock, move on."""
        clock = self._sandbox.store.clock
        if request.method == "POST":
            wanted = await _json(request)
            if not isinstance(wanted, dict) or set(wanted) - {"now", "advance_seconds"}:
                raise SandboxError("the clock takes now and advance_seconds.")
            advance = wanted.get("advance_seconds", 0)
            if isinstance(advance, bool) or not isinstance(advance, (int, float)):
                raise SandboxError("advance_seconds must be a number.")
            if "now" in wanted:
                self._set_clock(wanted["now"])
            clock.advance(advance)
        return JSONResponse({"now": clock.stamp()})

    def _set_clock(self, now: Json) -> None:
        if now is None:
            self._sandbox.store.clock.release()
            return
        try:
            self._sandbox.store.clock.freeze(parse_moment(now))
        except (ValueError, AttributeError) as error:
            raise SandboxError(f"now must be an ISO timestamp or null, not {now!r}.") from error

    async def fields(self, request: Request) -> Response:
        """The custom fields of contacts; POST of one (name, type, options, flags) or a list declares more."""
        store = self._sandbox.store
        if request.method == "POST":
            wanted = await _json(request)
            items = wanted if isinstance(wanted, list) else [wanted]
            if not all(isinstance(item, dict) for item in items):
                raise SandboxError("a custom field is a mapping of name, type and options.")
            store.declare([_field_request(item) for item in items])
        return JSONResponse(
            [
                {
                    "name": field.name,
                    "type": field.kind,
                    "options": [{"id": i, "name": n} for i, n in field.options],
                    "unique": field.unique,
                    "required": field.required,
                }
                for field in store.fields.values()
            ],
        )

    async def settings(self, request: Request) -> Response:
        """The switches; POST changes some of them."""
        settings = self._sandbox.settings
        if request.method == "POST":
            changes = await _json(request)
            if not isinstance(changes, dict):
                raise SandboxError("the switches are a mapping of names to values.")
            settings.change(changes)
            if "rate_limit" in changes:
                self._sandbox.limiter.restart()
        return JSONResponse(settings.public())

    async def users(self, request: Request) -> Response:
        """The users and what they may see; POST changes one, or makes one."""
        store = self._sandbox.store
        if request.method == "POST":
            accounts.change_user(store, await _json(request))
        return JSONResponse(accounts.shown_users(store))

    async def tokens(self, request: Request) -> Response:
        """Give a user one more token: `{"token", "user_id"}`."""
        accounts.add_token(self._sandbox.store, await _json(request))
        return Response(status_code=204)

    async def snapshot(self, request: Request) -> Response:
        """Copy the database to `{"path": FILE}`, or to a new temporary file; answers with its path."""
        wanted = await _json(request) if await request.body() else {}
        path = wanted.get("path") if isinstance(wanted, dict) else None
        if path is None:
            path = str(Path(tempfile.mkdtemp(prefix="appcrm-sandbox-")) / "snapshot.sqlite3")
        if not isinstance(path, str):
            raise SandboxError("path must be a text.")
        self._sandbox.store.snapshot(Path(path))
        return JSONResponse({"path": path})

    async def restore(self, request: Request) -> Response:
        """`{"path": FILE}`: what a snapshot holds in place of everything; switches, clock, faults and log stay."""
        wanted = await _json(request)
        if not isinstance(wanted, dict) or not isinstance(wanted.get("path"), str):
            raise SandboxError("restore takes the path of a snapshot.")
        self._sandbox.store.restore(Path(wanted["path"]))
        return Response(status_code=204)


def _field_request(item: dict[str, Json]) -> FieldRequest:
    return FieldRequest.of(
        item.get("name"),
        item.get("type", "text"),
        item.get("options", []),
        unique=item.get("unique", False),
        required=item.get("required", False),
    )


def _guarded(handler: Handler) -> Handler:
    """Refuse browsers' pages from elsewhere, and answer nonsense with a sentence."""

    async def guarded(request: Request) -> Response:
        if "origin" in request.headers:
            return JSONResponse({"message": "The control plane is not for web pages."}, status_code=403)
        try:
            return await handler(request)
        except SandboxError as error:
            return JSONResponse({"message": str(error)}, status_code=422)

    return guarded


async def _json(request: Request) -> Json:
    try:
        return msgspec.json.decode(await request.body())
    except msgspec.DecodeError as error:
        raise SandboxError(f"the body is no JSON ({error}).") from error
