"""uvicorn, bent as little as faults need: a connection can be reset, and a port is taken before anything starts."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from appcrm_sandbox.app import App
from appcrm_sandbox.errors import SandboxError

_LINGER_OFF = b"\x01\x00\x00\x00\x00\x00\x00\x00"


class Protocol(H11Protocol):
    """Hands each request a way to reset its own connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  uvicorn narrows it alike
        """Wrap the application so that its requests know their connection."""
        super().connection_made(transport)
        application = self.app

        def abort() -> None:
            raw: Any = transport.get_extra_info("socket")
            if raw is not None:
                # Without lingering, closing sends a reset instead of a polite end.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
            transport.abort()

        async def wrapped(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI's own untyped trio
            scope["extensions"] = {**(scope.get("extensions") or {}), "appcrm_sandbox.abort": abort}
            await application(scope, receive, send)

        self.app = wrapped


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; SandboxError when the port is taken or may not be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise SandboxError(
            f"cannot listen on {host}:{port} ({reason}); choose another --port or --host."
        ) from error
    listener.setblocking(False)  # noqa: FBT003  the standard library's signature
    return listener


def make_server(app: App) -> uvicorn.Server:
    """A server that says nothing by itself and ends quickly."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)
