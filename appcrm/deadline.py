"""A deadline for a whole answer, which no read time-out of a library gives.

A server that sends one byte now and then, or ``100 Continue`` without end (on which ``http.client`` itself loops),
never lets a single read time out. So a thread looks after every exchange from outside and shuts its socket down when
its time is over: whoever waits for it wakes up.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

IDLE_SECONDS = 2.0
"""The watching thread ends after so long without an exchange."""

_here = threading.local()
"""The exchange of the calling thread, for the connections that it opens and uses."""


class Line:
    """A second handle on a connection's socket: it can be shut down whatever wraps the first, TLS included.

    Both the connection and the exchange hold it; it is closed when both have let go of it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock.dup()
        self._lock = threading.Lock()
        self._holders = 1

    def hold(self) -> None:
        """Keep it open."""
        with self._lock:
            self._holders += 1

    def let_go(self) -> None:
        """Close it, unless somebody else holds it."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._socket.close()

    def shut_down(self) -> None:
        """End whatever is read from it or written to it."""
        with self._lock, contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class Exchange:
    """One request and its whole answer."""

    def __init__(self, *, is_read: bool) -> None:
        self.is_read = is_read
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._is_over = False
        self.is_broken_off = False
        """Whether it was ended from outside: what its thread sees then is no fault of the server."""
        self.is_called_off = False
        """Whether it was ended because the run ends, and not because its time was over."""

    def use(self, line: Line) -> None:
        """Take note of the connection that it goes over."""
        with self._lock:
            if line is not self._line:
                line.hold()
                if self._line is not None:
                    self._line.let_go()
                self._line = line
            if self.is_broken_off:
                line.shut_down()

    def break_off(self, *, is_called_off: bool = False) -> None:
        """End it, unless it is over already."""
        with self._lock:
            if self._is_over:
                return
            self.is_broken_off = True
            self.is_called_off = is_called_off
            if self._line is not None:
                self._line.shut_down()

    def finish(self) -> None:
        """Let its connection go: nothing shuts it down any more."""
        with self._lock:
            self._is_over = True
            if self._line is not None:
                self._line.let_go()


class Watchdog:
    """Breaks exchanges off when their time is over; safe to share between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ends_at: dict[Exchange, float] = {}
        self._is_running = False
        self._are_reads_over = False

    @contextlib.contextmanager
    def watching(self, seconds: float, *, is_read: bool) -> Iterator[Exchange]:
        """Give what the calling thread sends and reads meanwhile so many seconds.

        Args:
            seconds: for all of it.
            is_read: whether it may be broken off earlier without harm.
        """
        exchange = Exchange(is_read=is_read)
        with self._changed:
            self._ends_at[exchange] = time.monotonic() + seconds
            is_called_off = is_read and self._are_reads_over
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._watch, name="appcrm deadlines", daemon=True).start()
            elif len(self._ends_at) == 1:
                self._changed.notify()
        if is_called_off:
            exchange.break_off(is_called_off=True)
        _here.exchange = exchange
        try:
            yield exchange
        finally:
            _here.exchange = None
            exchange.finish()
            with self._changed:
                self._ends_at.pop(exchange, None)

    def break_off_reads(self) -> None:
        """End every read at once, those in flight and those to come: the run ends, and nobody waits for them."""
        with self._changed:
            self._are_reads_over = True
            reads = [exchange for exchange in self._ends_at if exchange.is_read]
        for exchange in reads:
            exchange.break_off(is_called_off=True)

    def _watch(self) -> None:
        while True:
            with self._changed:
                if not self._ends_at and not self._changed.wait(IDLE_SECONDS) and not self._ends_at:
                    self._is_running = False
                    return
                now = time.monotonic()
                late = [exchange for exchange, ends_at in self._ends_at.items() if ends_at <= now]
                for exchange in late:
                    del self._ends_at[exchange]
                if not late and self._ends_at:
                    self._changed.wait(min(self._ends_at.values()) - now)
            for exchange in late:
                exchange.break_off()


class WatchedConnection:
    """What a connection of urllib3, plain, TLS or SOCKS, needs to be shut down from another thread."""

    _line: Line | None = None

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]  # urllib3's own
        self._let_go()
        self._line = Line(sock)
        self._tell()
        return sock

    def request(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  urllib3's own
        """Send a request."""
        self._tell()
        super().request(*arguments, **options)  # type: ignore[misc]  # urllib3's own

    def close(self) -> None:
        """Close the connection."""
        super().close()  # type: ignore[misc]  # urllib3's own
        self._let_go()

    def _tell(self) -> None:
        exchange: Exchange | None = getattr(_here, "exchange", None)
        if exchange is not None and self._line is not None:
            exchange.use(self._line)

    def _let_go(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.let_go()


@lru_cache
def watched(connection_class: type[Any]) -> type[Any]:
    """Return urllib3's connection class, whose connections can be shut down from another thread."""
    return type(f"Watched{connection_class.__name__}", (WatchedConnection, connection_class), {})
