"""A pool of threads on which look-ups go before writes, so that the next records are ready when these are done."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Workers:
    """Runs tasks on a fixed number of threads; a task must not raise.

    Args:
        count: threads, which is also the most requests in flight.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._urgent: deque[Callable[[], None]] = deque()
        self._tasks: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []

    def submit(self, tasks: Iterable[Callable[[], None]]) -> None:
        """Queue tasks behind those that wait."""
        with self._changed:
            self._start()
            before = len(self._tasks)
            self._tasks.extend(tasks)
            self._changed.notify(len(self._tasks) - before)

    def begin_urgent(self, work: Callable[[], ResultT]) -> Future[ResultT]:
        """Run ``work`` ahead of all that waits; return where its result, or what it raised, will be."""
        future: Future[ResultT] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001  handed on to whoever asks for the result, whatever it is
                future.set_exception(error)

        with self._changed:
            self._start()
            self._urgent.append(run)
            self._changed.notify()
        return future

    def map_urgent(self, work: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> list[ResultT]:
        """Run ``work`` on each item ahead of all that waits; return the results in order.

        Raises:
            Exception: the first one that any of them raised, after all have ended.
        """
        errors: list[Exception] = []

        def unless_one_failed(item: ItemT) -> ResultT:
            if errors:
                raise CancelledError
            try:
                return work(item)
            except Exception as error:
                errors.append(error)
                raise

        futures = [self.begin_urgent(partial(unless_one_failed, item)) for item in items]
        wait(futures)
        if errors:
            raise errors[0]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Let the threads end; what waits is not begun."""
        with self._changed:
            self._closed = True
            self._tasks.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        while len(self._threads) < self._count and not self._closed:
            thread = threading.Thread(target=self._run, name=f"worker-{len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._urgent or self._tasks or self._closed):
                    self._changed.wait()
                if self._urgent:
                    task = self._urgent.popleft()
                elif self._tasks:
                    task = self._tasks.popleft()
                else:
                    return
            task()
