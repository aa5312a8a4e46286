"""The sandbox's clock: the real one, moved, or standing still."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STAMP = "%Y-%m-%dT%H:%M:%S.000000Z"


def real_now() -> dt.datetime:
    """The moment now, in UTC."""
    return dt.datetime.now(dt.timezone.utc)


def stamp(moment: dt.datetime) -> str:
    """A moment as AppCRM shows it: UTC, whole seconds, six zeros, Z."""
    return moment.astimezone(dt.timezone.utc).strftime(STAMP)


def parse_moment(text: str) -> dt.datetime:
    """Read an ISO timestamp (UTC when it names no zone); ValueError when it is none."""
    moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)


class Clock:
    """Gives the moment that rows are stamped with; tests stop it or move it on."""

    def __init__(self, source: Callable[[], dt.datetime] = real_now) -> None:
        self._source = source
        self._frozen: dt.datetime | None = None
        self._shift = dt.timedelta()

    def now(self) -> dt.datetime:
        """The sandbox's moment now."""
        return self._frozen if self._frozen is not None else self._source() + self._shift

    def stamp(self) -> str:
        """The sandbox's moment now, as a row is stamped with it."""
        return stamp(self.now())

    def freeze(self, moment: dt.datetime) -> None:
        """Stand still at a moment."""
        self._frozen = moment

    def release(self) -> None:
        """Follow the real clock again."""
        self._frozen = None
        self._shift = dt.timedelta()

    def advance(self, seconds: float) -> None:
        """Move on (or back) by some seconds, standing still or not."""
        step = dt.timedelta(seconds=seconds)
        if self._frozen is not None:
            self._frozen += step
        else:
            self._shift += step
