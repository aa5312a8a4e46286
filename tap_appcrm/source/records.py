"""From a row of the API to a record of the stream: project, conform, and never lose a value that does not fit."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from appcrm.contact import (
    ASSOCIATIONS,
    CUSTOM_FIELD_PREFIX,
    NESTED_FIELDS,
    canonical_timestamp,
    named_reference,
    option_value,
    phone_list,
    related_ids,
    tag_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tap_appcrm.source.page import Row

Schema = dict[str, Any]
Convert = "Callable[[Any], Any]"

NUMBER_TEXT = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
EMPTY_DATES = frozenset({"", "0000-00-00", "0000-00-00 00:00:00"})
"""How MySQL writes a date that is not there."""

logger = logging.getLogger("tap-appcrm")


class Misfit(Exception):
    """A value that its type cannot take, with the path of the schema to widen below the property."""

    def __init__(self, *path: str) -> None:
        super().__init__()
        self.path = path


def as_text(value: object) -> str:
    """Write any JSON value as text; text stays as it is."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def to_string(value: Any) -> str:  # noqa: ANN401  any JSON value
    """Take text, or the text of anything else."""
    return value if value.__class__ is str else as_text(value)


def to_integer(value: Any) -> int:  # noqa: ANN401  any JSON value
    """Take a whole number, or text or a float that is exactly one."""
    if value.__class__ is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        if NUMBER_TEXT.fullmatch(text) and text.lstrip("-").isdigit():
            return int(text)
    raise Misfit


def to_number(value: Any) -> float:  # noqa: ANN401  any JSON value
    """Take a finite number, or text that is exactly one."""
    if value.__class__ in (float, int):
        return value
    if isinstance(value, str) and NUMBER_TEXT.fullmatch(value.strip()):
        text = value.strip()
        if text.lstrip("-").isdigit():
            return int(text)
        number = float(text)
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


def to_date_time(value: Any) -> str | None:  # noqa: ANN401  any JSON value
    """Take a moment in any of the API's forms."""
    moment = canonical_timestamp(value)
    if moment is None:
        if isinstance(value, str) and value in EMPTY_DATES:
            return None
        raise Misfit
    return moment


def to_date(value: Any) -> str | None:  # noqa: ANN401  any JSON value
    """Take the day of a moment."""
    moment = to_date_time(value)
    return None if moment is None else moment[:10]


SCALARS: dict[str, Any] = {
    "string": to_string,
    "integer": to_integer,
    "number": to_number,
    "boolean": to_boolean,
}
FORMATS: dict[str, Any] = {"date-time": to_date_time, "date": to_date}


def converter(schema: Schema) -> Callable[[Any], Any]:
    """Return a function that makes a value, never null, fit a JSON Schema, or raises ``Misfit``."""
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else list(kinds or ())
    wanted = [name for name in names if name != "null"]
    if not wanted:
        return lambda value: value
    takers = [_one_kind(name, schema) for name in wanted]
    if len(takers) == 1:
        return takers[0]
    return _any_kind(sorted(zip(wanted, takers, strict=True), key=lambda pair: pair[0] == "string"))


def _one_kind(name: str, schema: Schema) -> Callable[[Any], Any]:
    if name == "string":
        found: Callable[[Any], Any] = FORMATS.get(schema.get("format", ""), to_string)
        return found
    if name == "array":
        return _array(schema.get("items", {}))
    if name == "object":
        return _object(schema.get("properties"))
    scalar: Callable[[Any], Any] = SCALARS.get(name, to_string)
    return scalar


