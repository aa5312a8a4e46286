"""Requests in the background: threads that a shutdown need not wait for, and results in order."""

from __future__ import annotations

import queue
import signal
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
K = TypeVar("K")

LOOK_SECONDS = 0.2
"""How often a waiting main thread looks whether it should end."""
RESULTS_AHEAD = 32
"""Pages of a hundred contacts, packed: some 5 MB. A reader that pauses, as one that still imports, costs no time."""


class Terminated(SystemExit):
    """The run was told to end: the exit code is 128 and the signal's number."""


class Stop:
    """Whether the run was told to end, for all its threads."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._signal = int(signal.SIGTERM)
        self._to_call: list[Callable[[], None]] = []

    def calls(self, function: Callable[[], None]) -> None:
        """Have a function called when the run is told to end."""
        self._to_call.append(function)

    def tell(self, signal_number: int) -> None:
        """Ask the run to end at the next place where its output and state are whole."""
        self._signal = signal_number
        self._told.set()
        for function in self._to_call:
            function()

    def check(self) -> None:
        """Raise if the run was told to end.

        Raises:
            Terminated: it was.
        """
        if self._told.is_set():
            raise Terminated(128 + self._signal)

    def sleep(self, seconds: float) -> None:
        """Wait for seconds, unless told to end.

        Raises:
            Terminated: the run was told to end.
        """
        if self._told.wait(seconds):
            raise Terminated(128 + self._signal)


class Workers:
    """At most ``size`` daemon threads: a request in flight must not hold up a run that was told to end."""

    def __init__(self, size: int, stop: Stop) -> None:
        self.size = size
        self._stop = stop
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = 0
        self._idle = threading.Semaphore(0)

    def submit(self, call: Callable[..., T], *arguments: Any) -> Future[T]:  # noqa: ANN401  passed on
        """Run a call in the background."""
        future: Future[T] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call(*arguments))
            except BaseException as error:  # noqa: BLE001  raised again where the result is waited for
                future.set_exception(error)

        self._tasks.put(task)
        if not self._idle.acquire(blocking=False) and self._threads < self.size:
            self._threads += 1
            threading.Thread(target=self._work, name=f"appcrm-{self._threads}", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            self._tasks.get()()
            self._idle.release()

    def result(self, future: Future[T]) -> T:
        """Wait for a result, looking now and then whether to end.

        Raises:
            Terminated: the run was told to end.
        """
        while True:
            self._stop.check()
            try:
                return future.result(timeout=LOOK_SECONDS)
            except StillRunning:
                # From Python 3.11 on, a call's own TimeoutError is the same class.
                if future.done():
                    return future.result()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401  passed on
        """Run one call in the background and wait for it."""
        return self.result(self.submit(function, *arguments))

    @contextmanager
    def in_order(self, function: Callable[[K], T], keys: Iterable[K]) -> Iterator[Iterator[tuple[K, T]]]:
        """Begin calls at once, and give each key with its result in the order of the keys.

        Results that nobody has asked for yet wait, at most ``RESULTS_AHEAD``; what is left at the end is not begun.
        """
        waiting: deque[tuple[K, Future[T]]] = deque()
        remaining = iter(keys)

        def begin(count: int) -> None:
            waiting.extend((key, self.submit(function, key)) for key in islice(remaining, count))

        def results() -> Iterator[tuple[K, T]]:
            while waiting:
                key, future = waiting[0]
                result = self.result(future)
                waiting.popleft()
                begin(1)
                yield key, result

        begin(max(self.size, RESULTS_AHEAD))
        try:
            yield results()
        finally:
            for _, future in waiting:
                future.cancel()
