"""The id sweep: every id in the CRM, page after page from the last to the first, and whether that can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tap_appcrm.replication.id_set import IdSet
from tap_appcrm.source.page import seek_last

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_appcrm.replication.read_context import Run
    from tap_appcrm.source.page import SourcePage


MOST_LOOKS = 3
"""How often one boundary is looked at again while the table grows."""


class Sweep(msgspec.Struct):
    """What a sweep found.

    ``wanted`` holds the page number of each id that the caller asked for.
    """

    ids: IdSet = msgspec.field(default_factory=IdSet)
    wanted: dict[int, int] = msgspec.field(default_factory=dict)
    first_total: int | None = None
    last_total: int | None = None
    drops: int = 0
    rises: int = 0
    in_order: bool = True
    stopped_early: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether it saw each contact that was there from its first page to its last.

        Serial and backwards, deletes cannot hide one. What the totals and the order of ids show must fit.
        """
        if not self.in_order:
            return False
        if self.first_total is None:
            return True
        return self.first_total - self.drops <= len(self.ids) <= self.first_total + self.rises


def sweep(run: Run, wanted: Callable[[int, str | None], bool], enough: Callable[[Sweep], bool]) -> Sweep:
    """Read all ids, serially and backwards.

    Args:
        run: the read in progress.
        wanted: whether the caller wants to know where a version, id and ``updated_at``, stands.
        enough: whether to stop early.
    """
    return run.workers.call(_sweep, run, wanted, enough)


def _sweep(run: Run, wanted: Callable[[int, str | None], bool], enough: Callable[[Sweep], bool]) -> Sweep:
    result = Sweep()
    told = None if run.total is None else -(-run.total // run.page_size)
    page = seek_last(run.source.stamps, told)
    right: SourcePage | None = None
    result.first_total = page.total
    while True:
        if right is not None:
            _compare_totals(result, right, page)
        _take(result, page, right, wanted)
        if enough(result):
            result.stopped_early = True
            return result
        if right is not None and _rose(right, page):
            page = _look_again(run, result, right, page, wanted)
        if page.number == 1:
            result.last_total = page.total
            return result
        right, page = page, run.source.stamps(page.number - 1)


def _look_again(
    run: Run,
    result: Sweep,
    right: SourcePage,
    page: SourcePage,
    wanted: Callable[[int, str | None], bool],
) -> SourcePage:
    """Read both pages at a boundary anew, because something came in; return the left one.

    It may have come in on the left, and pushed rows across the boundary into the page that was read before. Both are
    read, for a delete between two answers can pull a row back. Where they show what they did, it came in at the end;
    where the right one shows older contacts only, rows may have been pushed past it.
    """
    for _ in range(MOST_LOOKS):
        again = run.source.stamps(right.number)
        _compare_totals(result, page, again)
        _take(result, again, None, wanted)
        page_again = run.source.stamps(page.number)
        _compare_totals(result, again, page_again)
        _take(result, page_again, again, wanted)
        if again.ids and right.ids and again.ids[-1] < right.ids[0]:
            break
        is_same = page_again.ids == page.ids and again.ids[: len(right.ids)] == right.ids
        if is_same or not _rose(again, page_again):
            return page_again
        right, page = again, page_again
    result.in_order = False
    return page


def _take(
    result: Sweep, page: SourcePage, right: SourcePage | None, wanted: Callable[[int, str | None], bool]
) -> None:
    if page.ids != sorted(set(page.ids)):
        result.in_order = False
    if right is not None and page.ids and right.ids and page.ids[-1] >= right.ids[0]:
        overlap = {number for number in page.ids if number >= right.ids[0]}
        # After a delete the pages overlap, in ids that both show.
        if not overlap <= set(right.ids):
            result.in_order = False
    for number, stamp in zip(page.ids, page.stamps, strict=True):
        result.ids.add(number)
        if wanted(number, stamp):
            result.wanted[number] = page.number


def _compare_totals(result: Sweep, before: SourcePage, after: SourcePage) -> None:
    if before.total is None or after.total is None:
        return
    result.drops += max(0, before.total - after.total)
    result.rises += max(0, after.total - before.total)


def _rose(before: SourcePage, after: SourcePage) -> bool:
    return before.total is not None and after.total is not None and after.total > before.total
