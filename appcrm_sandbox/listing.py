"""Which records a page holds, and in which order: offsets, ties that move, totals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from appcrm_sandbox.errors import ApiError, invalid
from appcrm_sandbox.schema import CONTACTS, LIVE, TIES, Resource, table_columns
from appcrm_sandbox.search import Condition, condition
from appcrm_sandbox.settings import Settings
from appcrm_sandbox.store import Store

DEFAULT_PER_PAGE = 15
TRASHED = "deleted_at IS NOT NULL"


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """One page of ids, and where it lies."""

    ids: list[int]
    total: int
    page: int
    per_page: int


class Lister:
    """Answers which ids are on a page; every request sees the ties of its order in another order."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._turn = 0
        self._totals: dict[str, tuple[tuple[int, int], int]] = {}

    def page(
        self, resource: Resource, query: dict[str, str], *, trashed: bool = False, per_page: int | None = None
    ) -> Page:
        """The ids of one page; `per_page` overrides what was asked for."""
        number = whole_number(query, "page", 1)
        size = per_page or self._settings.fixed_per_page
        if size is None:
            size = min(whole_number(query, "per_page", DEFAULT_PER_PAGE), self._settings.max_per_page)
        where = TRASHED if trashed else LIVE
        asked = condition(resource, self._store.fields, self._settings, query)
        order = self._order(resource, query.get("order", ""))
        total = self._total(resource, where, asked)
        ids = self._slice(resource, where, asked, order, total, (number - 1) * size, size)
        return Page(ids, total, number, size)

    def search(self, resource: Resource, query: dict[str, str]) -> list[int]:
        """The ids that a search finds, `take` at most; none without `q`."""
        asked = condition(resource, self._store.fields, self._settings, query)
        take = whole_number(query, "take", 0) if query.get("take") else -1
        order = self._order(resource, query.get("order", ""))
        if asked is None:
            return []
        return self._ids(resource, LIVE, asked, order, 0, take)

    def _order(self, resource: Resource, text: str) -> list[tuple[str, bool]]:
        """What to sort by, as (SQL expression, descending), ending in this request's tie order."""
        name, _, direction = text.partition("|")
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
        descending = direction.strip().lower() == "desc"
        if column == "id":
            return [("id", descending)]
        self._turn += 1
        return [(column, descending), (TIES[self._turn % len(TIES)], descending)]

    def _total(self, resource: Resource, where: str, asked: Condition | None) -> int:
        if asked is None:
            version = self._store.version()
            kept = self._totals.get(resource.name + where)
            if kept and kept[0] == version:
                return kept[1]
        total = int(
            self._store.value(
                f"SELECT count(*) FROM {resource.name} WHERE {where}{_and(asked)}", _values(asked)
            )
        )  # noqa: S608  built of fixed parts
        if asked is None:
            self._totals[resource.name + where] = (version, total)
        return total

    def _slice(  # noqa: PLR0913  one query's parts
        self,
        resource: Resource,
        where: str,
        asked: Condition | None,
        order: list[tuple[str, bool]],
        total: int,
        offset: int,
        size: int,
    ) -> list[int]:
        if offset >= total:
            return []
        size = min(size, total - offset)
        if offset <= total // 2:
            return self._ids(resource, where, asked, order, offset, size)
        # The far half is nearer from the other end.
        backwards = [(expression, not descending) for expression, descending in order]
        return self._ids(resource, where, asked, backwards, total - offset - size, size)[::-1]

    def _ids(  # noqa: PLR0913  one query's parts
        self,
        resource: Resource,
        where: str,
        asked: Condition | None,
        order: list[tuple[str, bool]],
        offset: int,
        limit: int,
    ) -> list[int]:
        ordering = ", ".join(
            f"{expression} {'DESC' if descending else 'ASC'}" for expression, descending in order
        )
        sql = (
            f"SELECT id FROM {resource.name} WHERE {where}{_and(asked)} ORDER BY {ordering} LIMIT ? OFFSET ?"  # noqa: S608  built of fixed parts
        )
        return [row[0] for row in self._store.rows(sql, [*_values(asked), limit, offset])]


def _and(asked: Condition | None) -> str:
    return f" AND {asked[0]}" if asked else ""


def _values(asked: Condition | None) -> Sequence[Any]:
    return asked[1] if asked else ()


_LARGEST = 2**31


def whole_number(query: dict[str, str], name: str, default: int) -> int:
    """A positive whole number of the query; the default where it is none, as Laravel's paginator does."""
    text = query.get(name, "").strip()
    if text.isascii() and text.isdigit() and 0 < int(text[:20]) < _LARGEST:
        return int(text)
    return default
