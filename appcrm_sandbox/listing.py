"""Which records a page holds, and in which order: offsets, ties that move, totals."""

from __future__ import annotations

import bisect
import dataclasses
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.filters import filter_condition
from appcrm_sandbox.ordering import Order, orders_of
from appcrm_sandbox.query import Query
from appcrm_sandbox.schema import CONTACTS, LIVE, TIES, Resource
from appcrm_sandbox.search import search_condition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appcrm_sandbox.search import Condition
    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.viewer import Viewer

DEFAULT_PER_PAGE = 15
_TIE_NAMES = tuple(TIES)
_MARKS_KEPT = 10_000

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
    orders: tuple[Order, ...]

    def filter(self) -> tuple[str, list[Any]]:
        """The WHERE part and its parameters."""
        if self.asked is None:
            return self.where, []
        return f"{self.where} AND {self.asked[0]}", list(self.asked[1])

    def reversed(self) -> Listing:
        """The same rows from the other end."""
        return dataclasses.replace(
            self,
            orders=tuple(
                dataclasses.replace(order, descending=not order.descending) for order in self.orders
            ),
        )

    def can_be_sought(self) -> bool:
        """Whether one comparison of rows finds what comes behind a row."""
        return self.asked is None and all(
            order.stored and order.descending == self.orders[0].descending for order in self.orders
        )


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
        query: Query,
        viewer: Viewer,
        *,
        trashed: bool = False,
        per_page: int | None = None,
    ) -> Page:
        """The ids of one page; `per_page` overrides what was asked for."""
        number = query.whole_number("page", 1)
        size = per_page or self._settings.fixed_per_page
        if size is None:
            size = min(query.whole_number("per_page", DEFAULT_PER_PAGE), self._settings.max_per_page)
        listing = self._listing(resource, query, viewer, trashed=trashed)
        version = self._store.version()
        total = self._total(listing, version)
        return Page(self._slice(listing, version, total, (number - 1) * size, size), total, number, size)

    def page_for_people(self, text: str, size: int) -> Page:
        """The first page of contacts as a person at the screen sees it, whatever is refused to the API."""
        asked = search_condition(
            CONTACTS, self._store.fields, self._settings, Query({"q": text}), colon_splits=False
        )
        orders = (Order("updated_at", descending=True), Order(_TIE_NAMES[0], descending=True))
        listing = Listing(CONTACTS.name, LIVE, asked, orders)
        version = self._store.version()
        total = self._total(listing, version)
        return Page(self._slice(listing, version, total, 0, size), total, 1, size)

    def search(self, resource: Resource, query: Query, viewer: Viewer, *, trashed: bool = False) -> list[int]:
        """The ids that a search finds, `take` at most; none without `q`."""
        listing = self._listing(resource, query, viewer, trashed=trashed)
        if not query.text("q"):
            return []
        return [row[0] for row in self._rows(listing, *listing.filter(), query.whole_number("take", -1), 0)]

    def _listing(self, resource: Resource, query: Query, viewer: Viewer, *, trashed: bool) -> Listing:
        """The rows asked for in the order asked for; ties fall as this request's turn has it."""
        store, settings = self._store, self._settings
        where = f"deleted_at IS {'NOT ' if trashed else ''}NULL AND {viewer.where(resource)}"
        conditions = [
            condition
            for condition in (
                search_condition(resource, store.fields, settings, query),
                filter_condition(resource, store.fields, settings, query, viewer.timezone()),
            )
            if condition is not None
        ]
        asked: Condition | None = None
        if conditions:
            asked = (
                " AND ".join(sql for sql, _parameters in conditions),
                [parameter for _sql, parameters in conditions for parameter in parameters],
            )
        orders = orders_of(resource, store.fields, settings, query)
        if not any(order.column == "id" for order in orders):
            self._turn += 1
            orders.append(Order(_TIE_NAMES[self._turn % len(_TIE_NAMES)], orders[-1].descending))
        return Listing(resource.name, where, asked, tuple(orders))

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
        if not listing.can_be_sought():
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
            sign = "<" if listing.orders[0].descending else ">"
            columns = ", ".join(order.column for order in listing.orders)
            marks = ", ".join("?" * len(listing.orders))
            where = f"{listing.where} AND ({columns}) {sign} ({marks})"
            rows = self._rows(listing, where, mark[1], size, offset - mark[0])
            if len(rows) == size:
                return rows
        # No mark, or rows without a value in the column, which no comparison finds.
        return self._rows(listing, listing.where, (), size, offset)

    def _rows(
        self, listing: Listing, where: str, parameters: Sequence[Any], limit: int, offset: int
    ) -> list[tuple[Any, ...]]:
        # A filter reads the table once and sorts what it finds; filtering along an index is four times as slow.
        sign = "" if listing.asked is None else "+"
        ordering = ", ".join(
            f"{sign}{order.column} {'DESC' if order.descending else 'ASC'}" for order in listing.orders
        )
        # Left alone, SQLite walks the wide table by id where this narrow index would do.
        narrow = listing.asked is None and listing.where == LIVE and listing.table == CONTACTS.name
        by_id = [order.column for order in listing.orders] == ["id"]
        index = "INDEXED BY contacts_live" if narrow and by_id else ""
        keys = ", ".join(order.column for order in listing.orders)
        sql = (
            f"SELECT id, {keys} FROM {listing.table} {index} WHERE {where} "
            f"ORDER BY {ordering} LIMIT ? OFFSET ?"
        )
        return [tuple(row) for row in self._store.rows(sql, [*parameters, limit, offset])]
