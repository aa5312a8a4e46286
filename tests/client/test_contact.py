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
