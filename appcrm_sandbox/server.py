"""uvicorn, bent a little: a request can reset its connection, and a signal ends with exit code 0."""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import threading
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from appcrm_sandbox.delivery import ABORT, Receive, Scope, Send
from appcrm_sandbox.errors import SandboxError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from appcrm_sandbox.app import App
    from appcrm_sandbox.values import Json

# Without lingering, closing sends a reset instead of a polite end.
_NO_LINGER = struct.pack("ii", 1, 0)


class Protocol(H11Protocol):
    """Hands each request a way to reset its own connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's type is wider
        """Wrap the application so that its requests know their connection."""
        super().connection_made(transport)
        application = self.app

        def abort() -> None:
            raw: Json = transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()

        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {**(scope.get("extensions") or {}), ABORT: abort}
            await application(scope, receive, send)

        self.app = wrapped


class Server(uvicorn.Server):
    """A server that says when it is ready, and that a signal ends with exit code 0: to stop is no failure."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and only then say so: from here on a signal is heard and a request is answered."""
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, and do not raise them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; SandboxError when the port is taken or may not be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol makes asyncio send small packets at once, which saves 40 ms a request.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
    listener.settimeout(0)
    return listener


def make_server(app: App, on_ready: Callable[[], None] = lambda: None) -> Server:
    """A server that says nothing by itself and ends quickly."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    return Server(config, on_ready)
