"""Laravel's limiter: a fixed window that begins with the first request, counted for each user."""

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


@dataclasses.dataclass(slots=True)
class _Window:
    """A running minute of one user."""

    began: float
    used: int = 0


class Limiter:
    """Counts the requests of each user's running window; `monotonic` and `wall` are seconds."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._windows: dict[int, _Window] = {}

    def check(self, user_id: int, limit: int) -> Verdict:
        """Count one request of a user, whichever their token; past the limit it is refused until the window ends."""
        now = self._monotonic()
        window = self._windows.get(user_id)
        if window is None or now - window.began >= WINDOW_SECONDS:
            window = self._windows[user_id] = _Window(now)
        left_seconds = max(1, math.ceil(window.began + WINDOW_SECONDS - now))
        allowed = window.used < limit
        if allowed:
            window.used += 1
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - window.used)),
        }
        if not allowed:
            headers["Retry-After"] = str(left_seconds)
            headers["X-RateLimit-Reset"] = str(math.ceil(self._wall()) + left_seconds)
        return Verdict(allowed, headers)

    def restart(self) -> None:
        """Forget the running windows."""
        self._windows.clear()
