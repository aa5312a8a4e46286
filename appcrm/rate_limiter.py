"""One rate limiter in front of every try of every thread.

The server counts requests in windows of a minute (``X-RateLimit-Limit`` is "requests a minute"), each of which begins
with its first request. Every answer says how many remain; only a 429 tells, in whole seconds, when the window ends.
So the moment at which the first request of a window was sent is remembered: a minute later that window is over,
however long answers take. ``RateWindow`` decides, on plain numbers; ``Limiter`` lets threads wait for it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appcrm.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from appcrm.rate_headers import RateHeaders

MINUTE_SECONDS = 60.0
ANNOUNCED_WAIT_SECONDS = 2.0
GRACE_SECONDS = 0.05
"""Added to what was told or worked out, so that rounding never lets a request go early."""
MOST_SLACK_SECONDS = 0.4
"""Waited at most for requests that travel faster than the one that began the window."""
UNTOLD_WAIT_SECONDS = 1.0
"""All threads rest so long after a 429 that does not say how long; the request itself waits as after any fault."""
SHARED_PART = 9
"""Where others use the same limit, the last ninth of a window is left to them."""
CHECK_SECONDS = 0.5
"""How often a thread that waits for another's answer looks whether the run ends."""

NEVER = float("-inf")

logger = logging.getLogger("appcrm")


@dataclass(frozen=True)
class Ticket:
    """One request on its way: when it was sent, in which window, and what was known of that window then."""

    sent_at: float
    window: int
    place: int
    """How many of ours were sent in the window up to this one."""
    accepted_before: int
    """How many of ours the window had certainly counted before."""


