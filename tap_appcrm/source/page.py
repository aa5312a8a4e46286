"""Pages of contacts as the walks see them, and what can be told from one: pure, but for the seeking of the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

Row = dict[str, Any]
"""A row as the API sent it; where a stream decodes faster, a structure of its own, which walks never look into."""

BY_ID = "id"
BY_CHANGE = "updated_at"
NEWEST_FIRST = "updated_at|desc"


class SourcePage(msgspec.Struct, frozen=True):
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
        """Whether this page alone holds all contacts."""
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

    @property
    def is_beyond_the_count(self) -> bool:
        """Whether rows stand where there are none by the server's own count."""
        return bool(self.ids) and self.pages_told is not None and self.pages_told < self.number

    def without_counts(self) -> SourcePage:
        """Return the same rows as if the server had not counted."""
        return msgspec.structs.replace(self, total=None, last_page=None)

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


MOST_JUMPS = 3
"""How often the end is followed that moves away: what is behind it then came in just now."""


def seek_last(read: Callable[[int], SourcePage], told: int | None) -> SourcePage:
    """Return the last page that holds rows, or an empty page 1.

    Args:
        read: reads one page.
        told: its number as the server told it, or None: then pages are doubled until one is empty.
    """
    known: dict[int, SourcePage] = {}

    def repeats(page: SourcePage) -> bool:
        """Whether the server sends a page that it sent before, because it does not know the page number."""
        return len(page.ids) > 1 and any(
            set(page.ids) == set(other.ids) for other in known.values() if other.number < page.number
        )

    def holds_rows(number: int) -> bool:
        page = read(number)
        # Rows that tie may come in another order each time, so one page alone that looks the same says little.
        is_repeated = page.pages_told is None and repeats(page) and repeats(read(number + 1))
        known[number] = page
        return bool(page.ids) and not is_repeated

    beyond: int | None = None
    within = told or 1
    while not holds_rows(within):
        if within == 1:
            return known[1]
        beyond = within
        within = _further_left(told or 1, within)
    jumps = 0
    while beyond is None:
        page = known[within]
        following = page.pages_told
        if following is not None and (following <= within or jumps == MOST_JUMPS):
            return page
        jumps += following is not None
        following = following or within * 2
        if holds_rows(following):
            within = following
        else:
            beyond = following
    while beyond - within > 1:
        middle = (within + beyond) // 2
        if holds_rows(middle):
            within = middle
        else:
            beyond = middle
    return known[within]


def _further_left(told: int, empty: int) -> int:
    """The page to look at after an empty one: one before, then two, four and so on."""
    return max(1, empty - max(1, told - empty))
