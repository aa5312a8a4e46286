"""How far a run is, for whoever watches it: a line now and then, and what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_BETWEEN_LINES = 30.0
FEWEST_SECONDS_WORTH_TELLING = 5.0


class Progress:
    """Tells a line every half minute.

    Args:
        tell: takes the line.
        clock: monotonic seconds.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._tell = tell
        self._clock = clock
        self._began_at = self._told_at = clock()

    def look(self, *, read: int, done: int, requests: int, waits_seconds: float) -> None:
        """Tell how far the run is, where that is due.

        Args:
            read: records that came in.
            done: records that are written, skipped or rejected.
            requests: sent so far.
            waits_seconds: for which the next request still waits, as the server asked.
        """
        now = self._clock()
        if now - self._told_at < SECONDS_BETWEEN_LINES:
            return
        self._told_at = now
        self._tell(
            progress_line(
                read=read,
                done=done,
                requests=requests,
                seconds=now - self._began_at,
                waits_seconds=waits_seconds,
            )
        )


def progress_line(*, read: int, done: int, requests: int, seconds: float, waits_seconds: float) -> str:
    """Return how far a run is, and how long what has come in will take at this pace."""
    pace = requests / seconds * 60 if seconds else 0.0
    parts = [
        f"{done} of {counted(read, 'record')} that came in so far are done",
        f"{pace:.0f} requests a minute",
    ]
    if done and read > done and seconds:
        parts.append(f"about {told_seconds((read - done) * seconds / done)} left for these")
    if waits_seconds >= FEWEST_SECONDS_WORTH_TELLING:
        parts.append(f"waiting {told_seconds(waits_seconds)} for the CRM's rate limit")
    return "; ".join(parts)


def told_seconds(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
