"""From rows of the API to records of the stream: a page at a time, column by column, each in its own type."""

from __future__ import annotations

import re
from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any

from appcrm.contact import ASSOCIATIONS, CUSTOM_FIELD_PREFIX, NESTED_FIELDS
from tap_appcrm.source.conversion import (
    INTEGERS,
    Misfit,
    converter,
    kinds_of,
    limits,
    named_reference,
    nullable,
    phone_list,
    related_ids,
    tag_names,
    text_of,
    with_option_ids,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tap_appcrm.source.conversion import Convert, Schema
    from tap_appcrm.source.page import Row

Record = dict[str, Any]

MISFITS = "_appcrm_misfits"
MISFITS_SCHEMA: dict[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": {"type": "string"},
    "description": "Values that did not fit the type of their column: field to value, as text",
}

INTEGER: Schema = {"type": ["integer", "null"]}
TEXT: Schema = {"type": ["string", "null"]}
READERS: dict[str, tuple[Convert, Schema]] = {
    "phones": (
        phone_list,
        {
            "type": ["array", "null"],
            "items": {
                "type": ["object", "null"],
                "properties": {"id": INTEGER, "number": TEXT, "type": TEXT},
            },
        },
    ),
    "tags": (tag_names, {"type": ["array", "null"], "items": TEXT}),
    **dict.fromkeys(ASSOCIATIONS, (related_ids, {"type": ["array", "null"], "items": INTEGER})),
    **dict.fromkeys(
        NESTED_FIELDS,
        (named_reference, {"type": ["object", "null"], "properties": {"id": INTEGER, "name": TEXT}}),
    ),
}
"""Fields whose form differs between what is read and what a record holds, and what reading makes of them."""

_TIME = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z"
_DAY = r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
CANONICAL_COLUMN = re.compile(rf"(?:(?!0000)\d{{4}}-{_DAY}{_TIME})*", re.ASCII)
"""All moments of a column, written without a gap, each in the API's own form and on a day that every year has."""


def with_misfits(schema: Schema, keys: Collection[str]) -> Schema:
    """Return a stream's schema as it goes out: null admitted wherever a value may not fit, and a place for those.

    Args:
        schema: of the selected properties; every keyword stays.
        keys: properties that are never null.
    """
    properties: dict[str, Schema] = schema.get("properties", {})
    return schema | {
        "properties": {
            name: each if name in keys else nullable(each)
            for name, each in properties.items()
            if name != MISFITS
        }
        | {MISFITS: dict(MISFITS_SCHEMA)}
    }


def texts_fit(values: Sequence[Any]) -> bool:  # noqa: ARG001  text of any kind
    """Whether a column of text is as it should be: its types were looked at."""
    return True


def moments_fit(values: Sequence[Any]) -> bool:
    """Whether every moment of a column is in the API's own form already."""
    return "" not in values and CANONICAL_COLUMN.fullmatch("".join(filter(None, values))) is not None


def integers_fit(values: Sequence[Any]) -> bool:
    """Whether every whole number of a column is one that a warehouse holds."""
    known = [*filter(None, values), 0]
    return min(known) in INTEGERS and max(known) in INTEGERS


def numbers_fit(values: Sequence[Any]) -> bool:
    """Whether every number of a column is finite."""
    try:
        return isfinite(sum(filter(None, values)))
    except OverflowError:
        return False


def without_annotations(schema: Schema) -> Schema:
    """Return the part of a schema that decides on types: descriptions go."""
    found = {key: value for key, value in schema.items() if key not in ("title", "description")}
    if isinstance(found.get("items"), dict):
        found["items"] = without_annotations(found["items"])
    if "properties" in found:
        found["properties"] = {name: without_annotations(each) for name, each in found["properties"].items()}
    return found


NOTHING = type(None)
PLAIN: dict[tuple[str, str | None], tuple[frozenset[type], Callable[[Sequence[Any]], bool]]] = {
    ("string", None): (frozenset({str, NOTHING}), texts_fit),
    ("string", "date-time"): (frozenset({str, NOTHING}), moments_fit),
    ("integer", None): (frozenset({int, NOTHING}), integers_fit),
    ("number", None): (frozenset({int, float, NOTHING}), numbers_fit),
    ("boolean", None): (frozenset({bool, NOTHING}), texts_fit),
}
"""Type and format of a column to the Python types that fit, and what else is to be looked at."""


class Column:
    """One property of the record.

    Args:
        name: of the property.
        source: of the API's field.
        schema: of the property.
        is_custom: whether it is a custom field, whose options become their ids.
    """

    def __init__(self, name: str, source: str, schema: Schema, *, is_custom: bool) -> None:
        self.name = name
        self.source = source
        self._convert = converter(schema)
        self._types: frozenset[type] = frozenset({NOTHING})
        self._fit: Callable[[Sequence[Any]], bool] = texts_fit
        kinds, reader = kinds_of(schema), None
        if source in READERS:
            reader, made = READERS[source]
            is_as_made = without_annotations(schema) == made
            self._convert = (
                reader if is_as_made else _read_first(reader, self._convert, is_text="string" in kinds)
            )
        elif is_custom:
            self._convert = with_option_ids(self._convert)
        plain = PLAIN.get((kinds[0], schema.get("format"))) if len(kinds) == 1 else None
        if reader is None and plain is not None and limits(schema) is None:
            self._types, self._fit = plain

    def of(self, rows: Sequence[Row], misfits: dict[int, dict[str, str]]) -> list[Any]:
        """Return the column of rows in its own type; what does not fit is null, and noted by the row's number."""
        source = self.source
        values = [row.get(source) for row in rows]
        if self._types.issuperset(map(type, values)) and self._fit(values):
            return values
        return [
            None if value is None else self._one(value, number, misfits)
            for number, value in enumerate(values)
        ]

    def _one(self, value: object, number: int, misfits: dict[int, dict[str, str]]) -> Any:  # noqa: ANN401  any JSON value
        try:
            return self._convert(value)
        except (Misfit, RecursionError):
            misfits.setdefault(number, {})[self.name] = text_of(value)
            return None


def _read_first(reader: Convert, convert: Convert, *, is_text: bool) -> Convert:
    def take(value: Any) -> Any:  # noqa: ANN401  any JSON value
        try:
            return convert(reader(value))
        except Misfit:
            if is_text:  # a catalog may ask for the field as text, which takes everything
                return convert(value)
            raise

    return take


class RecordMaker:
    """Makes records of one stream out of rows.

    Args:
        schema: of the record: selected properties only.
        key: property to column of the row where they differ, such as ``contact_id`` to ``id``.
        custom_fields: names of custom fields beyond ``cf_…``.
    """

    def __init__(self, schema: Schema, *, key: Mapping[str, str], custom_fields: Collection[str]) -> None:
        self.names = [name for name in schema["properties"] if name != MISFITS]
        self.misfits: Counter[str] = Counter()
        """How many values of each property did not fit, so far."""
        self._columns = [
            Column(
                name,
                (source := key.get(name, name)),
                schema["properties"][name],
                is_custom=source.startswith(CUSTOM_FIELD_PREFIX)
                or source in custom_fields
                or "x-appcrm-label" in schema["properties"][name],
            )
            for name in self.names
        ]

    def make(self, rows: Sequence[Row]) -> list[Record]:
        """Return the records of rows: every selected property, null where a row has none."""
        misfits: dict[int, dict[str, str]] = {}
        columns = [column.of(rows, misfits) for column in self._columns]
        columns.append(
            [misfits.get(number) for number in range(len(rows))] if misfits else [None] * len(rows)
        )
        for fields in misfits.values():
            self.misfits.update(fields.keys())
        names = (*self.names, MISFITS)
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
