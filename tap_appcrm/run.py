"""What one read of one stream knows and hands on: shared by its walks, told in its receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from appcrm.errors import AppcrmError
from tap_appcrm.idset import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_appcrm.pages import Row, SourcePage
    from tap_appcrm.source import Source
    from tap_appcrm.workers import Workers


class Unproven(AppcrmError):
    """A read that cannot show that it is complete: the bookmark stays where it was."""


class Rows(NamedTuple):
    """Contacts to emit, with their ids and canonical ``updated_at``."""

    rows: list[Row]
    ids: list[int]
    stamps: list[str | None]


class Versions:
    """Which versions of which contacts were emitted: ids by their ``updated_at``."""

    def __init__(self) -> None:
        self._ids: dict[str | None, IdSet] = {}

    def add(self, contact_id: int, stamp: str | None) -> bool:
        """Remember a version; returns whether it is new."""
        ids = self._ids.get(stamp)
        if ids is None:
            ids = self._ids[stamp] = IdSet()
        return ids.add(contact_id)


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
        self.emitted = Versions()
        self.keeps_from: str | None = ""
        """Versions from this moment on are remembered; None for none."""
        self.total: int | None = None
        """Contacts in the CRM, as the server last told."""
        self.repaired = 0
        self.was_full_scan = False

    def take(self, page: SourcePage, wanted: Iterable[int]) -> Rows | None:
        """Pick rows of a page by index, leaving out versions that were emitted before."""
        picked = []
        for index in wanted:
            stamp = page.stamps[index]
            self.seen.add(page.ids[index])
            keeps = self.keeps_from is not None and (stamp is None or stamp >= self.keeps_from)
            if not keeps or self.emitted.add(page.ids[index], stamp):
                picked.append(index)
        if not picked:
            return None
        return Rows(
            [page.rows[i] for i in picked], [page.ids[i] for i in picked], [page.stamps[i] for i in picked]
        )

    def note_total(self, page: SourcePage) -> None:
        """Remember the server's latest count."""
        if page.total is not None:
            self.total = page.total
