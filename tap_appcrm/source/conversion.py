"""From a value of the API to the type of its column: without loss, or not at all."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from appcrm.contact import as_id, canonical_timestamp, option_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Convert = Callable[[Any], Any]

Schema = dict[str, Any]

NUMBER_TEXT = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
MOST_DIGITS = 400
"""A number of more digits is beyond any column, and turning its text into one takes long."""

INTEGERS = range(-(2**63), 2**63)
"""What the widest whole-number column of a warehouse holds."""

EXACT_FLOATS = 2**53
"""Up to here each whole number has a float of its own."""

DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ]00:00(?::00(?:\.0+)?)?\s*(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
"""A date alone, or with the midnight that the API writes behind one."""

DEEPEST = 100
"""Levels of nesting that a record may have."""


class Misfit(Exception):
    """A value that its column cannot take without loss."""


def text_of(value: object) -> str:
    """Write any JSON value as text: text stays as it is, a whole number that came as a float is written whole."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_FLOATS:
        return str(int(value))
    try:
        return msgspec.json.encode(value).decode() if _is_json(value) else str(value)
    except RecursionError:
        return "nested too deeply to be written"


def _is_json(value: object) -> bool:
    """Whether JSON has a form for a number: there is none for infinity and NaN."""
    return not isinstance(value, float) or isfinite(value)


def to_integer(value: Any) -> int:  # noqa: ANN401  any JSON value
    """Take a whole number, or text or a float that is exactly one."""
    found: int | None = None
    if value.__class__ is int:
        found = value
    elif isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_FLOATS:
        found = int(value)
    elif isinstance(value, str) and len(value) < MOST_DIGITS:
        text = value.strip()
        if NUMBER_TEXT.fullmatch(text) and text.removeprefix("-").isdigit():
            found = int(text)
    if found is None or found not in INTEGERS:
        raise Misfit
    return found


def to_number(value: Any) -> float:  # noqa: ANN401  any JSON value
    """Take a finite number, or text that is exactly one."""
    with suppress(OverflowError):
        if value.__class__ in (float, int) and isfinite(value):
            return value
    if isinstance(value, str) and len(value) < MOST_DIGITS and NUMBER_TEXT.fullmatch(value.strip()):
        text = value.strip()
        number = float(text)
        if isfinite(number) and text.removeprefix("-").isdigit():
            return int(text)
        if isfinite(number) and Decimal(repr(number)) == Decimal(text):
            return number
    raise Misfit


BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def to_boolean(value: Any) -> bool:  # noqa: ANN401  any JSON value
    """Take true or false, 1 or 0, or the text of either."""
    if value.__class__ is bool:
        return value
    if value.__class__ is int and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in BOOLEANS:
        return BOOLEANS[value.strip().lower()]
    raise Misfit


def to_date_time(value: Any) -> str:  # noqa: ANN401  any JSON value
    """Take a moment in any of the API's forms; not a day that no calendar has, such as 0000-00-00."""
    moment = canonical_timestamp(value)
    if moment is None:
        raise Misfit
    try:
        datetime.fromisoformat(f"{moment[:-1]}+00:00")
    except ValueError:
        raise Misfit from None
    return moment


def to_date(value: Any) -> str:  # noqa: ANN401  any JSON value
    """Take a day as it was written, whatever its offset; a time of day beside it would be lost."""
    found = DAY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise Misfit
    return to_date_time(found[1])[: len("2026-01-23")]


SCALARS: dict[str, Any] = {
    "string": text_of,
    "integer": to_integer,
    "number": to_number,
    "boolean": to_boolean,
}
FORMATS: dict[str, Any] = {"date-time": to_date_time, "date": to_date}


def kinds_of(schema: Schema) -> list[str]:
    """Return the types that a schema names, without null."""
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else list(kinds or ())
    return [name for name in names if name != "null"]


def converter(schema: Schema) -> Convert:
    """Return a function that makes a value, never null, fit a JSON Schema, or raises ``Misfit``."""
    kinds = kinds_of(schema)
    choices = [part for key in ("anyOf", "oneOf") for part in schema.get(key, []) if isinstance(part, dict)]
    if kinds:
        takers = [(name, _one_kind(name, schema)) for name in kinds]
    else:
        takers = [(name, converter(part | {"type": name})) for part in choices for name in kinds_of(part)]
    take = _any_kind(takers) if takers else bounded_depth
    limit = limits(schema)
    if limit is None:
        return take

    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        return limit(take(value))

    return convert


def _one_kind(name: str, schema: Schema) -> Convert:
    if name == "string":
        found: Convert = FORMATS.get(schema.get("format", ""), text_of)
        return found
    if name == "array":
        items = schema.get("items")
        return _array(items if isinstance(items, dict) else {})
    if name == "object":
        return _object(schema.get("properties"))
    scalar: Convert = SCALARS.get(name, text_of)
    return scalar


EXACT: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def _any_kind(takers: list[tuple[str, Convert]]) -> Convert:
    if len(takers) == 1:
        return takers[0][1]
    ordered = sorted(takers, key=lambda pair: pair[0] == "string")

    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        is_boolean = isinstance(value, bool)
        # A value of a kind that is admitted stays what it is; only then may it become another.
        exact = [
            take
            for name, take in ordered
            if isinstance(value, EXACT.get(name, ())) and (name == "boolean") == is_boolean
        ]
        for take in (*exact, *(taker for _, taker in ordered)):
            with suppress(Misfit):
                return take(value)
        raise Misfit

    return convert


