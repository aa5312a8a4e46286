"""Ids, and the names that stand for them in what is written."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appcrm_sandbox.custom_fields import CustomField
    from appcrm_sandbox.schema import Resource
    from appcrm_sandbox.store import Row, Store
    from appcrm_sandbox.values import Json
    from appcrm_sandbox.viewer import Viewer


@dataclasses.dataclass(frozen=True, slots=True)
class SmallTable:
    """A table whose rows are named in a body: which columns name a row, and whether a new name makes one."""

    table: str
    names: tuple[str, ...]
    creates: bool = False


# Kind of column → what its values are ids or names of.
REFERENCES = {
    "user": SmallTable("users", ("name",)),
    "source": SmallTable("sources", ("name",), creates=True),
    "country": SmallTable("countries", ("name", "code")),
    "stage": SmallTable("stages", ("name",)),
}
_BIGGEST_ID = 2**63 - 1


class NoSuchName(ValueError):
    """Nothing has this id or name."""


class Names:
    """Finds ids by id or name inside the caller's transaction; makes options and sources that are not there."""

    def __init__(self, store: Store, viewer: Viewer) -> None:
        self._store = store
        self._viewer = viewer

    def reference(self, kind: str, value: Json) -> int:
        """The id of a user, source, country or stage; NoSuchName, but an unknown source is made."""
        small = REFERENCES[kind]
        rows = self._store.named[small.table]
        known = as_id(value)
        if known in rows:
            return known
        if not isinstance(value, str):
            raise NoSuchName(kind)
        # What a misspelt name would make is compared as it is written, the rest without case.
        fold: Callable[[str], str] = str if small.creates else str.casefold
        for row_id, row in rows.items():
            if fold(value) in {fold(str(row[name])) for name in small.names}:
                return row_id
        if not small.creates:
            raise NoSuchName(kind)
        return self._insert(f"INSERT INTO {small.table} (name) VALUES (?)", [value])

    def option(self, field: CustomField, value: Json) -> int:
        """The id of an option by its id or label; an unknown label makes an option, an unknown number is none."""
        known = as_id(value)
        if known in dict(field.options):
            return known
        if not isinstance(value, str):
            raise NoSuchName(field.name)
        # Read anew: the same body may have made the option a moment ago.
        row = self._store.one(
            "SELECT id FROM field_options WHERE field = ? AND label = ?", [field.name, value]
        )
        if row is not None:
            return int(row["id"])
        return self._insert("INSERT INTO field_options (field, label) VALUES (?, ?)", [field.name, value])

    def records(self, resource: Resource, values: Sequence[Json]) -> list[int]:
        """The ids of the records that the viewer may see, each once; what is not there or not shown is left out."""
        ids = list(dict.fromkeys(known for known in map(as_id, values) if known is not None))
        sql = f"SELECT id FROM {resource.name} WHERE {self._visible(resource)} AND id IN ({{marks}})"
        shown: dict[Json, int] = {row["id"]: row["id"] for row in self._store.among(sql, ids)}
        found = []
        for value in values:
            record_id = shown.get(as_id(value))
            if record_id is None and isinstance(value, str):
                row = self._named(resource, value)
                record_id = row["id"] if row else None
            if record_id is not None:
                found.append(record_id)
        return list(dict.fromkeys(found))

    def _named(self, resource: Resource, name: str) -> Row | None:
        sql = (
            f"SELECT id FROM {resource.name} WHERE {resource.label} = ? AND {self._visible(resource)} "
            "ORDER BY id LIMIT 1"
        )
        return self._store.one(sql, [name])

    def _visible(self, resource: Resource) -> str:
        """The SQL condition of the records that are not in the trash and that the viewer may see."""
        if self._viewer.sight(resource.name) == "none":
            return "0"
        return f"deleted_at IS NULL AND {self._viewer.where(resource)}"

    def _insert(self, sql: str, values: list[Json]) -> int:
        made = self._store.connection.execute(sql, values).lastrowid
        self._store.reload()
        return int(made or 0)


def as_id(value: Json) -> int | None:
    """A whole number, or the digits of one; None where it is neither."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:30])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _BIGGEST_ID:
        return None
    return value
