"""What one read of one stream knows and hands on: shared by its walks, told in its receipt."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from appcrm.contact import format_timestamp
from appcrm.errors import AppcrmError
from tap_appcrm.replication.id_set import IdSet
from tap_appcrm.source.page import seek_last

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_appcrm.source.list_source import Source
    from tap_appcrm.source.page import Row, SourcePage
    from tap_appcrm.source.thread_pool import Workers


logger = logging.getLogger("tap-appcrm")


class FilterRefused(AppcrmError):
    """The server refuses to list contacts through the filter that the settings make."""


class Unproven(AppcrmError):
    """A read that cannot show that it is complete: the bookmark stays where it was."""


class Rows(NamedTuple):
    """Contacts to emit, with their ids and canonical ``updated_at``."""

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


class Versions:
    """Which versions of which contacts were emitted of late: ids by their ``updated_at``.

    One that is forgotten is emitted twice at worst, which loaders take for the same.
    """

    def __init__(self) -> None:
        self._ids: dict[str | None, IdSet] = {}

    def add(self, contact_id: int, stamp: str | None) -> bool:
        """Remember a version; returns whether it is new."""
        ids = self._ids.get(stamp)
        if ids is None:
            if len(self._ids) >= MOMENTS_REMEMBERED:
                for moment in list(islice(self._ids, MOMENTS_REMEMBERED // 2)):
                    del self._ids[moment]
            ids = self._ids[stamp] = IdSet()
        return ids.add(contact_id)

    def of(self, moment: str | None) -> IdSet:
        """Ids of which the version of a moment is remembered."""
        return self._ids.get(moment, IdSet())

    def __len__(self) -> int:
        """How many moments are remembered."""
        return len(self._ids)


class Run:
    """A read in progress.

    Args:
        stream: its name, for messages.
        source: where it reads from.
        workers: threads for its requests.
        page_size: rows asked for.
    """

    def __init__(self, stream: str, source: Source, workers: Workers, page_size: int) -> None:
        self.stream = stream
        self.source = source
        self.workers = workers
        self.page_size = page_size
        self.seen = IdSet()
        """Every contact that was read and is not known to be gone."""
        self.vanished = IdSet()
        """Contacts that were read, in this run or by the interrupted one before it, and are not listed any more."""
        self.emitted = Versions()
        self.keeps_from: str | None = ""
        """Versions from this moment on are remembered; None for none."""
        self.total: int | None = None
        """Contacts in the CRM, as the server last told."""
        self.largest_total: int | None = None
        self.shrank = False
        """Whether contacts may have gone meanwhile, so that pages may have shifted."""
        self.repaired = 0
        self._server_time = ""

    def take(self, page: SourcePage, wanted: Iterable[int]) -> Rows | None:
        """Pick rows of a page by index, leaving out versions that were emitted before."""
        picked = []
        self.note_time(page)
        for index in wanted:
            stamp = page.stamps[index]
            self.seen.add(page.ids[index])
            if not self._remembers(stamp) or self.emitted.add(page.ids[index], stamp):
                picked.append(index)
        if not picked:
            return None
        return Rows(page.rows, page.ids, page.stamps).at(picked)

    def _remembers(self, stamp: str | None) -> bool:
        """Whether a version need not be emitted twice.

        One of the second in which it is read is no version yet: a change may still follow under the same stamp.
        """
        if self.keeps_from is None:
            return False
        return stamp is None or self.keeps_from <= stamp < self._server_time

    def note_time(self, page: SourcePage) -> None:
        """Remember how late it is on the server: by its clock, or at least as late as its newest row."""
        told = page.newest if page.server_time is None else format_timestamp(page.server_time)
        self._server_time = max(self._server_time, told or "")

    def ignore_counts(self, page: SourcePage) -> None:
        """Go on without the server's counts, because this page stands beyond them."""
        logger.warning(
            "%s: page %d has contacts although the server counts %s: its counts are not used",
            self.stream,
            page.number,
            "fewer pages" if page.total is None else f"{page.total} in all",
        )
        self.source.ignore_counts()
        self.total = None

    def seek_last(
        self, read: Callable[[int], SourcePage], told: int | None, is_last: Callable[[SourcePage], bool]
    ) -> SourcePage:
        """Return the last page, also where the server's count is stale and pages go on behind it.

        Args:
            read: reads one page.
            told: its number as the server told it.
            is_last: whether a full page shows what must be on the last one.
        """
        page = seek_last(read, told)
        if not page.is_full or is_last(page):
            return page
        following = read(page.number + 1)
        if not following.is_beyond_the_count:
            return page
        self.ignore_counts(following)
        return seek_last(read, following.number)

    def note_total(self, page: SourcePage) -> None:
        """Remember the server's latest count, and whether it ever went down."""
        if page.total is not None:
            self.total = page.total
            self.shrank = self.shrank or page.total < (self.largest_total or 0)
            self.largest_total = max(page.total, self.largest_total or 0)
