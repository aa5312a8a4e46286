"""Records are held to their schema in bounded time, whatever the schema says, and nothing is fetched for it."""

from __future__ import annotations

import socket
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_appcrm.read.conformance import MOST_STEPS, TYPES, Budget, Conformance, is_bounded

EXACT = settings(derandomize=True)
NAMES = st.sampled_from(["id", "email", "phones", "cf_score"])
KINDS = st.sampled_from(sorted(TYPES))
RULES = st.sampled_from(
    [
        {"enum": ["a", 1, True]},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"oneOf": [{"type": "integer"}, {"minimum": 2}]},
        {"allOf": [{"type": "number"}, {"maximum": 4}]},
        {"type": "integer", "minimum": 3},
        {"exclusiveMaximum": 3, "exclusiveMinimum": -1},
        {"multipleOf": 3},
        {"type": "string", "maxLength": 2, "minLength": 1},
        {"pattern": "^a"},
        {"not": {}},
        {"not": {"type": "string"}},
        {"const": None},
        {"minItems": 1, "maxItems": 2},
        {"additionalProperties": False, "properties": {"id": {}}},
        {"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": "null"}},
        {"$ref": "#/definitions/short"},
        True,
        False,
        {},
    ]
)
PLAIN = st.builds(lambda kind: {"type": kind}, KINDS | st.lists(KINDS, min_size=1, unique=True))
SCHEMAS = st.recursive(
    PLAIN | RULES,
    lambda inner: st.builds(
        lambda kinds, properties, required, items: {
            "type": kinds,
            "properties": properties,
            "required": required,
            "items": items,
        },
        st.lists(KINDS, min_size=1, unique=True),
        st.dictionaries(NAMES, inner, max_size=3),
        st.lists(NAMES, max_size=2, unique=True),
        inner,
    ),
    max_leaves=6,
).map(
    lambda schema: (
        schema if isinstance(schema, bool) else {**schema, "definitions": {"short": {"maxLength": 1}}}
    )
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.sampled_from([1.0, 1.5, 1e300])
    | st.text("ab", max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DECIMAL_COLUMN = {
    "type": ["null", "number"],
    "exclusiveMaximum": True,
    "exclusiveMinimum": True,
    "maximum": Decimal("1e62"),
    "minimum": Decimal("-1e62"),
    "multipleOf": Decimal("1e-38"),
}


def fault(definition, value):
    return Conformance({"properties": {"x": definition}}).fault({"x": value})


@EXACT
@given(SCHEMAS, VALUES)
def test_a_value_is_refused_exactly_where_the_standard_refuses_it(schema, value):
    conformance = Conformance(schema)
    found = conformance._fault(schema, value, "", Budget())  # noqa: SLF001  values that are no records, too
    assert (found is None) == jsonschema.Draft7Validator(schema).is_valid(value)


@pytest.mark.parametrize("value", [Decimal("19.99"), 19.99, 3, None, Decimal("1e-38"), Decimal("9e61")])
def test_a_numeric_column_as_taps_describe_it_takes_its_numbers(value):
    assert fault(DECIMAL_COLUMN, value) is None


@pytest.mark.parametrize("value", [Decimal("1e62"), Decimal("-1e62"), Decimal("1e-39"), "19.99", True])
def test_and_no_other(value):
    assert fault(DECIMAL_COLUMN, value)


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:1/x", "file:///etc/passwd", "other.json", "#/nowhere", 5]
)
def test_what_a_schema_refers_to_elsewhere_is_never_fetched(monkeypatch, reference):
    monkeypatch.setattr(socket.socket, "connect", None)
    monkeypatch.setattr("urllib.request.urlopen", None)
    assert fault({"$ref": reference}, "a") is None


ENDS = (
    "fits what its schema's not forbids",
    "does not match its schema's pattern",
    "fits none of its schema's anyOf",
)


def nested(schema, times, keyword="anyOf", *, twice=False):
    for _ in range(times):
        schema = {keyword: [schema, schema] if twice else [schema]}
    return schema


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ({"$ref": "#"}, "a"),
        ({"anyOf": [{"$ref": "#/properties/x"}, {"$ref": "#/properties/x"}]}, "a"),
        ({"items": {"$ref": "#/properties/x"}}, [[[[]]]]),
        (nested({"type": "string"}, 300), 1),
        (nested({"type": "string"}, 60, twice=True), 1),
        (nested({"not": {}}, 60, "allOf", twice=True), 1),
        ({"pattern": "^(a+)+$"}, "a" * 40 + "b"),
        ({"pattern": "(a|aa)+$"}, "a" * 40 + "b"),
        ({"pattern": "a?" * 40 + "a" * 40}, "a" * 40),
        ({"pattern": r"(.*)\1\1x"}, "a" * 5_000),
        ({"pattern": ".*.*.*.*=.*"}, "a" * 5_000),
        ({"pattern": "(" * 100}, "a"),
        ({"pattern": "a{99999999999999}"}, "a"),
        ({"pattern": r"\p{L}"}, "a"),
    ],
    ids=range(14),
)
def test_a_schema_that_never_ends_ends(definition, value):
    assert fault(definition, value) in (None, *(f"x {end}" for end in ENDS))


@EXACT
@given(st.text("ab()[]{}*+?|\\.^$1,", max_size=12), st.text("ab", max_size=30))
def test_any_pattern_ends(pattern, value):
    fault({"pattern": pattern}, value)


@pytest.mark.parametrize("pattern", [r"^[^@\s]+@[^@\s]+$", r"^\d{4}-\d{2}-\d{2}$", "^(a|b)c$", "[(*+]{2}"])
def test_an_ordinary_pattern_is_checked(pattern):
    assert is_bounded(pattern, 40)
    assert fault({"pattern": pattern}, "no such text")


@pytest.mark.parametrize(
    "schema",
    [
        None,
        5,
        [],
        {"type": 5},
        {"type": ["string", 5]},
        {"properties": 5},
        {"properties": {"x": 5}},
        {"required": 5},
    ]
    + [
        {word: 5}
        for word in ("enum", "items", "anyOf", "not", "if", "pattern", "maximum", "$ref", "prefixItems")
    ]
    + [{word: "x"} for word in ("multipleOf", "minimum", "maxLength", "minItems", "additionalProperties")],
    ids=str,
)
def test_a_schema_that_makes_no_sense_refuses_nothing(schema):
    assert Conformance(schema).fault({"x": "a", "y": [1]}) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), 10**300])
def test_no_number_is_too_odd_to_be_judged(value):
    for kind in TYPES:
        fault({"type": kind, "multipleOf": 2, "minimum": 1}, value)


def test_what_is_left_unchecked_after_many_steps_refuses_nothing():
    many = list(range(2 * MOST_STEPS))
    assert fault({"type": "array", "items": {"maximum": MOST_STEPS // 4}}, many)
    assert fault({"type": "array", "items": {"type": "integer", "maximum": 2 * MOST_STEPS - 2}}, many) is None


def test_a_refusal_names_the_field_and_not_its_value():
    found = fault(
        {"type": "object", "properties": {"y": {"items": {"type": "integer"}}}}, {"y": [1, "secret"]}
    )
    assert found == "x.y[1] is not of type integer"
