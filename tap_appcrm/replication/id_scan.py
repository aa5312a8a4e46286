"""The id scan: every id in the CRM, page after page from the last to the first, and whether that can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_appcrm.id_set import IdSet
from tap_appcrm.replication.read_context import StallGuard
from tap_appcrm.source.page import confirmed, seek_last

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_appcrm.replication.read_context import ReadContext
    from tap_appcrm.source.page import SourcePage


MOST_LOOKS = 3
"""How often one boundary is looked at again while the table grows."""


@dataclass
class IdScan:
    """What a scan found.

    ``wanted`` holds the page number of each id that the caller asked for; ``drops`` and ``rises`` add up how the
    server's count moved from answer to answer.
    """

    ids: IdSet = field(default_factory=IdSet)
    wanted: dict[int, int] = field(default_factory=dict)
    first_total: int | None = None
    last_total: int | None = None
    drops: int = 0
    rises: int = 0
    in_order: bool = True
    stopped_early: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether it saw each row that was there from its first page to its last.

        One page after another and backwards, deletes cannot hide one. The totals and the order of ids must fit.
        """
        if not self.in_order:
            return False
        if self.first_total is None:
            return True
        return self.first_total - self.drops <= len(self.ids) <= self.first_total + self.rises


def scan_ids(
    context: ReadContext,
    wanted: Callable[[int, str | None], bool],
    enough: Callable[[], bool] = lambda: False,
) -> IdScan:
    """Read all ids, one page after another and backwards.

    Args:
        context: of the read in progress.
        wanted: whether the caller wants to know where a version, id and ``updated_at``, stands.
        enough: whether to stop early.

    Raises:
        IncompleteRead: the pages bring nothing new.
    """
    scan = IdScan()
    guard = StallGuard(context.stream)
    told = None if context.total is None else max(1, -(-context.total // context.page_size))
    page = seek_last(context.source.id_page, told)
    right: SourcePage | None = None
    scan.first_total = page.total
    if (
        page.total is None
        and len(page.ids) == (page.per_page or page.asked)
        and context.source.id_page(page.number + 1).ids
    ):
        # As many rows as were asked for, the same ones on the next page, and no count: pages may not be known at all.
        scan.in_order = False
    while True:
        guard.see(page)
        if right is not None:
            _compare_totals(scan, right, page)
        _take(scan, page, right, wanted)
        if enough():
            scan.stopped_early = True
            return scan
        if right is not None and _rose(right, page):
            page = _look_again(context, scan, right, page, wanted)
        if page.number == 1:
            scan.last_total = page.total
            return scan
        right, page = page, confirmed(context.source.id_page(page.number - 1), context.source.id_page)


def _look_again(
    context: ReadContext,
    scan: IdScan,
    right: SourcePage,
    page: SourcePage,
    wanted: Callable[[int, str | None], bool],
) -> SourcePage:
    """Read both pages at a boundary anew, because something came in; return the left one.

    It may have come in on the left, and pushed rows across the boundary into the page that was read before. Both are
    read, for a delete between two answers can pull a row back. Where they show what they did, it came in at the end;
    where the right one shows older rows only, rows may have been pushed past it.
    """
    for _ in range(MOST_LOOKS):
        again = context.source.id_page(right.number)
        _compare_totals(scan, page, again)
        _take(scan, again, None, wanted)
        page_again = context.source.id_page(page.number)
        _compare_totals(scan, again, page_again)
        _take(scan, page_again, again, wanted)
        if again.ids and right.ids and again.ids[-1] < right.ids[0]:
            break
        is_same = page_again.ids == page.ids and again.ids[: len(right.ids)] == right.ids
        if is_same or not _rose(again, page_again):
            return page_again
        right, page = again, page_again
    scan.in_order = False
    return page


def _take(
    scan: IdScan, page: SourcePage, right: SourcePage | None, wanted: Callable[[int, str | None], bool]
) -> None:
    if page.ids != sorted(set(page.ids)):
        scan.in_order = False
    if right is not None and page.ids and right.ids and page.ids[-1] >= right.ids[0]:
        overlap = {number for number in page.ids if number >= right.ids[0]}
        # After a delete the pages overlap, in ids that both show.
        if not overlap <= set(right.ids):
            scan.in_order = False
    for number, stamp in zip(page.ids, page.stamps, strict=True):
        scan.ids.add(number)
        if wanted(number, stamp):
            scan.wanted[number] = page.number


def _compare_totals(scan: IdScan, before: SourcePage, after: SourcePage) -> None:
    if before.total is None or after.total is None:
        return
    scan.drops += max(0, before.total - after.total)
    scan.rises += max(0, after.total - before.total)


def _rose(before: SourcePage, after: SourcePage) -> bool:
    return before.total is not None and after.total is not None and after.total > before.total
