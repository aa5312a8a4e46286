"""Requests in the background: threads that a shutdown need not wait for, and results in order."""

from __future__ import annotations

import queue
import signal
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
K = TypeVar("K")

LOOK_SECONDS = 0.2
"""How often a waiting main thread looks whether it should end."""


class Terminated(SystemExit):
    """The run was told to end: the exit code is 128 and the signal's number."""


class Stop:
    """Whether the run was told to end, for all its threads."""

    def __init__(self) -> None:
        self._told = threading.Event()
        self._signal = int(signal.SIGTERM)

    def tell(self, signal_number: int) -> None:
        """Ask the run to end at the next place where its output and state are whole."""
        self._signal = signal_number
        self._told.set()

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

    def in_order(self, function: Callable[[K], T], keys: Iterable[K]) -> Iterator[tuple[K, T]]:
        """Yield each key with its result in the order of the keys, with at most ``size`` calls ahead."""
        waiting: deque[tuple[K, Future[T]]] = deque()
        remaining = iter(keys)
        try:
            while True:
                while len(waiting) < self.size:
                    key = next(remaining, None)
                    if key is None:
                        break
                    waiting.append((key, self.submit(function, key)))
                if not waiting:
                    return
                key, future = waiting[0]
                result = self.result(future)
                waiting.popleft()
                following = next(remaining, None)
                if following is not None:
                    waiting.append((following, self.submit(function, following)))
                yield key, result
        finally:
            for _, future in waiting:
                future.cancel()
