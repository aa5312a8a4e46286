import random

from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tap_appcrm.id_set import IdSet

IDS = st.sets(st.one_of(st.integers(0, 300), st.integers(0, 100_000), st.integers(0, 2**53)))


@budget(deadline=None)
@given(IDS)
def test_a_set_comes_back_from_its_text(ids):
    packed = IdSet(ids)
    again = IdSet.from_text(packed.to_text())
    assert again == packed
    assert list(again) == sorted(ids)
    assert list(reversed(again)) == sorted(ids, reverse=True)


@budget(deadline=None)
@given(IDS, IDS)
def test_it_is_a_set(added, removed):
    found = IdSet()
    for number in added:
        assert found.add(number)
        assert not found.add(number)
    found.to_text()
    for number in removed:
        found.discard(number)
    assert list(found) == sorted(added - removed)
    assert len(found) == len(added - removed)
    assert all(number in found for number in added - removed)
    assert not any(number in found for number in removed)
    assert list(IdSet.from_text(found.to_text())) == sorted(added - removed)


@budget(deadline=None)
@given(IDS, st.integers(0, 2**53))
def test_it_counts_what_is_below(ids, limit):
    assert IdSet(ids).count_below(limit) == sum(number < limit for number in ids)


def test_a_hundred_thousand_neighbours_take_a_few_characters():
    assert len(IdSet(range(1, 100_001)).to_text()) < 300


def test_gaps_at_random_cost_less_than_a_bit_each():
    chance = random.Random(1)  # noqa: S311  not for secrets
    ids = IdSet(number for number in range(100_000) if chance.random() < 0.9)
    assert len(ids.to_text()) < 100_000 / 8


def test_text_that_is_no_set_is_an_error():
    for text in ("", "nonsense", "AAAA", IdSet([1, 2]).to_text()[:-6]):
        try:
            found = IdSet.from_text(text)
        except ValueError:
            continue
        raise AssertionError((text, list(found)))
