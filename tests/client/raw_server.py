"""A server of raw bytes: it sends whatever a test says, at the pace that the test says."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class RawServer:
    """Reads a request's head, then lets ``script`` send; closes the connection afterwards."""

    def __init__(self) -> None:
        self.script: Callable[[], Iterable[bytes]] = lambda: ()
        self.asked = 0
        self._ending = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/api"
        threading.Thread(target=self._serve, daemon=True).start()

    def says(self, *pieces: bytes, pause: float = 0.0, forever: bool = False) -> None:
        """Send pieces, the last one again and again where it goes on forever."""

        def script() -> Iterable[bytes]:
            yield from pieces
            while forever and not self._ending.wait(pause):
                yield pieces[-1]

        self.script = script

    def stop(self) -> None:
        self._ending.set()
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            self.asked += 1
            for piece in self.script():
                connection.sendall(piece)
