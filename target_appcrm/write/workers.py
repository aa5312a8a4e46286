"""Threads for requests: as many as may be in flight, and what they raise is raised where it is asked for."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Workers:
    """Runs tasks on a fixed number of threads.

    Args:
        count: threads, which is also the most requests in flight.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="worker")

    def begin(self, work: Callable[[], ResultT]) -> Future[ResultT]:
        """Queue a task; return where its result, or what it raised, will be."""
        return self._pool.submit(work)

    def map(self, work: Callable[[ItemT], ResultT], items: Iterable[ItemT]) -> list[ResultT]:
        """Run ``work`` on each item; return the results in order.

        Raises:
            BaseException: the first one that any of them raised; what waits is not begun then, what runs ends.
        """
        failed = threading.Event()

        def note(future: Future[ResultT]) -> None:
            if future.cancelled() or future.exception() is not None:
                failed.set()

        def unless_one_failed(item: ItemT) -> ResultT:
            if failed.is_set():
                raise CancelledError
            return work(item)

        futures = []
        for item in items:
            futures.append(self._pool.submit(unless_one_failed, item))
            futures[-1].add_done_callback(note)
        wait(futures)
        errors = [error for future in futures if (error := future.exception()) is not None]
        for error in errors:
            if not isinstance(error, CancelledError):
                raise error
        return [future.result() for future in futures]

    def close(self) -> None:
        """Let the threads end; what waits is not begun."""
        self._pool.shutdown(cancel_futures=True)
