"""Which states are true: a state goes out only when every record before it is done."""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any


class StateBook:
    """Remembers states and how far the records before them have come; not safe to share between threads.

    Records are numbered from 1 in the order in which they came in.
    """

    def __init__(self) -> None:
        self._states: deque[tuple[int, Any]] = deque()
        self._done_beyond: list[int] = []
        self._done_until = 0
        self._held_from: int | None = None

    @property
    def done_until(self) -> int:
        """The number up to which every record is done."""
        return self._done_until

    def note(self, number: int, state: Any) -> None:  # noqa: ANN401  any JSON value
        """Take a state that came after the record with this number."""
        if self._states and self._states[-1][0] == number:
            self._states.pop()
        self._states.append((number, state))

    def done(self, number: int) -> None:
        """Take note that a record is written, skipped or among the rejects."""
        heapq.heappush(self._done_beyond, number)
        while self._done_beyond and self._done_beyond[0] == self._done_until + 1:
            self._done_until = heapq.heappop(self._done_beyond)

    def hold(self, number: int) -> None:
        """Let no state out that came after this record, until ``release``: its delete waits for the end."""
        if self._held_from is None or number < self._held_from:
            self._held_from = number

    def release(self) -> None:
        """Let states out again: what was waited for is done."""
        self._held_from = None

    def take(self) -> list[Any]:
        """Return the newest state that is true, in a list of one, and forget those before it; else an empty list."""
        limit = self._done_until if self._held_from is None else min(self._done_until, self._held_from - 1)
        newest: list[Any] = []
        while self._states and self._states[0][0] <= limit:
            newest = [self._states.popleft()[1]]
        return newest
