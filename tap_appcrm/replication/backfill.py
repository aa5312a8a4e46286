"""Every row once: pages by id from the last to the first, several at a time, and how an interrupted read goes on.

Pages in flight together are read in no certain order, so a delete between two of them can move a row out of a
page that is still to be read into one that was read already. ``completeness`` makes that good; see docs/reading.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_appcrm.id_set import IdSet
from tap_appcrm.replication.read_context import StallGuard
from tap_appcrm.source.page import BY_ID, SourcePage, seek_last
from tap_appcrm.state import Backfill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_appcrm.replication.read_context import ReadContext, Rows


@dataclass(frozen=True)
class Checkpoint:
    """All rows handed out so far may be counted as emitted: this is a place to go on from."""


def first_page(context: ReadContext, newest: SourcePage | None) -> SourcePage:
    """Read the page by id that holds the newest ids.

    Args:
        context: of the read in progress.
        newest: the page of those changed last, if there is one.
    """

    def read(number: int) -> SourcePage:
        return context.source.page(BY_ID, number)

    def ends_like_the_newest(page: SourcePage) -> bool:
        # What came in last stands at the end of both.
        return newest is not None and max(newest.ids, default=0) == max(page.ids, default=0)

    return seek_last(read, None if newest is None else newest.pages_told, ends_like_the_newest)


def begin(page: SourcePage, watermark: str | None) -> Backfill:
    """Return the position of a read that begins with this page, the last by id."""
    newest_id = max(page.ids, default=0)
    return Backfill(
        watermark=watermark,
        total=page.total,
        max_id=newest_id,
        below_id=newest_id + 1,
        rows_below=(page.number - 1) * page.rows_per_page + len(page.ids),
    )


def store_progress(context: ReadContext, position: Backfill) -> None:
    """Write into the position what a read that goes on from it has to know."""
    position.seen = context.seen
    position.count_fell = context.count_fell
    position.largest_total = context.largest_total
    position.at_watermark = context.versions.of(position.watermark)


def take_over(context: ReadContext, position: Backfill) -> None:
    """Go on with what the interrupted read knew."""
    context.seen = IdSet(position.seen)
    context.count_fell = position.count_fell
    context.largest_total = position.largest_total or position.total
    for row_id in position.at_watermark:
        context.versions.add(row_id, position.watermark)


def resumed_page(context: ReadContext, position: Backfill) -> SourcePage | None:
    """Read the page from which an interrupted read goes on; None where all pages by id were read.

    Rows below ``below_id`` may have become fewer, so that the page shows ids from above too; where some came
    back from the trash, pages on the right are looked at until one does.
    """
    if position.rows_below == 0:
        return None

    def read(number: int) -> SourcePage:
        return context.source.page(BY_ID, number)

    page = read(position.rows_below // context.page_size + 1)
    if not page.ids:
        return seek_last(read, page.pages_told or page.number)
    guard = StallGuard(context.stream)
    while page.ids[-1] < position.below_id and page.pages_told != page.number:
        guard.see(page)
        following = read(page.number + 1)
        if not following.ids:
            break
        page = following
    return page


def read_backfill(
    context: ReadContext, position: Backfill, page: SourcePage, since: str | None
) -> Iterator[Rows | Checkpoint]:
    """Yield every row from a page down to the first, and a checkpoint after each page.

    Args:
        context: of the read in progress; its ``seen`` tells what an interrupted read emitted.
        position: brought up to date before each checkpoint.
        page: the first page to take, just read.
        since: rows that did not change since are left out.

    Raises:
        IncompleteRead: the pages bring nothing new.
    """
    guard = StallGuard(context.stream)
    guard.see(page)
    yield from _take(context, position, page, since)
    for following in context.source.pages(BY_ID, range(page.number - 1, 0, -1)):
        guard.see(following)
        yield from _take(context, position, following, since)


def _take(
    context: ReadContext, position: Backfill, page: SourcePage, since: str | None
) -> Iterator[Rows | Checkpoint]:
    context.note_total(page)
    wanted = []
    for index, row_id in enumerate(page.ids):
        if not context.seen.add(row_id):
            continue
        stamp = page.stamps[index]
        if stamp is None or since is None or stamp >= since:
            wanted.append(index)
    rows = context.take(page, wanted)
    if rows is not None:
        yield rows
    position.below_id = min([position.below_id, *page.ids])
    position.rows_below = (page.number - 1) * page.rows_per_page
    yield Checkpoint()
