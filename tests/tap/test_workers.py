"""Requests in the background: how many at a time, how far ahead, and what is left when the reader ends."""

import threading

import pytest

from tap_appcrm.source.thread_pool import RESULTS_AHEAD, Stop, Terminated, Workers

SIZE = 4
FAR = range(1, 3 * RESULTS_AHEAD)


class Calls:
    """A call that waits until it may end, and knows how many of it run."""

    def __init__(self):
        self.may_end = threading.Event()
        self.begun = []
        self._ended = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._running = 0
        self.most_running = 0

    def __call__(self, key):
        with self._lock:
            self.begun.append(key)
            self._running += 1
            self.most_running = max(self.most_running, self._running)
        assert self.may_end.wait(60)
        with self._lock:
            self._running -= 1
        self._ended.release()
        return -key

    def wait_for(self, count):
        for _ in range(count):
            assert self._ended.acquire(timeout=60)


@pytest.fixture
def calls():
    made = Calls()
    yield made
    made.may_end.set()


@pytest.fixture
def workers():
    return Workers(SIZE, Stop())


def test_results_come_in_the_order_of_their_keys(workers, calls):
    calls.may_end.set()
    with workers.in_order(calls, FAR) as results:
        assert list(results) == [(key, -key) for key in FAR]


def test_calls_begin_before_the_first_result_is_asked_for_and_stop_at_those_that_may_wait(workers, calls):
    calls.may_end.set()
    with workers.in_order(calls, FAR) as results:
        calls.wait_for(RESULTS_AHEAD)
        assert sorted(calls.begun) == list(FAR[:RESULTS_AHEAD])
        next(results)
        calls.wait_for(1)
        assert len(calls.begun) == RESULTS_AHEAD + 1


def test_never_more_calls_run_than_there_are_threads(workers, calls):
    with workers.in_order(calls, FAR) as results:
        calls.may_end.set()
        assert len(list(results)) == len(FAR)
    assert 1 < calls.most_running <= SIZE


def test_a_reader_that_ends_early_leaves_nothing_to_begin(workers, calls):
    with workers.in_order(calls, FAR):
        pass
    calls.may_end.set()
    workers.call(lambda: None)  # it is queued behind all that could still begin
    assert len(calls.begun) <= SIZE


def test_a_failure_comes_where_its_result_would(workers):
    def fail_at_three(key):
        if key == 3:
            raise LookupError(key)
        return key

    with workers.in_order(fail_at_three, range(6)) as results:
        assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
        with pytest.raises(LookupError):
            next(results)


def test_a_run_that_was_told_to_end_waits_for_no_result(calls):
    stop = Stop()
    workers = Workers(SIZE, stop)
    with workers.in_order(calls, FAR) as results:
        stop.tell(15)
        with pytest.raises(Terminated):
            next(results)
