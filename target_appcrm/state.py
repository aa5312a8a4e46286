"""Which states are true: a state goes out only when every record before it is done."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

SECONDS_BETWEEN_STATES = 30.0
SECONDS_BETWEEN_LOOKS = 1.0


class StateBook:
    """Remembers states and how far the records before them have come; not safe to share between threads.

    Records are numbered from 1 in the order in which they came in.
    """

    def __init__(self) -> None:
        self._states: deque[tuple[int, Any]] = deque()
        self._done_beyond: list[int] = []
        self._done_until = 0
        self._held_from: int | None = None
        self._held_for_good_from: int | None = None

    def __len__(self) -> int:
        return len(self._states)

    @property
    def done_until(self) -> int:
        """The number up to which every record is done."""
        return self._done_until

    def note(self, number: int, state: Any) -> None:  # noqa: ANN401  any JSON value
        """Take a state that came after the record with this number; what it makes useless is forgotten."""
        if self._states and (self._states[-1][0] == number or self._is_held(self._states[-1][0])):
            self._states.pop()
        self._states.append((number, state))
        while len(self._states) > 1 and self._states[1][0] <= self._limit:
            self._states.popleft()

    def done(self, number: int) -> None:
        """Take note that a record is written, skipped or among the rejects."""
        heapq.heappush(self._done_beyond, number)
        while self._done_beyond and self._done_beyond[0] == self._done_until + 1:
            self._done_until = heapq.heappop(self._done_beyond)

    def hold(self, number: int, *, for_good: bool = False) -> None:
        """Let no state out that came after this record, until ``release``: it waits for the end.

        Args:
            number: of the record.
            for_good: whatever happens, because the record is to come again.
        """
        if for_good and (self._held_for_good_from is None or number < self._held_for_good_from):
            self._held_for_good_from = number
        if self._held_from is None or number < self._held_from:
            self._held_from = number

    def release(self) -> None:
        """Let states out again: what was waited for is done."""
        self._held_from = self._held_for_good_from

    def _is_held(self, number: int) -> bool:
        return self._held_from is not None and number >= self._held_from

    @property
    def _limit(self) -> int:
        return self._done_until if self._held_from is None else min(self._done_until, self._held_from - 1)

    @property
    def has_due(self) -> bool:
        """Whether a state is true that has not gone out."""
        return bool(self._states) and self._states[0][0] <= self._limit

    def take(self) -> list[Any]:
        """Return the newest state that is true, in a list of one, and forget those before it; else an empty list."""
        limit = self._limit
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
        self._write = emit
        self._clock = clock
        self._book = StateBook()
        self._lock = threading.Lock()
        self._emitting = threading.Lock()
        self._finished: deque[int] = deque()
        self._emitted_at = clock()
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="states")
        self._emitter: Future[None] | None = None

    def note(self, number: int, state: Any) -> None:  # noqa: ANN401  any JSON value
        """Take a state that came after the record with this number.

        Raises:
            AppcrmError: an earlier one could not be emitted, so the run is to end.
        """
        self.check()
        with self._lock:
            self._count_done()
            self._book.note(number, state)
        if self._emitter is None:
            self._emitter = self._pool.submit(self._emit_what_is_due)

    def check(self) -> None:
        """Raise what kept a state from being emitted."""
        if self._emitter is not None and self._emitter.done():
            self._emitter.result()

    def done(self, number: int) -> None:
        """Take note that a record is written, skipped or among the rejects."""
        self._finished.append(number)

    def hold(self, number: int, *, for_good: bool = False) -> None:
        """Let no state out that came after this record, until ``release``, or for good."""
        with self._lock:
            self._book.hold(number, for_good=for_good)

    def release(self) -> None:
        """Let states out again."""
        with self._lock:
            self._book.release()

    def _emit_what_is_due(self) -> None:
        """Emit while a look-up or a server's rate limit keeps all other threads for minutes."""
        while not self._closed.wait(SECONDS_BETWEEN_LOOKS):
            if self._clock() - self._emitted_at >= SECONDS_BETWEEN_STATES:
                self._emit_newest()

    def emit(self) -> None:
        """Emit the newest true state, if there is one that has not gone out."""
        self.check()
        self._emit_newest()

    def _emit_newest(self) -> None:
        with self._emitting:
            with self._lock:
                self._count_done()
                if not self._book.has_due:
                    return
            self._make_durable()
            with self._lock:
                states = self._book.take()
            self._emitted_at = self._clock()
            for state in states:
                self._write(state)

    def close(self) -> None:
        """Emit nothing more."""
        self._closed.set()
        self._pool.shutdown()

    def _count_done(self) -> None:
        while self._finished:
            self._book.done(self._finished.popleft())
