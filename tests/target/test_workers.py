"""Tasks on the pool of threads: results in order, and nothing begun after a failure."""

from __future__ import annotations

import pytest

from target_appcrm.write.workers import Workers


@pytest.fixture
def workers():
    pool = Workers(1)
    yield pool
    pool.close()


def test_results_come_in_the_order_of_the_items(workers):
    assert workers.map(lambda number: number * number, range(5)) == [0, 1, 4, 9, 16]
    assert workers.map(str, []) == []


def test_after_a_failure_nothing_that_waits_is_begun(workers):
    begun = []

    def fail_at_three(number):
        begun.append(number)
        if number == 3:
            raise ValueError(number)

    with pytest.raises(ValueError, match="3"):
        workers.map(fail_at_three, range(9))
    assert begun == [0, 1, 2, 3]


def test_what_a_task_raises_is_handed_on_whatever_it_is(workers):
    class Odd(BaseException):
        pass

    def fail():
        raise Odd

    assert isinstance(workers.begin(fail).exception(timeout=10), Odd)
    assert workers.begin(lambda: 7).result(timeout=10) == 7
