"""A contact in one shape, whatever call sent it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appcrm import contact

# Hypothesis takes naive bounds and adds the time zone itself.
EARLIEST = datetime(1, 1, 2)  # noqa: DTZ001  see above
LATEST = datetime(9999, 12, 30)  # noqa: DTZ001  see above
MOMENTS = st.datetimes(min_value=EARLIEST, max_value=LATEST, timezones=st.just(timezone.utc))


@given(MOMENTS)
def test_the_canonical_form_of_a_moment_reads_back_as_that_moment(moment):
    assert contact.parse_timestamp(contact.format_timestamp(moment)) == moment


@given(MOMENTS, MOMENTS)
def test_the_canonical_form_sorts_as_the_moments_do(one, other):
    assert (contact.format_timestamp(one) < contact.format_timestamp(other)) == (one < other)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-23T04:58:56.000000Z",
        "2026-01-23T04:58:56Z",
        "2026-01-23 04:58:56",
        "2026-01-23T04:58:56",
        "2026-01-23T01:58:56-03:00",
        "2026-01-23T01:58:56.000-0300",
        "2026-01-23T04:58:56.0000000Z",
    ],
)
def test_every_form_of_one_moment_becomes_the_same_text(text):
    assert contact.canonical_timestamp(text) == "2026-01-23T04:58:56.000000Z"


@pytest.mark.parametrize(
    "value", [None, "", "yesterday", "2026-13-40", "2026-01-23T25:00:00Z", 7, {}, "٢٠٢٦-01-01"]
)
def test_what_is_no_moment_is_none(value):
    assert contact.canonical_timestamp(value) is None


def test_a_naive_datetime_means_utc():
    naive = datetime(2026, 1, 23, 4, 58, 56)  # noqa: DTZ001  the claim is about exactly this
    there = timezone(timedelta(hours=-3))
    assert contact.parse_timestamp(naive) == datetime(2026, 1, 23, 1, 58, 56, tzinfo=there)


def test_what_is_read_loses_its_screen_noise_and_takes_one_shape():
    row = {
        "id": 7,
        "first_name": "Ana",
        "phones": [{"id": 1, "number": "+55", "type": "mobile", "extra": 1}],
        "tags": [{"id": 3, "name": "vip", "swatch_color": "#fff"}, "lead"],
        "companies": [{"id": 4, "name": "Acme"}, 5],
        "user": {"id": 2, "name": "Bia", "email": "bia@example.com"},
        "updated_at": "2026-01-23 04:58:56",
        "cf_plans": [{"id": 1, "label": "Gold"}, {"id": 2, "label": "Silver"}],
        "cf_plan": {"id": 9, "label": "Basic"},
        "cf_score": 1.5,
        **dict.fromkeys(contact.SCREEN_NOISE, "x"),
    }
    assert contact.normalise(row) == {
        "id": 7,
        "first_name": "Ana",
        "phones": [{"id": 1, "number": "+55", "type": "mobile"}],
        "tags": ["vip", "lead"],
        "companies": [4, 5],
        "user": {"id": 2, "name": "Bia"},
        "updated_at": "2026-01-23T04:58:56.000000Z",
        "cf_plans": [1, 2],
        "cf_plan": 9,
        "cf_score": 1.5,
    }


def test_associations_that_were_not_sent_are_absent_not_empty():
    assert "companies" not in contact.normalise({"id": 7})
    assert "companies" not in contact.normalise({"id": 7, "companies": None})
    assert contact.normalise({"id": 7, "companies": []})["companies"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "number", "type"]), inner)
    ),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["phones", "tags", "companies", "deals", "activities", "updated_at", "user", "cf_x", "email", "avatar"]
)


@given(st.dictionaries(FIELDS, JSON))
def test_normalising_survives_any_json_and_changes_nothing_the_second_time(row):
    once = contact.normalise(row)
    assert contact.normalise(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "0000-00-00T00:00:00.000000Z",
        "2026-02-30T00:00:00.000000Z",
        "2026-01-01T99:00:00.000000Z",
        "-0001-11-30",
    ],
)
def test_a_day_that_is_none_is_none_even_in_the_apis_own_form(text):
    assert contact.canonical_timestamp(text) is None


def test_a_null_under_select_says_nothing_about_what_was_not_selected():
    row = {
        "id": 7,
        "first_name": "Ana",
        "email": None,
        "cf_score": 0,
        "phones": [],
        "tags": [],
        "calls_count": 0,
    }
    assert contact.only_selected(row, ("first_name",)) == {
        "id": 7,
        "first_name": "Ana",
        "phones": [],
        "tags": [],
        "calls_count": 0,
    }
    assert contact.only_selected(row, ("first_name", "email"))["email"] is None


@pytest.mark.parametrize("value", ["9" * 5000, "", " ", "1.5", "x", None, True, 1.0])
def test_what_is_no_id_is_none(value):
    assert contact.as_id(value) is None


@pytest.mark.parametrize("phones", [None, "x", 7])
def test_phones_that_were_not_sent_as_a_list_are_none(phones):
    assert contact.phone_list(phones) is None


def test_phones_may_be_texts_and_a_single_select_a_whole_number():
    assert contact.phone_list(["+55", 5511]) == [
        {"id": None, "number": "+55", "type": None},
        {"id": None, "number": "5511", "type": None},
    ]
    assert contact.normalise({"id": 7, "cf_plan": 3, "cf_price": 0}) == {"id": 7, "cf_plan": 3, "cf_price": 0}