class RateWindow:
    """Says when the next request may go; plain numbers, no clock and no lock of its own.

    Args:
        interval_seconds: between two requests at least, for a ceiling of one's own.
    """

    def __init__(self, interval_seconds: float = 0.0) -> None:
        self._interval_seconds = interval_seconds
        self._next_at = NEVER
        self._hold_until = NEVER
        self._in_flight = 0
        self._has_answered = False
        self._limit: int | None = None
        self._window_seconds = MINUTE_SECONDS
        self._fastest_seconds = math.inf
        self._slowest_seconds = 0.0
        self._window = 0
        self._start(follows_another=False)

    @property
    def limit(self) -> int | None:
        """Requests a window, as the server last told."""
        return self._limit

    def _start(self, *, follows_another: bool, opens_alone: bool = False) -> None:
        """Begin to count anew: the next request is the first of ours in its window.

        Args:
            follows_another: whether the end of the one before is known.
            opens_alone: whether that end is not certain, so that one request finds out first.
        """
        self._window += 1
        self._follows_another = follows_another
        self._opens_alone = opens_alone
        self._began_at: float | None = None
        self._told_end: float | None = None
        self._sent = 0
        self._accepted = 0
        self._unanswered = 0
        self._others = 0
        self._lowest_remaining: int | None = None
        self._is_end_known = follows_another

    def wait_seconds(self, now: float) -> float | None:
        """Return the seconds to wait before the next request; None: until one in flight has come back."""
        until = max(self._next_at, self._hold_until)
        if until > now:
            return until - now
        if not self._has_answered:
            # What remains is not known: an earlier run may have used the window up.
            return None if self._in_flight else 0.0
        return 0.0 if self._limit is None else self._wait_for_window(now)

    def _wait_for_window(self, now: float) -> float | None:
        ends_at = self._ends_at()
        if ends_at is not None and now >= ends_at:
            self._start(
                follows_another=True,
                opens_alone=self._others > 0 or self._jitter_seconds() > MOST_SLACK_SECONDS,
            )
        if self._opens_alone and self._unanswered and not self._accepted:
            # The first alone finds out whether the window has begun.
            return None
        if self._available() > 0:
            return 0.0
        if self._is_end_known and ends_at is not None:
            return ends_at - now
        # Others began this window, so only a 429 can tell its end: one request asks.
        return None if self._unanswered else 0.0

    def sent(self, now: float) -> Ticket:
        """Take note that a request goes out."""
        self._in_flight += 1
        self._next_at = max(now, self._next_at) + self._interval_seconds
        if self._began_at is None:
            self._began_at = now
        self._sent += 1
        self._unanswered += 1
        return Ticket(now, self._window, self._sent, self._accepted)

    def came_back(
        self, ticket: Ticket, now: float, headers: RateHeaders | None, *, rate_limited: bool = False
    ) -> None:
        """Take note of what came of a request.

        Args:
            ticket: what ``sent`` returned.
            now: when its answer, or the fault, was there.
            headers: of the answer; None where there was none.
            rate_limited: whether it was a 429.
        """
        self._in_flight -= 1
        is_current = ticket.window == self._window
        if is_current:
            self._unanswered -= 1
        if headers is None:
            return
        self._has_answered = True
        self._fastest_seconds = min(self._fastest_seconds, now - ticket.sent_at)
        self._slowest_seconds = max(self._slowest_seconds, now - ticket.sent_at)
        self._limit = headers.limit or self._limit
        if rate_limited:
            self._refused(ticket, now, headers, is_current=is_current)
        elif is_current and headers.remaining is not None and self._limit is not None:
            self._counted(ticket, now, headers.remaining, self._limit, headers.reset_seconds)

    def _refused(self, ticket: Ticket, now: float, headers: RateHeaders, *, is_current: bool) -> None:
        if not is_current and self._accepted:
            return  # from before the window that is open now
        told_seconds = headers.retry_after_seconds or headers.reset_seconds
        if told_seconds is None:
            told_seconds = UNTOLD_WAIT_SECONDS
        elif is_current and self._is_end_known and self._began_at is not None and not self._follows_another:
            seen_seconds = ticket.sent_at + told_seconds - self._began_at
            if abs(seen_seconds - self._window_seconds) > 2 + self._jitter_seconds():
                self._window_seconds = seen_seconds
        self._hold_until = max(self._hold_until, now + told_seconds + GRACE_SECONDS)
        if is_current:
            self._start(follows_another=True, opens_alone=True)

    def _counted(
        self, ticket: Ticket, now: float, remaining: int, limit: int, reset_seconds: float | None
    ) -> None:
        used = limit - remaining
        if used <= ticket.accepted_before:
            # Fewer than ours alone: a new window has begun, with this request at the latest.
            self._began_at, self._told_end = ticket.sent_at, None
            self._sent -= ticket.place - 1
            self._accepted, self._others, self._lowest_remaining = 0, 0, None
        self._others = max(self._others, used - self._sent)
        if self._accepted == 0 and self._others == 0:
            self._is_end_known = True
        self._accepted += 1
        lowest = self._lowest_remaining
        self._lowest_remaining = remaining if lowest is None else min(remaining, lowest)
        if remaining == 0 and reset_seconds is not None and not self._is_end_known:
            self._told_end, self._is_end_known = now + reset_seconds + GRACE_SECONDS, True

    def _available(self) -> int:
        """Return how many more may go into this window."""
        limit = self._limit or 0
        free = limit - self._sent - self._others
        if self._others == 0 or self._lowest_remaining is None:
            return free
        # Others go on meanwhile, so what was left when the last answer was made is not all ours.
        return min(free, self._lowest_remaining - self._unanswered - max(1, limit // SHARED_PART))

    def _ends_at(self) -> float | None:
        """Return the moment after which a request certainly counts in the next window."""
        if self._told_end is not None or self._began_at is None:
            return self._told_end
        slack_seconds = GRACE_SECONDS + min(self._jitter_seconds(), MOST_SLACK_SECONDS)
        return self._began_at + self._window_seconds + slack_seconds

    def _jitter_seconds(self) -> float:
        return max(0.0, self._slowest_seconds - self._fastest_seconds)


class Limiter:
    """Holds requests back until the server's limit and one's own allow them; safe to share between threads.

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
        self._window = RateWindow(MINUTE_SECONDS / requests_per_minute if requests_per_minute else 0.0)
        self._clock = clock
        self._sleep = sleep
        self._changed = threading.Condition()
        self._counted_until = NEVER
        self.waited_seconds = 0.0
        """Seconds of the run in which requests were held back, however many waited at once."""

    @property
    def limit(self) -> int | None:
        """Requests a minute, as the server last told; None where it did not."""
        return self._window.limit

    def acquire(self) -> Ticket:
        """Wait for one's turn; return what ``release`` takes."""
        while True:
            with self._changed:
                now = self._clock()
                wait_seconds = self._window.wait_seconds(now)
                if wait_seconds is not None:
                    if wait_seconds <= 0:
                        return self._window.sent(now)
                    self._announce(now, wait_seconds)
                else:
                    # Only an answer to a request in flight can tell; its release wakes this thread.
                    self._changed.wait(timeout=CHECK_SECONDS)
            self._sleep(wait_seconds or 0.0)

    def release(
        self, ticket: Ticket, headers: RateHeaders | None = None, *, rate_limited: bool = False
    ) -> None:
        """Tell what came of a request.

        Args:
            ticket: what ``acquire`` returned.
            headers: of the answer; None if there was none.
            rate_limited: whether it was a 429.
        """
        with self._changed:
            self._window.came_back(ticket, self._clock(), headers, rate_limited=rate_limited)
            self._changed.notify_all()

    def _announce(self, now: float, wait_seconds: float) -> None:
        new_seconds = now + wait_seconds - max(now, self._counted_until)
        if new_seconds <= 0:
            return
        self._counted_until = now + wait_seconds
        self.waited_seconds += new_seconds
        if new_seconds >= ANNOUNCED_WAIT_SECONDS:
            logger.info("Waiting %s for the CRM's rate limit", counted(math.ceil(wait_seconds), "second"))
