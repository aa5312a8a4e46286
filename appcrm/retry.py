"""How long to insist, and on what: one policy for all requests."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from appcrm.errors import ConnectionFault, RateLimited, RetriableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from backoff.types import Details

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.5
LONGEST_FIRST_CONTACT_WAIT_SECONDS = 4.0
"""An address that has never answered is more often mistyped than down."""

logger = logging.getLogger("appcrm")


class RetryPolicy(msgspec.Struct, frozen=True):
    """Tries per request and the longest wait between them, in seconds.

    Args:
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
        try:
            return send()
        except RetriableError as error:
            return self._insist(error, send, idempotent=idempotent, has_answered=has_answered)

    def _insist(
        self,
        first: RetriableError,
        send: Callable[[], T],
        *,
        idempotent: bool,
        has_answered: Callable[[], bool],
    ) -> T:
        """Wait and try again after a first failure; most requests never come here."""
        import backoff  # noqa: PLC0415  it brings asyncio, for which no first request should wait

        failed = [first]

        def first_or_again() -> T:
            if failed:
                raise failed.pop()
            return send()

        def wait(_: Details) -> None:
            self.sleep(waits[-1])

        def is_final(error: Exception) -> bool:
            return not may_be_sent_again(error, idempotent=idempotent)

        def seconds(exponent: int, error: Exception) -> float:
            longest = self.max_wait_seconds
            if isinstance(error, ConnectionFault) and not has_answered():
                longest = min(longest, LONGEST_FIRST_CONTACT_WAIT_SECONDS)
            return wait_seconds(error, exponent, longest, self.jitter())

        waits: list[float] = []

        def wait_gen() -> Generator[float, Any, None]:
            error = yield 0.0
            while True:
                waits.append(seconds(len(waits), error))
                if waits[-1]:
                    logger.info("%s; trying again in %.1f s (try %d)", error, waits[-1], len(waits) + 1)
                # The injected sleep waits, in the handler: the library's own cannot be ended early.
                error = yield 0.0

        return backoff.on_exception(
            wait_gen,
            RetriableError,
            max_tries=self.max_tries,
            jitter=None,
            giveup=is_final,
            on_backoff=wait,
            logger=None,
        )(first_or_again)()


def may_be_sent_again(error: Exception, *, idempotent: bool) -> bool:
    """Whether a request that ended in this error may simply be sent once more."""
    return isinstance(error, RetriableError) and (idempotent or not error.outcome_unknown)


def wait_seconds(error: Exception, exponent: int, longest_seconds: float, jitter: float) -> float:
    """Seconds before the next try: what the server asked for, else doubling from half a second.

    Args:
        error: of the last try.
        exponent: waits before this one.
        longest_seconds: the cap where the server did not ask for more.
        jitter: from 0 to 1; the wait is between half and all of the doubled time.
    """
    told_seconds = error.retry_after_seconds if isinstance(error, RetriableError) else None
    if told_seconds is not None:
        # The limiter already holds all threads for as long as a 429 said.
        return 0.0 if isinstance(error, RateLimited) else told_seconds
    doubled = FIRST_WAIT_SECONDS * 2.0 ** min(exponent, 30)
    return min(longest_seconds, doubled * (0.5 + jitter / 2))
