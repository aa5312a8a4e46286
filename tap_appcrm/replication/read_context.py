"""What one read of one stream knows and hands on: shared by its walks, told in its receipt."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from appcrm.contact import format_timestamp
from appcrm.errors import AppcrmError
from tap_appcrm.id_set import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_appcrm.source.list_source import Source
    from tap_appcrm.source.page import Row, SourcePage


class FilterRefused(AppcrmError):
    """The server refuses to list rows through the filter that the settings make."""


class IncompleteRead(AppcrmError):
    """A read that cannot show that it is complete: the bookmark stays where it was."""


class Rows(NamedTuple):
    """Rows to emit, with their ids and canonical ``updated_at``."""

    rows: list[Row]
    ids: list[int]
    stamps: list[str | None]

    def at(self, indices: Iterable[int]) -> Rows:
        """Return some of them."""
        chosen = list(indices)
        return Rows(
            [self.rows[i] for i in chosen], [self.ids[i] for i in chosen], [self.stamps[i] for i in chosen]
        )

    def since(self, moment: str | None) -> Rows:
        """Return those changed at or after a moment, and those of which it is not known."""
        if moment is None:
            return self
        return self.at(i for i, stamp in enumerate(self.stamps) if stamp is None or stamp >= moment)


MOMENTS_REMEMBERED = 10_000
"""Rows show twice on neighbouring pages, so versions from far behind need not be remembered."""


class RecentVersions:
    """Which versions of which rows were emitted of late: ids by their ``updated_at``.

    One that is forgotten is emitted twice at worst, which loaders take for the same.
    """

    def __init__(self) -> None:
        self._ids: dict[str | None, IdSet] = {}

    def add(self, row_id: int, stamp: str | None) -> bool:
        """Remember a version; returns whether it is new."""
        ids = self._ids.get(stamp)
        if ids is None:
            if len(self._ids) >= MOMENTS_REMEMBERED:
                for moment in list(islice(self._ids, MOMENTS_REMEMBERED // 2)):
                    del self._ids[moment]
            ids = self._ids[stamp] = IdSet()
        return ids.add(row_id)

    def of(self, moment: str | None) -> IdSet:
        """Ids of which the version of a moment is remembered."""
        return self._ids.get(moment, IdSet())

    def __len__(self) -> int:
        """How many moments are remembered."""
        return len(self._ids)


MOST_PAGES_WITHOUT_NEWS = 20
"""Pages in a row of which a walk knows every row: a server that goes on like this does not page."""


class StallGuard:
    """Ends a walk whose pages bring nothing new, however many of them the server promises."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._ids = IdSet()
        self._pages = 0

    def see(self, page: SourcePage) -> None:
        """Look at the next page of the walk.

        Raises:
            IncompleteRead: the server sends the same rows whatever page is asked for.
        """
        before = len(self._ids)
        self._ids.update(page.ids)
        self._pages = 0 if len(self._ids) > before else self._pages + 1
        if self._pages >= MOST_PAGES_WITHOUT_NEWS:
            counted = "an unknown number" if page.total is None else page.total
            raise IncompleteRead(
                f"stream {self._stream}: {self._pages} pages in a row, the last of them page {page.number}, brought "
                f"no row that was not read before: {len(self._ids)} so far, where the server counts {counted}. It "
                "does not seem to honour page=; the bookmark is unmoved"
            )


class ReadContext:
    """A read in progress.

    Args:
        stream: its name, for messages.
        source: where it reads from.
        page_size: rows asked for.
    """

    def __init__(self, stream: str, source: Source, page_size: int) -> None:
        self.stream = stream
        self.source = source
        self.page_size = page_size
        self.seen = IdSet()
        """Every row that was read and is not known to be gone."""
        self.vanished = IdSet()
        """Rows that were read and that a later look at all ids did not show."""
        self.versions = RecentVersions()
        self.remembers_from: str | None = ""
        """Versions from this moment on are remembered; None for none."""
        self.total: int | None = None
        """Rows in the CRM, as the server last told."""
        self.largest_total: int | None = None
        self.count_fell = False
        """Whether rows may have gone meanwhile, so that pages may have shifted."""
        self.repaired = 0
        self._server_time = ""

    def take(self, page: SourcePage, wanted: Iterable[int]) -> Rows | None:
        """Pick rows of a page by index, leaving out versions that were emitted before."""
        picked = []
        self._note_time(page)
        for index in wanted:
            stamp = page.stamps[index]
            self.seen.add(page.ids[index])
            if not self._remembers(stamp) or self.versions.add(page.ids[index], stamp):
                picked.append(index)
        if not picked:
            return None
        return Rows(page.rows, page.ids, page.stamps).at(picked)

    def _remembers(self, stamp: str | None) -> bool:
        """Whether a version need not be emitted twice.

        One of the second in which it is read is no version yet: a change may still follow under the same stamp.
        """
        if self.remembers_from is None:
            return False
        return stamp is None or self.remembers_from <= stamp < self._server_time

    def _note_time(self, page: SourcePage) -> None:
        """Remember how late it is on the server: by its clock, or at least as late as its newest row."""
        told = page.newest if page.server_time is None else format_timestamp(page.server_time)
        self._server_time = max(self._server_time, told or "")

    def note_total(self, page: SourcePage) -> None:
        """Remember the server's latest count, and whether it ever went down."""
        if page.total is not None:
            self.total = page.total
            self.count_fell = self.count_fell or page.total < (self.largest_total or 0)
            self.largest_total = max(page.total, self.largest_total or 0)
