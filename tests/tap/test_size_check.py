"""Whether a CRM may have become so much smaller, on plain data."""

import pytest

from tap_appcrm.id_set import IdSet
from tap_appcrm.replication.shrink import ShrunkTooMuch, SizeCheck
from tap_appcrm.shrink_limit import ShrinkLimit
from tap_appcrm.state import StreamState


def check_of(before, *, limit="20%", compares=True, knows_all=True, **known):
    state = StreamState.parse("contacts", {})
    state.proven_total = before
    for name, value in known.items():
        setattr(state, name, value)
    limited = ShrinkLimit.parse(limit)
    return SizeCheck("contacts", state, limited, knows_all=knows_all, compares=compares), state


@pytest.mark.parametrize(
    ("before", "found", "stops"),
    [
        (100, 80, False),
        (100, 79, True),
        (100, 200, False),
        (20, 10, False),
        (20, 9, True),
        (None, 0, False),
        (100, None, False),
    ],
)
def test_a_read_stops_just_past_the_limit(before, found, stops):
    check, _ = check_of(before)
    assert check.is_much_smaller(found) is stops
    if stops:
        with pytest.raises(ShrunkTooMuch) as raised:
            check.check(found)
        said = str(raised.value)
        assert said.startswith(
            f"stream contacts: the CRM shows {found}, and the last complete read found {before}; "
        )
        assert f"set max_shrink to {before - found} for one run" in said
    else:
        check.check(found)


def test_nothing_is_held_against_a_read_from_which_nothing_follows():
    check, _ = check_of(100, compares=False)
    check.check(0)
    assert not check.is_much_smaller(0)


def test_an_old_state_knows_how_many_there_were_by_its_ids_where_they_were_all():
    known = {"known_ids": IdSet(range(100)), "unlisted_ids": IdSet(range(40))}
    assert check_of(None, **known)[0].is_much_smaller(39)
    assert not check_of(None, **known)[0].is_much_smaller(48)
    assert not check_of(None, knows_all=False, **known)[0].is_much_smaller(0)
    assert check_of(100, knows_all=False, **known)[0].is_much_smaller(39)


def test_what_was_found_is_remembered_but_not_a_number_that_was_too_small():
    check, state = check_of(100)
    check.note(90)
    assert state.proven_total == 90
    check.note(10)
    assert state.proven_total == 90
