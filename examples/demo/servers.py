"""Servers that end with this process, however it ends: even SIGKILL leaves no server and no busy port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

# The shell waits for the server and, beside it, for the end of its own input: that pipe breaks when this process dies.
_GUARD = """
signal=$1; shift
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
( read -r line <&3; kill -s "$signal" "$server" ) 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"; status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"""
_STOP_SECONDS = 20


class Server:
    """A running server, its output in `log`."""

    def __init__(self, command: list[str], log: Path, *, stop_signal: str = "TERM", **popen: Any) -> None:  # noqa: ANN401  Popen's own
        self.log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches this process alone, which then stops the servers in order.
            self._process = subprocess.Popen(  # noqa: S603  commands of this demo
                ["/bin/sh", "-c", _GUARD, "guard", stop_signal, *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **popen,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def output(self) -> str:
        """What it said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End it, gently and then by force."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
