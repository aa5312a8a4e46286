"""A page of a list as the walks see it, and the search for the last one: no request is made here but through a call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Row = dict[str, Any]
"""A row as the API sent it; where a stream decodes faster, a structure of its own, which walks never look into."""

BY_ID = "id"
BY_CHANGE = "updated_at"
NEWEST_FIRST = "updated_at|desc"


@dataclass(frozen=True)
class SourcePage:
    """One page: rows, their ids and their ``updated_at`` in canonical form, side by side.

    ``total``, ``per_page`` and ``last_page`` are the server's own words; None where it says nothing usable.
    ``asked`` is the page size that was asked for.
    """

    number: int
    rows: list[Row]
    ids: list[int]
    stamps: list[str | None]
    asked: int
    total: int | None = None
    per_page: int | None = None
    last_page: int | None = None
    server_time: datetime | None = None

    @property
    def is_whole_table(self) -> bool:
        """Whether this page alone holds all that the server counts."""
        if self.number != 1 or (self.last_page or 1) > 1:
            return False
        if self.total is not None:
            return self.total <= len(self.ids)
        return self.last_page == 1 or not self.ids

    @property
    def rows_per_page(self) -> int:
        """How far apart pages begin: what came back counts, not what was asked for."""
        said = self.per_page or self.asked
        if self.number == 1 and self.ids and not self.is_whole_table and self.total is not None:
            return min(said, len(self.ids))
        return max(said, len(self.ids))

    @property
    def pages_told(self) -> int | None:
        """The number of the last page as far as this page tells it; None where it tells nothing."""
        told = [] if self.last_page is None else [self.last_page]
        if self.total is not None:
            told.append(-(-self.total // self.rows_per_page))
        return max(1, *told) if told else None

    @property
    def is_full(self) -> bool:
        """Whether more rows may follow, as far as the number of rows tells."""
        return len(self.ids) >= self.rows_per_page

    def and_more(self, following: SourcePage) -> SourcePage:
        """Return this page as the first of several, because the following one holds rows that it did not count."""
        total = max(following.total or 0, len(self.ids) + len(following.ids))
        return replace(self, total=total, last_page=max(2, following.last_page or 2))

    @property
    def newest(self) -> str | None:
        """The latest ``updated_at`` on the page."""
        return max((stamp for stamp in self.stamps if stamp is not None), default=None)

    def reaches_before(self, moment: str) -> bool:
        """Whether a row is strictly older; a row without ``updated_at`` says nothing."""
        return any(stamp is not None and stamp < moment for stamp in self.stamps)

    def is_sorted(self, *, descending: bool = False) -> bool:
        """Whether the rows stand in the order of ``updated_at``, wherever the empty ones are put."""
        known = [stamp for stamp in self.stamps if stamp is not None]
        return known == sorted(known, reverse=descending)


def confirmed(page: SourcePage, read: Callable[[int], SourcePage]) -> SourcePage:
    """Ask once more for a page that is empty where rows should be: one answer alone is not believed."""
    return page if page.ids else read(page.number)


MOST_JUMPS = 3
"""How often the end is followed that moves away: what is behind it then came in just now."""
FURTHEST_PAGE = 1 << 31
"""Where the doubling of page numbers ends: no CRM has that many."""


def seek_last(
    read: Callable[[int], SourcePage],
    told: int | None,
    is_certain: Callable[[SourcePage], bool] = lambda _page: False,
) -> SourcePage:
    """Return the last page that holds rows, or an empty page 1.

    A last page that is full is looked behind, since a count may be older than the table.

    Args:
        read: reads one page.
        told: its number as the server told it, or None: then pages are doubled until one brings nothing new.
        is_certain: whether a full page shows by itself that it is the last.
    """
    return _LastPage(read, is_certain).seek(told)


class _LastPage:
    def __init__(self, read: Callable[[int], SourcePage], is_certain: Callable[[SourcePage], bool]) -> None:
        self._read = read
        self._is_certain = is_certain
        self._known: dict[int, SourcePage] = {}
        self._uses_counts = True
        self._jumps = 0
        self._told = 1

    def seek(self, told: int | None) -> SourcePage:
        self._told = told or 1
        beyond: int | None = None
        within = told or 1
        while not self._holds_rows(within):
            if within == 1:
                return self._known[1]
            beyond = within
            within = _further_left(told or 1, within)
        while beyond is None:
            following = self._following(within)
            if following is None:
                return self._known[within]
            if self._holds_rows(following):
                within = following
            else:
                beyond = following
        while beyond - within > 1:
            middle = (within + beyond) // 2
            if self._holds_rows(middle):
                within = middle
            else:
                beyond = middle
        return self._known[within]

    def _following(self, number: int) -> int | None:
        """The page to look at behind one that holds rows; None where that one is the last."""
        page = self._known[number]
        told = page.pages_told if self._uses_counts else None
        if told is None:
            return number * 2 if number < FURTHEST_PAGE else None
        if self._jumps == MOST_JUMPS:
            return None
        if told > number:
            self._jumps += 1
            return told
        if not page.is_full or self._is_certain(page):
            return None
        self._uses_counts = False
        if not self._holds_rows(number + 1):
            return None
        self._uses_counts = (self._known[number + 1].pages_told or 0) > number
        self._jumps += 1
        return number + 1

    def _holds_rows(self, number: int) -> bool:
        page = self._known.get(number)
        if page is None:
            page = self._read(number)
            if number <= self._told:
                page = confirmed(page, self._read)
            self._known[number] = page
        if not page.ids:
            return False
        is_counted = self._uses_counts and page.pages_told is not None
        if number == 1 or is_counted or not self._shows_earlier_rows(page):
            return True
        # Rows that tie may come in another order each time, so one page alone that looks the same says little.
        return not self._shows_earlier_rows(self._read(number + 1))

    def _shows_earlier_rows(self, page: SourcePage) -> bool:
        """Whether the page holds rows of an earlier one only, as from a server that does not know page numbers."""
        earlier = {row for other in self._known.values() if other.number < page.number for row in other.ids}
        return bool(earlier) and earlier.issuperset(page.ids)


def _further_left(told: int, empty: int) -> int:
    """The page to look at after an empty one: one before, then two, four and so on."""
    return max(1, empty - max(1, told - empty))
