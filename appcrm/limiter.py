"""One rate limiter in front of every try of every thread.

The server allows about 90 requests a minute and says so in ``X-RateLimit-Limit`` and
``X-RateLimit-Remaining`` on every response; past it, 429 with ``Retry-After`` (Laravel's throttle
middleware). Laravel's window begins with its first request and its length is only told on a 429, so the
limiter learns it: the first time that nothing remains, one request goes alone; what it is told is obeyed
by all, and from then on the end of each window is known beforehand. A new window holds no more requests than
``X-RateLimit-Limit`` said, however many threads wait for it.
"""

from __future__ import annotations

import email.utils
import logging
import threading
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SECONDS_PER_MINUTE = 60.0
ANNOUNCED_WAIT_SECONDS = 2.0
GRACE_SECONDS = 0.05
"""Added to what the server said, so that rounding on either side never lets a request go early."""
SMALLEST_UNIX_TIME = 1_000_000_000

logger = logging.getLogger("appcrm")


class RateHeaders(msgspec.Struct, frozen=True):
    """What one response says about the rate limit; seconds count from when it was received."""

    limit: int | None = None
    remaining: int | None = None
    retry_after_seconds: float | None = None
    reset_seconds: float | None = None


def read_rate_headers(headers: Mapping[str, str], *, now_unix: float) -> RateHeaders:
    """Read the rate limit headers; whatever cannot be read counts as not sent.

    Args:
        headers: response headers, looked up without case.
        now_unix: the local time, for a server that sends no ``Date``.
    """
    retry_after, reset = headers.get("Retry-After"), headers.get("X-RateLimit-Reset")
    server_now = now_unix if retry_after is reset is None else _http_date(headers.get("Date")) or now_unix
    return RateHeaders(
        limit=_whole(headers.get("X-RateLimit-Limit")) or None,
        remaining=_whole(headers.get("X-RateLimit-Remaining")),
        retry_after_seconds=_seconds_until(retry_after, server_now),
        reset_seconds=_seconds_until(reset, server_now),
    )


def _whole(text: str | None) -> int | None:
    try:
        return max(0, int(text)) if text is not None else None
    except ValueError:
        return None


def _http_date(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _seconds_until(text: str | None, server_now: float) -> float | None:
    """Read seconds, a unix time or an HTTP date as seconds from now."""
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        moment = _http_date(text)
        return None if moment is None else max(0.0, moment - server_now)
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124  NaN is unequal to itself
        return None
    return max(0.0, number - server_now if number >= SMALLEST_UNIX_TIME else number)


class Limiter:
    """Holds requests back until the server's limit and one's own allow them.

    Call ``acquire`` before a try and ``release`` after it, whatever came of it.

    Args:
        requests_per_minute: one's own ceiling, kept by even pacing; None for none.
        clock: monotonic seconds.
        sleep: waits for seconds; it may raise to end a wait early.
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_seconds = SECONDS_PER_MINUTE / requests_per_minute if requests_per_minute else 0.0
        self._clock = clock
        self._sleep = sleep
        self._changed = threading.Condition()
        self._next_at = float("-inf")
        self._hold_until = float("-inf")
        self._in_flight = 0
        self._limit: int | None = None
        self._remaining: int | None = None
        self._window_began: float | None = None
        self._window_seconds: float | None = None
        self.waited_seconds = 0.0
        """Seconds that requests were held back in all, over all threads."""

    def acquire(self) -> float:
        """Wait for one's turn; return the moment at which the request goes out."""
        while True:
            with self._changed:
                now = self._clock()
                wait_seconds = self._wait_seconds(now)
                if wait_seconds is None:
                    # Only an answer to a request in flight can tell; its release wakes this thread.
                    self._changed.wait(timeout=1.0)
                    continue
                if wait_seconds <= 0:
                    self._in_flight += 1
                    self._next_at = max(now, self._next_at) + self._interval_seconds
                    if self._remaining is not None:
                        self._remaining -= 1
                    if self._window_began is None:
                        self._window_began = now
                    return now
                self.waited_seconds += wait_seconds
            self._sleep(wait_seconds)

    def _wait_seconds(self, now: float) -> float | None:
        """Seconds to wait before the next request; None: until a request in flight has come back."""
        until = max(self._next_at, self._hold_until)
        if until > now:
            return until - now
        if self._remaining is None or self._remaining > 0:
            return 0.0
        if self._window_seconds is not None and self._window_began is not None:
            ends_at = self._window_began + self._window_seconds + GRACE_SECONDS
            if ends_at > now:
                self._hold("the minute's requests are used up", ends_at)
            self._forget_window()
            return max(0.0, ends_at - now)
        return 0.0 if self._in_flight == 0 else None

    def release(
        self, sent_at: float, headers: RateHeaders | None = None, *, rate_limited: bool = False
    ) -> None:
        """Tell what came of a request.

        Args:
            sent_at: what ``acquire`` returned.
            headers: of the response; None if there was none.
            rate_limited: whether it was a 429.
        """
        with self._changed:
            self._in_flight -= 1
            if headers is not None:
                self._learn(sent_at, headers, rate_limited=rate_limited)
            self._changed.notify_all()

    def _learn(self, sent_at: float, headers: RateHeaders, *, rate_limited: bool) -> None:
        now = self._clock()
        self._limit = headers.limit or self._limit
        told_seconds = headers.retry_after_seconds
        if told_seconds is None and (rate_limited or headers.remaining == 0):
            told_seconds = headers.reset_seconds
        if rate_limited:
            if told_seconds is not None:
                if self._window_began is not None and now + told_seconds > self._window_began:
                    self._window_seconds = now + told_seconds - self._window_began
                self._hold("the server said 429", now + told_seconds + GRACE_SECONDS)
            self._forget_window()
            return
        if headers.remaining is None:
            return
        if sent_at < self._hold_until <= now:
            return  # an answer from before the pause says nothing about the window after it
        if headers.remaining == 0 and told_seconds is not None:
            self._hold("the minute's requests are used up", now + told_seconds + GRACE_SECONDS)
            self._forget_window()
            return
        before = self._remaining
        self._remaining = headers.remaining - self._in_flight
        if before is not None and headers.remaining > before + self._in_flight + 1:
            self._window_began = sent_at

    def _forget_window(self) -> None:
        self._remaining = self._limit
        self._window_began = None

    def _hold(self, reason: str, until: float) -> None:
        if until <= self._hold_until:
            return
        wait_seconds = until - self._clock()
        self._hold_until = until
        if wait_seconds >= ANNOUNCED_WAIT_SECONDS:
            logger.warning("Waiting %.0f s for the rate limit: %s", wait_seconds, reason)
