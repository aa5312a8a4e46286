"""What people see on standard error while a long read goes on: a line every few seconds, or a bar."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_BARS = 0.2
BAR_WIDTH = 30

logger = logging.getLogger("tap-appcrm")


class ProgressBar:
    """Tells how far a read is.

    Args:
        stream: its name.
        already: contacts that an interrupted read had got through.
        clock: monotonic seconds.
        terminal: where a bar goes; by default standard error, if it is a terminal.
    """

    def __init__(
        self,
        stream: str,
        already: int = 0,
        clock: Callable[[], float] = time.monotonic,
        terminal: TextIO | None = None,
    ) -> None:
        self._stream = stream
        self._already = already
        self._clock = clock
        self._terminal = terminal or (sys.stderr if sys.stderr.isatty() else None)
        self._began = self._last = clock()
        self._bar_shown = False

    def tick(self, done: int, total: int | None, requests: int) -> None:
        """Tell, if it is time to.

        Args:
            done: contacts so far, those of an interrupted read included.
            total: contacts in all, if known.
            requests: sent so far.
        """
        now = self._clock()
        pause_seconds = SECONDS_BETWEEN_LINES if self._terminal is None else SECONDS_BETWEEN_BARS
        if now - self._last < pause_seconds:
            return
        self._last = now
        text = describe(done, total, requests, done - self._already, now - self._began)
        if self._terminal is None:
            logger.info("%s: %s", self._stream, text)
            return
        self._bar_shown = True
        self._terminal.write(f"\r{self._stream} {bar(done, total)} {text}\x1b[K")
        self._terminal.flush()

    def close(self) -> None:
        """Leave the bar's line."""
        if self._bar_shown and self._terminal is not None:
            self._terminal.write("\n")
            self._terminal.flush()


def describe(done: int, total: int | None, requests: int, done_now: int, seconds: float) -> str:
    """Say how far a read is: contacts of total, requests a minute, time left."""
    text = f"{done:,} contacts" if total is None else f"{done:,} of {total:,} contacts"
    if seconds > 0:
        text += f", {requests * 60 / seconds:,.0f} requests a minute"
        if total is not None and 0 < done <= total and done_now > 0:
            text += f", {duration((total - done) * seconds / done_now)} left"
    return text


def duration(seconds: float) -> str:
    """Write seconds as a person would."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def bar(done: int, total: int | None) -> str:
    """Draw a bar."""
    filled = 0 if not total else min(BAR_WIDTH, BAR_WIDTH * done // total)
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"
