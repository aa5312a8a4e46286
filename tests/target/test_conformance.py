"""The quick check of records never says yes where the SDK's validator says no."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.exceptions import InvalidRecord
from singer_sdk.sinks.core import JSONSchemaValidator

from target_appcrm.read.conformance import CLASSES, QuickValidator, quick_check

NAMES = st.sampled_from(["id", "email", "phones", "cf_score"])
KINDS = st.sampled_from(sorted(CLASSES))
ANNOTATIONS = st.fixed_dictionaries({}, optional={"title": st.just("a"), "format": st.just("date-time")})
PLAIN = st.builds(
    lambda kind, more: {"type": kind, **more}, KINDS | st.lists(KINDS, min_size=1, unique=True), ANNOTATIONS
)
RULES = st.sampled_from(
    [
        {"enum": ["a", 1]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "integer", "minimum": 3},
        {"type": "string", "maxLength": 2},
        {"not": {}},
        {"const": None},
        True,
        False,
        {},
    ]
)
SCHEMAS = st.recursive(
    PLAIN | RULES,
    lambda inner: st.builds(
        lambda kinds, properties, required, items, more: {
            "type": kinds,
            "properties": properties,
            "required": required,
            "items": items,
            **more,
        },
        st.lists(KINDS, min_size=1, unique=True),
        st.dictionaries(NAMES, inner, max_size=3),
        st.lists(NAMES, max_size=2, unique=True),
        inner,
        ANNOTATIONS,
    ),
    max_leaves=6,
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.sampled_from([1.0, 1.5, float("nan"), 1e300, Decimal("1.0"), Decimal("1.5")])
    | st.text(max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
CONTACT = {
    "type": "object",
    "properties": {
        "email": {"type": ["string", "null"]},
        "user_id": {"type": ["integer", "null"]},
        "cf_score": {"type": ["number", "null"]},
        "phones": {
            "type": ["array", "null"],
            "items": {"type": "object", "properties": {"number": {"type": "string"}}},
        },
    },
}


def is_valid(schema, value):
    try:
        JSONSchemaValidator(schema).validate(value)
    except InvalidRecord:
        return False
    return True


@given(SCHEMAS, VALUES)
def test_what_passes_the_quick_check_passes_the_sdks_validator(schema, value):
    fits = quick_check(schema)
    if fits is not None and fits(value):
        assert is_valid(schema, value)


@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), st.dictionaries(NAMES, VALUES, max_size=3))
def test_a_record_is_refused_exactly_where_the_sdks_validator_refuses_it(schema, record):
    validator = QuickValidator(schema, JSONSchemaValidator(schema))
    try:
        validator.validate(record)
        accepted = True
    except InvalidRecord:
        accepted = False
    assert accepted == is_valid(schema, record)


@pytest.mark.parametrize(
    "record",
    [
        {
            "email": "a@b.c",
            "user_id": 3,
            "cf_score": Decimal("7.5"),
            "phones": [{"number": "1", "type": "work"}],
        },
        {"email": None, "user_id": None, "phones": None},
        {},
    ],
)
def test_an_ordinary_contact_passes_at_first_sight(record):
    assert quick_check(CONTACT)(record)


@pytest.mark.parametrize(
    "record", [{"user_id": True}, {"user_id": "3"}, {"phones": [{"number": 1}]}, {"phones": {}}, {"email": 1}]
)
def test_a_contact_of_other_types_is_left_to_the_sdks_validator(record):
    assert not quick_check(CONTACT)(record)