def bounded_depth(value: Any, deepest: int = DEEPEST) -> Any:  # noqa: ANN401  any JSON value
    """Take any JSON value that a loader can still nest."""
    if value.__class__ is dict or value.__class__ is list:
        if deepest == 0:
            raise Misfit
        for inner in value.values() if value.__class__ is dict else value:
            bounded_depth(inner, deepest - 1)
    elif not _is_json(value):
        raise Misfit
    return value


def _array(items: Schema) -> Convert:
    take = converter(items)

    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        if value.__class__ is not list:
            raise Misfit
        return [None if item is None else take(item) for item in value]

    return convert


def _object(properties: Mapping[str, Schema] | None) -> Convert:
    takers = {name: converter(schema) for name, schema in (properties or {}).items()}

    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        if value.__class__ is not dict:
            raise Misfit
        if not takers:
            return bounded_depth(value)
        result = {}
        for name, take in takers.items():
            inner = value.get(name)
            result[name] = None if inner is None else take(inner)
        return result

    return convert


# Keywords that a loader makes a column of, or checks


def limits(schema: Schema) -> Convert | None:
    """Return a check of a converted value against the bounds that a catalog states, or None where it has none."""
    longest = schema.get("maxLength")
    allowed = [*schema["enum"], None] if isinstance(schema.get("enum"), list) else None
    bounds = [
        (bound, is_beyond)
        for key, is_beyond in BEYOND.items()
        if isinstance(bound := schema.get(key), (int, float)) and not isinstance(bound, bool)
    ]
    if not bounds and allowed is None and not isinstance(longest, int):
        return None

    def check(value: Any) -> Any:  # noqa: ANN401  any JSON value
        if isinstance(longest, int) and isinstance(value, str) and len(value) > longest:
            raise Misfit
        if allowed is not None and value not in allowed:
            raise Misfit
        if isinstance(value, (int, float)) and any(is_beyond(value, bound) for bound, is_beyond in bounds):
            raise Misfit
        return value

    return check


BEYOND: dict[str, Callable[[float, float], bool]] = {
    "minimum": lambda value, bound: value < bound,
    "maximum": lambda value, bound: value > bound,
    "exclusiveMinimum": lambda value, bound: value <= bound,
    "exclusiveMaximum": lambda value, bound: value >= bound,
}


def nullable(schema: Schema) -> Schema:
    """Return a schema with null admitted, everything else in it as it was."""
    result = dict(schema)
    kinds = schema.get("type")
    if kinds is not None:
        names = [kinds] if isinstance(kinds, str) else list(kinds)
        result["type"] = names if "null" in names else [*names, "null"]
    for key in ("anyOf", "oneOf"):
        choices = schema.get(key)
        if isinstance(choices, list) and not any(_admits_null(part) for part in choices):
            result[key] = [*choices, {"type": "null"}]
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        result["enum"] = [*schema["enum"], None]
    return result


def _admits_null(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    kinds = schema.get("type")
    return kinds is None or "null" in ([kinds] if isinstance(kinds, str) else kinds)


# Fields whose form differs between what is read and what a record holds


def related_ids(value: Any) -> list[int]:  # noqa: ANN401  any JSON value
    """Take associated records, objects with ``id`` or bare ids, as ids."""
    return [_id(item["id"] if item.__class__ is dict and "id" in item else item) for item in _items(value)]


def tag_names(value: Any) -> list[str]:  # noqa: ANN401  any JSON value
    """Take tags, objects with ``name`` or text, as names."""
    return [
        _text(item["name"] if item.__class__ is dict and "name" in item else item) for item in _items(value)
    ]


def phone_list(value: Any) -> list[dict[str, Any]]:  # noqa: ANN401  any JSON value
    """Take phones, objects or bare numbers, as ``{id, number, type}``."""
    return [_phone(item) for item in _items(value)]


def _phone(item: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    if item.__class__ is not dict:
        return {"id": None, "number": _text(item), "type": None}
    number, kind, phone_id = item.get("number"), item.get("type"), item.get("id")
    if kind.__class__ is dict:
        kind = kind.get("name") or kind.get("value") or kind.get("id")
    return {
        "id": None if phone_id is None else _id(phone_id),
        "number": None if number is None else _text(number),
        "type": None if kind is None else _text(kind),
    }


def named_reference(value: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    """Take a nested object such as ``user`` as ``{id, name}``."""
    if value.__class__ is not dict:
        raise Misfit
    found, name = value.get("id"), value.get("name") or value.get("display_name")
    return {"id": None if found is None else _id(found), "name": None if name is None else _text(name)}


def _items(value: Any) -> list[Any]:  # noqa: ANN401  any JSON value
    if value.__class__ is not list:
        raise Misfit
    return [item for item in value if item is not None]


def _id(value: Any) -> int:  # noqa: ANN401  any JSON value
    found = value if value.__class__ is int else as_id(value)
    if found is None or found not in INTEGERS:
        raise Misfit
    return found


def _text(value: Any) -> str:  # noqa: ANN401  any JSON value
    if value.__class__ is str:
        return value
    if isinstance(value, (dict, list, bool)) or value is None:
        raise Misfit
    return text_of(value)


def with_option_ids(convert: Convert) -> Convert:
    """Return a converter of a custom field: options become their ids first."""

    def take(value: Any) -> Any:  # noqa: ANN401  any JSON value
        return convert(option_value(value))

    return take
