"""Which states may go out."""

from __future__ import annotations

import itertools
import queue
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_appcrm.state import StateBook, States


@given(
    st.lists(st.booleans(), max_size=30), st.randoms(use_true_random=False), st.none() | st.integers(1, 10)
)
def test_a_state_goes_out_only_when_every_record_before_it_is_done(script, chance, held):
    """True in the script is a record, False a state that names how many records came before it."""
    book = StateBook()
    open_records = []
    count = 0
    out = []
    for is_record in script:
        if is_record:
            count += 1
            open_records.append(count)
            if count == held:
                book.hold(count)
        else:
            book.note(count, count)
        while open_records and chance.random() < 0.5:
            book.done(open_records.pop(chance.randrange(len(open_records))))
        for state in book.take():
            out.append(state)
            assert all(number > state for number in open_records)
            assert held is None or held > count or state < held
    assert out == sorted(out)


@given(st.permutations(range(1, 9)))
def test_when_all_is_done_the_last_state_goes_out_whatever_the_order(order):
    book = StateBook()
    book.note(3, "early")
    book.note(8, "last")
    for number in order:
        book.done(number)
    assert book.take() == ["last"]
    assert book.take() == []


def test_a_state_before_any_record_goes_out_at_once():
    book = StateBook()
    book.note(0, {})
    assert book.take() == [{}]


@given(st.integers(1, 50), st.integers(1, 50))
def test_of_states_that_wait_for_a_delete_only_the_last_is_kept(held, more):
    book = StateBook()
    book.note(0, 0)
    book.hold(held)
    for number in range(1, held + more):
        book.done(number)
        book.note(number, number)
    assert len(book) <= 2
    assert book.take() == [held - 1]
    book.release()
    assert book.take() == [held + more - 1]


def test_a_state_that_is_due_goes_out_while_everything_else_waits():
    moments = itertools.count(0, 100)
    out = queue.Queue()
    states = States(lambda: None, out.put, clock=lambda: float(next(moments)))
    states.note(1, "waits")
    states.done(1)
    assert out.get(timeout=30) == "waits"
    states.close()


def test_a_state_that_cannot_go_out_ends_the_run():
    asked = threading.Event()

    def fail(state):
        asked.set()
        raise BrokenPipeError(state)

    moments = itertools.count(0, 100)
    states = States(lambda: None, fail, clock=lambda: float(next(moments)))
    states.note(0, "lost")
    assert asked.wait(30)
    states.close()
    with pytest.raises(BrokenPipeError):
        states.note(1, "later")
    with pytest.raises(BrokenPipeError):
        states.emit()