EXACT: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def _any_kind(takers: list[tuple[str, Callable[[Any], Any]]]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        is_boolean = isinstance(value, bool)
        # A value of a kind that is admitted stays what it is; only then may it become another.
        exact = [
            take
            for name, take in takers
            if isinstance(value, EXACT.get(name, ())) and (name == "boolean") == is_boolean
        ]
        for take in (*exact, *(taker for _, taker in takers)):
            with suppress(Misfit):
                return take(value)
        raise Misfit

    return convert


def _array(items: Schema) -> Callable[[Any], Any]:
    take = converter(items)

    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        if value.__class__ is not list:
            raise Misfit
        try:
            return [None if item is None else take(item) for item in value]
        except Misfit as misfit:
            raise Misfit("items", *misfit.path) from None

    return convert


def _object(properties: Mapping[str, Schema] | None) -> Callable[[Any], Any]:
    takers = {name: converter(schema) for name, schema in (properties or {}).items()}

    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        if value.__class__ is not dict:
            raise Misfit
        if not takers:
            return value
        result = {}
        for name, take in takers.items():
            inner = value.get(name)
            try:
                result[name] = None if inner is None else take(inner)
            except Misfit as misfit:
                raise Misfit("properties", name, *misfit.path) from None
        return result

    return convert


def widened(schema: Schema, path: Iterable[str]) -> Schema:
    """Return the schema with text admitted where the path leads: any text, so its format goes."""
    steps = list(path)
    if steps:
        key, rest = steps[0], steps[1:]
        return {**schema, key: widened(schema[key], rest)}
    kinds = schema.get("type", [])
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    return {name: value for name, value in schema.items() if name != "format"} | {
        "type": [*names, *({"string"} - set(names))]
    }


def _first_fitting(first: Callable[[Any], Any], other: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
        try:
            return first(value)
        except Misfit:
            return other(value)

    return convert


READERS: dict[str, Callable[[Any], Any]] = {
    "phones": phone_list,
    "tags": tag_names,
    **dict.fromkeys(ASSOCIATIONS, related_ids),
    **dict.fromkeys(NESTED_FIELDS, named_reference),
}
"""Fields whose form differs between what is read and what a record holds."""


class Shaper:
    """Makes records of one stream out of rows.

    Args:
        stream: its name, for messages.
        schema: of the record: selected properties only.
        key: property to column of the row where they differ, such as ``contact_id`` to ``id``.
        custom_fields: names of custom fields beyond ``cf_…``.
        on_widened: called with the new schema before the first record that needs it.
    """

    def __init__(
        self,
        stream: str,
        schema: Schema,
        *,
        key: Mapping[str, str],
        custom_fields: Iterable[str],
        on_widened: Callable[[Schema], None],
    ) -> None:
        self._stream = stream
        self._key = dict(key)
        self._custom = frozenset(custom_fields)
        self._on_widened = on_widened
        self.schema = schema
        self._narrow: Mapping[str, Schema] = schema["properties"]
        self._compile()

    def _compile(self) -> None:
        self._fields: list[tuple[str, str, Callable[[Any], Any]]] = []
        for name, schema in self.schema["properties"].items():
            column = self._key.get(name, name)
            take = self._taker(column, schema)
            if schema is not self._narrow[name]:
                # One value that had to be kept as text leaves the form of the others as it was.
                take = _first_fitting(self._taker(column, self._narrow[name]), take)
            self._fields.append((name, column, take))

    def _taker(self, column: str, schema: Schema) -> Callable[[Any], Any]:
        take = converter(schema)
        read = READERS.get(column)
        if read is None:
            if not (column.startswith(CUSTOM_FIELD_PREFIX) or column in self._custom):
                return take
            read = option_value

        def convert(value: Any) -> Any:  # noqa: ANN401  any JSON value
            inner = read(value)
            # What cannot be read that way is taken as it is, which fits only where text is admitted.
            return take(value if inner is None else inner)

        return convert

    def shape(self, row: Row) -> dict[str, Any]:
        """Return the record of a row: every selected property, null where the row has none."""
        record: dict[str, Any] = {}
        for name, column, convert in self._fields:
            value = row.get(column)
            if value is None:
                record[name] = None
                continue
            try:
                record[name] = convert(value)
            except Misfit as misfit:
                return self._after_widening(row, name, misfit)
        return record

    def _after_widening(self, row: Row, name: str, misfit: Misfit) -> dict[str, Any]:
        logger.warning(
            "%s: %s of contact %s does not fit its type and is kept as text; run discovery again to update the "
            "catalog, or give its type in custom_fields",
            self._stream,
            name,
            row.get("id"),
        )
        properties = self.schema["properties"]
        self.schema = self.schema | {
            "properties": properties | {name: widened(properties[name], misfit.path)}
        }
        self._compile()
        self._on_widened(self.schema)
        return self.shape(row)
