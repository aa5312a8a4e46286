"""Which records a page holds, and in which order: offsets, ties that move, totals."""

from __future__ import annotations

import bisect
import dataclasses
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.errors import ApiError, invalid
from appcrm_sandbox.schema import CONTACTS, LIVE, TIES, Resource, table_columns
from appcrm_sandbox.search import Condition, condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Store

DEFAULT_PER_PAGE = 15
TRASHED = "deleted_at IS NOT NULL"
_TIE_NAMES = tuple(TIES)
_MARKS_KEPT = 10_000
_LARGEST = 2**31

Version = tuple[int, int]
# An offset, and the key of the row just before it.
Mark = tuple[int, tuple[Any, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """One page of ids, and where it lies."""

    ids: list[int]
    total: int
    page: int
    per_page: int


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """A set of rows in an order: what pages are cut from."""

    table: str
    where: str
    asked: Condition | None
    columns: tuple[str, ...]
    descending: bool

    def filter(self) -> tuple[str, list[Any]]:
        """The WHERE part and its parameters."""
        if self.asked is None:
            return self.where, []
        return f"{self.where} AND {self.asked[0]}", list(self.asked[1])

    def reversed(self) -> Listing:
        """The same rows from the other end."""
        return dataclasses.replace(self, descending=not self.descending)


class Marks:
    """Where rows of an order were last seen, so that a deep page is sought from near by.

    SQLite can only walk to an offset, so what a page ended with is remembered until anything is written.
    """

    def __init__(self) -> None:
        self._version: Version | None = None
        self._marks: dict[Listing, tuple[list[int], list[tuple[Any, ...]]]] = {}
        self._count = 0

    def nearest(self, version: Version, listing: Listing, offset: int) -> Mark | None:
        """The closest known offset up to this one, with the key of the row before it."""
        if version != self._version or self._count > _MARKS_KEPT:
            self._version, self._count = version, 0
            self._marks.clear()
        offsets, keys = self._marks.get(listing, ([], []))
        position = bisect.bisect_right(offsets, offset) - 1
        return (offsets[position], keys[position]) if position >= 0 else None

    def note(self, listing: Listing, offset: int, key: tuple[Any, ...]) -> None:
        """Remember that the row before an offset has a key; a key with a null in it cannot be sought by."""
        if any(part is None for part in key):
            return
        offsets, keys = self._marks.setdefault(listing, ([], []))
        position = bisect.bisect_left(offsets, offset)
        if position == len(offsets) or offsets[position] != offset:
            offsets.insert(position, offset)
            keys.insert(position, key)
            self._count += 1


class Lister:
    """Answers which ids are on a page; every request sees the ties of its order in another order."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._turn = 0
        self._totals: dict[tuple[str, str], tuple[Version, int]] = {}
        self._marks = Marks()

    def page(
        self,
        resource: Resource,
        query: dict[str, str],
        *,
        trashed: bool = False,
        per_page: int | None = None,
    ) -> Page:
        """The ids of one page; `per_page` overrides what was asked for."""
        number = whole_number(query, "page", 1)
        size = per_page or self._settings.fixed_per_page
        if size is None:
            size = min(whole_number(query, "per_page", DEFAULT_PER_PAGE), self._settings.max_per_page)
        listing = self._listing(resource, query, TRASHED if trashed else LIVE)
        version = self._store.version()
        total = self._total(listing, version)
        return Page(self._slice(listing, version, total, (number - 1) * size, size), total, number, size)

    def page_for_people(self, query: dict[str, str]) -> Page:
        """The first page of contacts as a person at the screen sees it, whatever is refused to the API."""
        size = whole_number(query, "per_page", DEFAULT_PER_PAGE)
        asked = condition(CONTACTS, self._store.fields, self._settings, query)
        listing = Listing(CONTACTS.name, LIVE, asked, ("updated_at", _TIE_NAMES[0]), descending=True)
        version = self._store.version()
        total = self._total(listing, version)
        return Page(self._slice(listing, version, total, 0, size), total, 1, size)

    def search(self, resource: Resource, query: dict[str, str]) -> list[int]:
        """The ids that a search finds, `take` at most; none without `q`."""
        listing = self._listing(resource, query, LIVE)
        if listing.asked is None:
            return []
        return [row[0] for row in self._rows(listing, *listing.filter(), whole_number(query, "take", -1), 0)]

    def _listing(self, resource: Resource, query: dict[str, str], where: str) -> Listing:
        """The rows asked for in the order asked for; ties fall as this request's turn has it."""
        asked = condition(resource, self._store.fields, self._settings, query)
        name, _, direction = query.get("order", "").partition("|")
        column = name.strip() or resource.default_order
        known = {"id", *table_columns(resource)} | (
            set(self._store.fields) if resource is CONTACTS else set()
        )
        if column not in known:
            raise invalid({"order": [f"Não é possível ordenar por {column}."]})
        if column == "updated_at" and self._settings.order_updated_at != "allowed":
            if self._settings.order_updated_at == "failing":
                raise ApiError(500, {"message": "Server Error"})
            raise invalid({"order": ["Não é possível ordenar por updated_at."]})
        columns: tuple[str, ...] = ("id",)
        if column != "id":
            self._turn += 1
            columns = (column, _TIE_NAMES[self._turn % len(_TIE_NAMES)])
        return Listing(resource.name, where, asked, columns, direction.strip().lower() == "desc")

    def _total(self, listing: Listing, version: Version) -> int:
        key = (listing.table, listing.where)
        kept = self._totals.get(key)
        if listing.asked is None and kept and kept[0] == version:
            return kept[1]
        where, parameters = listing.filter()
        total = int(self._store.value(f"SELECT count(*) FROM {listing.table} WHERE {where}", parameters))
        if listing.asked is None:
            self._totals[key] = (version, total)
        return total

    def _slice(self, listing: Listing, version: Version, total: int, offset: int, size: int) -> list[int]:
        if offset >= total:
            return []
        size = min(size, total - offset)
        if listing.asked is not None:
            return [row[0] for row in self._rows(listing, *listing.filter(), size, offset)]
        ends = total - offset - size
        forward = self._marks.nearest(version, listing, offset)
        backward = self._marks.nearest(version, listing.reversed(), ends)
        if ends - (backward[0] if backward else 0) < offset - (forward[0] if forward else 0):
            rows = self._sought(listing.reversed(), backward, ends, size)[::-1]
        else:
            rows = self._sought(listing, forward, offset, size)
        if rows:
            self._marks.note(listing, offset + size, rows[-1][1:])
            self._marks.note(listing.reversed(), total - offset, rows[0][1:])
        return [row[0] for row in rows]

    def _sought(self, listing: Listing, mark: Mark | None, offset: int, size: int) -> list[tuple[Any, ...]]:
        """A slice of an unfiltered listing, sought from a mark where there is one."""
        if mark:
            sign = "<" if listing.descending else ">"
            columns, marks = ", ".join(listing.columns), ", ".join("?" * len(listing.columns))
            where = f"{listing.where} AND ({columns}) {sign} ({marks})"
            rows = self._rows(listing, where, mark[1], size, offset - mark[0])
            if len(rows) == size:
                return rows
        # No mark, or rows without a value in the column, which no comparison finds.
        return self._rows(listing, listing.where, (), size, offset)

    def _rows(
        self, listing: Listing, where: str, parameters: Sequence[Any], limit: int, offset: int
    ) -> list[tuple[Any, ...]]:
        direction = "DESC" if listing.descending else "ASC"
        # A filter reads the table once and sorts what it finds; filtering along an index is four times as slow.
        sign = "" if listing.asked is None else "+"
        ordering = ", ".join(f"{sign}{column} {direction}" for column in listing.columns)
        # Left alone, SQLite walks the wide table by id where this narrow index would do.
        narrow = listing.asked is None and listing.where == LIVE and listing.table == CONTACTS.name
        index = "INDEXED BY contacts_live" if narrow and listing.columns == ("id",) else ""
        sql = (
            f"SELECT id, {', '.join(listing.columns)} FROM {listing.table} {index} WHERE {where} "
            f"ORDER BY {ordering} LIMIT ? OFFSET ?"
        )
        return [tuple(row) for row in self._store.rows(sql, [*parameters, limit, offset])]


def whole_number(query: dict[str, str], name: str, default: int) -> int:
    """A positive whole number of the query; the default where it is none, as Laravel's paginator does."""
    text = query.get(name, "").strip()
    if text.isascii() and text.isdigit() and 0 < int(text[:20]) < _LARGEST:
        return int(text)
    return default
