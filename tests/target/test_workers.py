"""Look-ups on the pool of threads: results in order, and nothing begun after a failure."""

from __future__ import annotations

import threading

import pytest

from target_appcrm.write.workers import Workers


@pytest.fixture
def workers():
    pool = Workers(1)
    yield pool
    pool.close()


def test_results_come_in_the_order_of_the_items(workers):
    assert workers.map_urgent(lambda number: number * number, range(5)) == [0, 1, 4, 9, 16]
    assert workers.map_urgent(str, []) == []


def test_after_a_failure_nothing_that_waits_is_begun(workers):
    begun = []

    def fail_at_three(number):
        begun.append(number)
        if number == 3:
            raise ValueError(number)

    with pytest.raises(ValueError, match="3"):
        workers.map_urgent(fail_at_three, range(9))
    assert begun == [0, 1, 2, 3]


def test_what_is_urgent_goes_before_what_was_submitted_earlier(workers):
    order, may_go_on = [], threading.Event()
    workers.submit([may_go_on.wait, lambda: order.append("submitted")])
    ahead = workers.begin_urgent(lambda: order.append("urgent"))
    may_go_on.set()
    ahead.result(timeout=10)
    workers.map_urgent(order.append, ["urgent, too"])
    workers.close()
    assert order[0] == "urgent"
