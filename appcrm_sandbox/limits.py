"""Laravel's limiter: a fixed window that begins with the first request, counted for each token."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 60


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What the limiter says of one request, and the headers that tell the client."""

    allowed: bool
    headers: dict[str, str]


class Limiter:
    """Counts the requests of the running window; `monotonic` and `wall` are seconds."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._began: float | None = None
        self._used = 0

    def check(self, limit: int) -> Verdict:
        """Count one request; past the limit it is refused until the window ends."""
        now = self._monotonic()
        if self._began is None or now - self._began >= WINDOW_SECONDS:
            self._began, self._used = now, 0
        left_seconds = max(1, math.ceil(self._began + WINDOW_SECONDS - now))
        allowed = self._used < limit
        if allowed:
            self._used += 1
        headers = self.headers(limit)
        if not allowed:
            headers["X-RateLimit-Remaining"] = "0"
            headers["Retry-After"] = str(left_seconds)
            headers["X-RateLimit-Reset"] = str(math.ceil(self._wall()) + left_seconds)
        return Verdict(allowed, headers)

    def headers(self, limit: int) -> dict[str, str]:
        """The headers of an answer that is not counted."""
        return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(max(0, limit - self._used))}

    def restart(self) -> None:
        """Forget the running window."""
        self._began = None
