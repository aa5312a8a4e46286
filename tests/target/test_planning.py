"""What is sent for one record: pure decisions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appcrm.contact import ASSOCIATIONS
from target_appcrm.errors import Unwritable
from target_appcrm.match.equality import same_number, same_value
from target_appcrm.match.keys import match_keys, resolve
from target_appcrm.match.phones import phones_to_send, same_phones
from target_appcrm.write.associations import applied, plan_associations
from target_appcrm.write.diff import difference

WORDS = st.text("abcçé ", max_size=4)
PHONES = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.sampled_from(["+55 11 1", "+55 11 2", "3", "4"]),
            "type": st.sampled_from([None, "work", "other"]),
        }
    ),
    max_size=3,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "last_name": st.none() | WORDS,
        "email": st.none() | st.sampled_from(["a@x.io", "A@x.io", "b@x.io"]),
        "phones": PHONES,
        "tags": st.lists(st.sampled_from(["vip", "VIP", "lead"]), max_size=3),
        "cf_number": st.none() | st.decimals(-99, 99, places=2),
        "cf_plans": st.lists(st.integers(1, 4), max_size=3),
        "cf_flag": st.none() | st.booleans(),
    },
)


@given(FIELDS, FIELDS, st.booleans())
def test_after_a_difference_is_written_nothing_differs(wanted, held, clears_nulls):
    body, _ = difference(wanted, {"id": 1, **held}, clears_nulls=clears_nulls)
    again, changes = difference(wanted, {"id": 1, **held, **body}, clears_nulls=clears_nulls)
    assert (again, changes) == ({}, {})


@given(FIELDS)
def test_a_record_equal_to_its_contact_sends_nothing(fields):
    assert difference(fields, {"id": 1, **fields}, clears_nulls=True) == ({}, {})


@pytest.mark.parametrize(
    ("wanted", "held"),
    [
        ("12.50", 12.5),
        (Decimal("12.5"), "12.50"),
        (1, True),
        ("true", True),
        ("2026-01-02", "2026-01-02T00:00:00.000000Z"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T00:04:05-03:00", "2026-01-02T03:04:05.000000Z"),
        ([2, 1], [{"id": 1}, {"id": 2}]),
        (7, {"id": 7, "label": "Gold"}),
        ("", None),
        (" São Paulo", "São Paulo"),
        ("Rua 1\nAp. 2\n", "Rua 1\r\nAp. 2"),
        (Decimal("19.899999999999998"), 19.9),
        (19.899999, "19.90"),
    ],
)
def test_values_that_the_crm_stores_in_another_form_are_the_same(wanted, held):
    assert same_value(wanted, held)


@pytest.mark.parametrize(
    ("wanted", "held"),
    [
        ("a", "b"),
        (1, 2),
        (True, False),
        ([1], [1, 2]),
        ("x", None),
        (0, None),
        (19.91, "19.90"),
        (19.94, "19.9"),
    ],
)
def test_values_that_differ_do_differ(wanted, held):
    assert not same_value(wanted, held)


def test_phones_are_the_same_in_any_order_and_notation():
    ours = [{"number": "+55 (11) 98888-0000", "type": None}, {"number": "4020-4020", "type": "work"}]
    theirs = [{"number": "40204020", "type": "work"}, {"number": "+5511988880000", "type": "mobile"}]
    assert same_phones(ours, theirs)


@pytest.mark.parametrize(
    "wanted",
    [
        [("11 99", None), ("1199", "other")],
        [("1199", "other"), ("1199", "other")],
        [("1199", None), ("11-99", None)],
    ],
)
@pytest.mark.parametrize("held", [[], [{"id": 1, "number": "1199", "type": "work"}]])
def test_a_phone_that_a_record_lists_twice_is_sent_once_and_then_differs_no_more(wanted, held):
    wanted = [{"number": number, "type": kind} for number, kind in wanted]
    sent = phones_to_send(wanted, held)
    assert len(sent) == 1
    assert same_phones(wanted, [{"type": "mobile", **phone} for phone in sent])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("11 3333-4444", "+551133334444", True),
        ("011 3333-4444", "+55 11 3333-4444", True),
        ("0055 11 3333 4444", "+551133334444", True),
        ("551133334444", "+551133334444", True),
        ("+1 133334444", "+44 133334444", False),
        ("3333-4444", "3333-4445", False),
        ("4020", "+554020", False),
    ],
)
def test_a_number_without_its_country_s_prefix_is_the_number_with_it(one, other, same):
    assert same_number(one, other) is same
    assert same_phones([{"number": one}], [{"number": other, "type": "work"}]) is same


SETS = st.dictionaries(st.sampled_from(ASSOCIATIONS), st.lists(st.integers(1, 5), unique=True, max_size=4))
MODES = st.fixed_dictionaries(
    {name: st.sampled_from(["sync", "attach", "detach", "ignore"]) for name in ASSOCIATIONS}
)


@given(SETS, MODES, SETS, st.booleans())
def test_the_planned_calls_lead_to_what_each_mode_promises(wanted, modes, held, has_update):
    held = {name: held.get(name, []) for name in ASSOCIATIONS}
    plan = plan_associations(wanted, modes, held, has_update=has_update)
    after = {**held, **plan.body}
    for call, sets in plan.calls.items():
        after = applied(call, sets, after)
    for name in ASSOCIATIONS:
        ids, before, mode = (
            set(wanted.get(name, ())),
            set(held[name]),
            modes[name] if name in wanted else "ignore",
        )
        promised = {"sync": ids, "attach": before | ids, "detach": before - ids, "ignore": before}[mode]
        assert set(after[name]) == promised


@given(SETS, MODES)
def test_nothing_is_called_where_nothing_differs(wanted, modes):
    modes = {name: "sync" if mode == "detach" else mode for name, mode in modes.items()}
    held = {name: wanted.get(name, []) for name in ASSOCIATIONS}
    plan = plan_associations(wanted, modes, held, has_update=True)
    assert (plan.body, plan.calls) == ({}, {})


@given(SETS, MODES, SETS)
def test_one_record_takes_at_most_one_call_of_each_kind(wanted, modes, held):
    plan = plan_associations(
        wanted, modes, {name: held.get(name, []) for name in ASSOCIATIONS}, has_update=False
    )
    assert len(plan.calls) <= len({mode for name, mode in modes.items() if name in wanted})


def test_keys_that_point_at_different_contacts_are_refused_not_guessed():
    contacts = [
        {"id": 1, "email": "a@x.io", "phones": []},
        {"id": 2, "email": None, "phones": [{"number": "+55 1"}]},
    ]
    keys = match_keys(("email", "phones.number"), {"email": "A@x.io", "phones": [{"number": "+551"}]})
    with pytest.raises(Unwritable, match="more than one contact"):
        resolve(keys, contacts)


def test_an_id_that_is_not_there_falls_through_to_the_next_key():
    keys = match_keys(("id", "email"), {"id": 99, "email": "a@x.io"})
    assert resolve(keys, [{"id": 1, "email": "A@X.io"}])["id"] == 1
