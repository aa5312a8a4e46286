"""Rows decoded straight into structures made from the stream's schema, and written out as they are.

Keys that no record needs are skipped and types are checked while decoding, without a Python object for either.
A page with anything that needs more than that, a value to convert or to keep as text, goes the long way through
``records.Shaper``; both ways make the same records, which a test holds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from appcrm.client import DICT_PAGES, Page, PageReader
from appcrm.contact import ASSOCIATIONS, CUSTOM_FIELD_PREFIX, NESTED_FIELDS, canonical_timestamp
from appcrm.errors import MalformedBody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from appcrm.session import Response
    from tap_appcrm.source.records import Schema

FAILURES_BEFORE_GIVING_UP = 5
CANONICAL_COLUMN = re.compile(r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)*", re.ASCII)
"""All moments of one column, written without a gap."""

SCALARS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "null": None,
}


class _Identified(msgspec.Struct):
    """An option or a related record, of which only the id is wanted."""

    id: int


class _Named(msgspec.Struct):
    """A tag, of which only the name is wanted."""

    name: str


class _Phone(msgspec.Struct):
    id: int | None = None
    number: str | None = None
    type: str | None = None


class _Reference(msgspec.Struct, kw_only=True):
    """A related record by its name; one without goes the long way."""

    id: int | None = None
    name: Annotated[str, msgspec.Meta(min_length=1)]


COMPOUND = (_Identified, _Named)


class FastRows:
    """Reads pages of one schema.

    Args:
        schema: of the record: selected properties only.
        reviewed: the stream's schema as it is shipped, for fields of a form of their own.
        key: property to column of the row where they differ.
        custom_fields: names of custom fields beyond ``cf_…``.
    """

    def __init__(
        self, schema: Schema, reviewed: Schema, *, key: Mapping[str, str], custom_fields: Iterable[str]
    ) -> None:
        self._moments: list[str] = []
        self._simplify: list[tuple[str, Callable[[Any], Any]]] = []
        self._failures = 0
        custom = frozenset(custom_fields)
        fields: list[tuple[str, Any, Any]] = []
        columns: dict[str, str] = {}
        self._reader: PageReader[Any] | None = None
        for index, (name, wanted) in enumerate(schema["properties"].items()):
            column = key.get(name, name)
            kind = self._kind(
                f"f{index}", column, wanted, reviewed["properties"].get(name), is_custom=column in custom
            )
            if kind is None:
                return
            fields.append((f"f{index}", kind, None))
            columns[f"f{index}"] = column
        self._id, self._stamp = (
            next((field for field, column in columns.items() if column == wanted_column), "")
            for wanted_column in ("id", "updated_at")
        )
        if self._id and self._stamp:
            row_type = msgspec.defstruct("Row", fields, rename=columns)
            self._reader = PageReader(row_type)

    @property
    def is_usable(self) -> bool:
        """Whether the schema has nothing that only the long way can make."""
        return self._reader is not None and self._failures < FAILURES_BEFORE_GIVING_UP

    def _kind(
        self, field: str, column: str, wanted: Schema, reviewed: Schema | None, *, is_custom: bool
    ) -> Any:  # noqa: ANN401  a type made at run time
        """The type of a column; None where only the long way can read it."""
        if column == "phones":
            return list[_Phone] | None if wanted == reviewed else None
        if column in NESTED_FIELDS:
            return _Reference | None if wanted == reviewed else None
        if column == "tags":
            self._simplify.append((field, _names))
            return list[str | _Named] | None if wanted == reviewed else None
        if column in ASSOCIATIONS:
            self._simplify.append((field, _ids))
            return list[int | _Identified] | None if wanted == reviewed else None
        is_custom = is_custom or column.startswith(CUSTOM_FIELD_PREFIX)
        return self._plain(field, wanted, is_custom=is_custom)

    def _plain(self, field: str, wanted: Schema, *, is_custom: bool) -> Any:  # noqa: ANN401  a type made at run time
        kinds = wanted.get("type")
        names = [kinds] if isinstance(kinds, str) else list(kinds or ())
        others = [name for name in names if name != "null"]
        if others == ["array"]:
            items = wanted.get("items", {}).get("type", [])
            if set(items if isinstance(items, list) else [items]) != {"integer", "null"}:
                return None
            self._simplify.append((field, _ids))
            return list[int | _Identified | None] | None
        if not others or not set(others) <= SCALARS.keys() or wanted.get("format") == "date":
            return None
        if wanted.get("format") == "date-time":
            self._moments.append(field)
        found: Any = SCALARS[others[0]]
        for name in others[1:]:
            found = found | SCALARS[name]
        if is_custom and others == ["integer"]:
            self._simplify.append((field, _id))
            found = found | _Identified
        return found | None

    def __call__(self, response: Response, number: int) -> Page[Any]:
        """Read a page the short way, or the long way where that does not do."""
        if self._reader is None or not self.is_usable:
            return DICT_PAGES(response, number)
        try:
            page = self._reader(response, number)
        except MalformedBody:
            page = None
        if page is None or not self._fits(page.rows):
            self._failures += 1
            return DICT_PAGES(response, number)
        self._failures = 0
        for field, simplify in self._simplify:
            values = _column(page.rows, field)
            if _need_simplifying(values):
                for row, value in zip(page.rows, values, strict=True):
                    if value:
                        setattr(row, field, simplify(value))
        return page

    def _fits(self, rows: list[Any]) -> bool:
        """Whether every row has an id, and every moment has or gets the API's own form."""
        return None not in self.ids(rows) and all(
            _are_canonical(rows, field) or _become_canonical(rows, field) for field in self._moments
        )

    def ids(self, rows: list[Any]) -> list[int]:
        """The ids of rows."""
        return _column(rows, self._id)

    def stamps(self, rows: list[Any]) -> list[str | None]:
        """The canonical ``updated_at`` of rows."""
        return _column(rows, self._stamp)


def _column(rows: list[Any], field: str) -> list[Any]:
    return list(map(attrgetter(field), rows))


def _are_canonical(rows: list[Any], field: str) -> bool:
    moments = _column(rows, field)
    return "" not in moments and CANONICAL_COLUMN.fullmatch("".join(filter(None, moments))) is not None


_cached_canonical = lru_cache(maxsize=10_000)(canonical_timestamp)
"""Days repeat, and a date alone takes long to bring into form."""


def _become_canonical(rows: list[Any], field: str) -> bool:
    for row in rows:
        value = getattr(row, field)
        if value is not None:
            moment = _cached_canonical(value)
            if moment is None:
                return False
            setattr(row, field, moment)
    return True


def _need_simplifying(values: list[Any]) -> bool:
    """Whether a column holds anything but plain values."""
    kinds = set(map(type, values))
    if list in kinds:
        kinds.update(map(type, chain.from_iterable(value for value in values if value.__class__ is list)))
    return not kinds.isdisjoint(COMPOUND)


def _ids(values: list[Any]) -> list[Any]:
    return [value.id if value.__class__ is _Identified else value for value in values]


def _id(value: Any) -> Any:  # noqa: ANN401  an id or what holds it
    return value.id if value.__class__ is _Identified else value


def _names(values: list[Any]) -> list[Any]:
    return [value.name if value.__class__ is _Named else value for value in values]
