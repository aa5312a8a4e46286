"""Which states may go out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from target_appcrm.progress import StateBook


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
