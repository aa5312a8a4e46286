"""Which states are true: a state goes out only when every record before it is done."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS_BETWEEN_STATES = 30.0


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


class States:
    """Lets a state out once every record before it is done; safe to share between threads.

    Args:
        make_durable: has what was rejected and told on disk, before a state says that it is done.
        emit: writes one state to standard output.
    """

    def __init__(
        self,
        make_durable: Callable[[], None],
        emit: Callable[[Any], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_durable = make_durable
        self._emit = emit
        self._clock = clock
        self._book = StateBook()
        self._lock = threading.Lock()
        self._finished: deque[int] = deque()
        self._emitted_at = clock()

    def note(self, number: int, state: Any) -> None:  # noqa: ANN401  any JSON value
        """Take a state that came after the record with this number."""
        with self._lock:
            self._book.note(number, state)

    def done(self, number: int) -> None:
        """Take note that a record is written, skipped or among the rejects."""
        self._finished.append(number)

    def hold(self, number: int) -> None:
        """Let no state out that came after this record, until ``release``."""
        with self._lock:
            self._book.hold(number)

    def release(self) -> None:
        """Let states out again."""
        with self._lock:
            self._book.release()

    def emit_if_due(self) -> None:
        """Emit the newest true state, if the last one went out long enough ago."""
        if self._clock() - self._emitted_at >= SECONDS_BETWEEN_STATES:
            self.emit()

    def emit(self) -> None:
        """Emit the newest true state, if there is one that has not gone out."""
        with self._lock:
            while self._finished:
                self._book.done(self._finished.popleft())
            states = self._book.take()
        if not states:
            return
        self._make_durable()
        self._emitted_at = self._clock()
        for state in states:
            self._emit(state)
