"""What the headers of an answer say about the rate limit."""

from __future__ import annotations

import email.utils
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_RESET_SECONDS = 3600.0
"""A reset further away than this is no rate limit's, so it counts as not sent."""
SMALLEST_UNIX_TIME = 1_000_000_000


@dataclass(frozen=True)
class RateHeaders:
    """What one answer says about the rate limit; seconds count from when it was received."""

    limit: int | None = None
    remaining: int | None = None
    retry_after_seconds: float | None = None
    reset_seconds: float | None = None


def read_rate_headers(headers: Mapping[str, str], *, now_unix: float) -> RateHeaders:
    """Read the rate limit headers; whatever cannot be read, or says nothing, counts as not sent.

    Args:
        headers: response headers, looked up without case.
        now_unix: the local time, for a server that sends no ``Date``.
    """
    retry_after, reset = headers.get("Retry-After"), headers.get("X-RateLimit-Reset")
    server_now = now_unix if retry_after is reset is None else _http_date(headers.get("Date")) or now_unix
    reset_seconds = _seconds_until(reset, server_now)
    return RateHeaders(
        limit=_whole(headers.get("X-RateLimit-Limit")) or None,
        remaining=_whole(headers.get("X-RateLimit-Remaining")),
        retry_after_seconds=_seconds_until(retry_after, server_now),
        reset_seconds=None
        if reset_seconds is None or reset_seconds > LONGEST_RESET_SECONDS
        else reset_seconds,
    )


def _whole(text: str | None) -> int | None:
    number = _number(text)
    is_count = number is not None and number.is_integer() and 0 <= number < SMALLEST_UNIX_TIME
    return int(number) if number is not None and is_count else None


def _number(text: str | None) -> float | None:
    if text is None or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _http_date(text: str | None) -> float | None:
    """Read an HTTP date as a unix time; one whose zone is unknown (``-0000``) means UTC."""
    found = None if text is None else email.utils.parsedate_tz(text)
    if found is None:
        return None
    try:
        return float(email.utils.mktime_tz(found))
    except (ValueError, OverflowError):
        return None


def _seconds_until(text: str | None, server_now: float) -> float | None:
    """Read seconds, a unix time or an HTTP date as seconds from now; None where it is no wait."""
    number = _number(text)
    if number is None:
        moment = _http_date(text)
        seconds = None if moment is None else moment - server_now
    else:
        seconds = number - server_now if number >= SMALLEST_UNIX_TIME else number
    return seconds if seconds is not None and seconds > 0 else None
