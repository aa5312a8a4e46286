"""How long to insist, and on what: one policy for all requests."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from appcrm.errors import ConnectionFault, RateLimited, RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.5
LONGEST_FIRST_CONTACT_WAIT_SECONDS = 4.0
"""An address that has never answered is more often mistyped than down."""

logger = logging.getLogger("appcrm")


@dataclass(frozen=True)
class RetryPolicy:
    """Tries per request and the longest wait between them, in seconds.

    Args:
        max_tries: per request.
        max_wait_seconds: the cap of a wait that the server did not ask for.
        sleep: waits for seconds; it may raise to end a wait early.
        jitter: from 0 to 1, drawn anew for each wait.
    """

    max_tries: int
    max_wait_seconds: float
    sleep: Callable[[float], None]
    jitter: Callable[[], float] = random.random

    def call(self, send: Callable[[], T], *, idempotent: bool, has_answered: Callable[[], bool]) -> T:
        """Return what ``send`` returns, trying again while its error is retriable.

        Args:
            send: one try.
            idempotent: whether the request may be sent again when it is unknown whether it was carried out.
            has_answered: whether the server has ever answered in this run.

        Raises:
            ApiError: the last try's error.
        """
        tries = 1
        while True:
            try:
                return send()
            except RetriableError as error:
                if tries >= self.max_tries or (error.outcome_unknown and not idempotent):
                    raise
                longest = self.max_wait_seconds
                if isinstance(error, ConnectionFault) and not has_answered():
                    longest = min(longest, LONGEST_FIRST_CONTACT_WAIT_SECONDS)
                seconds = wait_seconds(error, tries - 1, longest, self.jitter())
                if seconds:
                    logger.info("%s; trying again in %.1f s (try %d)", error, seconds, tries + 1)
            self.sleep(seconds)
            tries += 1


def wait_seconds(error: RetriableError, exponent: int, longest_seconds: float, jitter: float) -> float:
    """Seconds before the next try: what the server asked for, else doubling from half a second.

    Args:
        error: of the last try.
        exponent: waits before this one.
        longest_seconds: the cap where the server did not ask for more.
        jitter: from 0 to 1; the wait is between half and all of the doubled time.
    """
    if error.retry_after_seconds is not None:
        # The limiter already holds all threads for as long as a 429 said.
        return 0.0 if isinstance(error, RateLimited) else error.retry_after_seconds
    doubled = FIRST_WAIT_SECONDS * 2.0 ** min(exponent, 30)
    return min(longest_seconds, doubled * (0.5 + jitter / 2))
