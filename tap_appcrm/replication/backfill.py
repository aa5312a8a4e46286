"""Every contact once: pages by id from the last to the first, several at a time, and the proof afterwards.

Pages in flight together are read in no certain order, so a delete between two of them can move a row out of a
page that is still to be read into one that was read already. ``prove`` makes that good; see docs/reading.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tap_appcrm.replication.id_scan import Sweep, sweep
from tap_appcrm.replication.refetch import MAX_ROUNDS, fetch, unproven
from tap_appcrm.source.page import BY_ID, SourcePage, seek_last
from tap_appcrm.state import Backfill

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tap_appcrm.replication.read_context import Rows, Run


class Checkpoint(msgspec.Struct, frozen=True):
    """All rows handed out so far may be counted as emitted: this is a place to go on from."""


def first_page(run: Run, newest: SourcePage | None) -> SourcePage:
    """Read the page by id that holds the newest contacts.

    Args:
        run: the read in progress.
        newest: the page of those changed last, if there is one. An id that is newer than the last page by id
            was inserted just now, or the server's count is stale and hides a part of the table. Without it, a last
            page that is full is looked behind.
    """

    def read(number: int) -> SourcePage:
        return run.source.rows(BY_ID, number)

    def shows_the_newest(page: SourcePage) -> bool:
        return newest is not None and max(newest.ids, default=0) <= max(page.ids, default=0)

    told = None if newest is None else newest.pages_told
    return run.workers.call(run.seek_last, read, told, shows_the_newest)


def begin(page: SourcePage, watermark: str | None, since: str | None, filters: list[str | None]) -> Backfill:
    """Return the position of a read that begins with this page, the last by id."""
    newest_id = max(page.ids, default=0)
    return Backfill(
        watermark=watermark,
        total=page.total,
        max_id=newest_id,
        below_id=newest_id + 1,
        rows_below=(page.number - 1) * page.rows_per_page + len(page.ids),
        seen="",
        since=since,
        filters=filters,
    )


def resumed_page(run: Run, position: Backfill) -> SourcePage:
    """Read the page from which an interrupted read goes on.

    Rows below ``below_id`` may have become fewer, so that the page shows ids from above too; where some came
    back from the trash, pages on the right are looked at until one does.
    """

    def read(number: int) -> SourcePage:
        return run.source.rows(BY_ID, number)

    def find() -> SourcePage:
        page = read(position.rows_below // run.page_size + 1)
        if not page.ids:
            return seek_last(read, page.pages_told or page.number)
        while page.ids[-1] < position.below_id and page.pages_told != page.number:
            following = read(page.number + 1)
            if not following.ids:
                break
            page = following
        return page

    return run.workers.call(find)


def read_backfill(run: Run, position: Backfill, page: SourcePage) -> Iterator[Rows | Checkpoint]:
    """Yield every contact from a page down to the first, and a checkpoint after each page.

    Args:
        run: the read in progress; its ``seen`` tells what an interrupted read emitted.
        position: brought up to date before each checkpoint.
        page: the first page to take, just read.
    """
    numbers = range(page.number - 1, 0, -1)
    with run.workers.in_order(lambda number: run.source.rows(BY_ID, number), numbers) as pages:
        yield from _take(run, position, page)
        for _, following in pages:
            yield from _take(run, position, following)


def _take(run: Run, position: Backfill, page: SourcePage) -> Iterator[Rows | Checkpoint]:
    run.note_total(page)
    wanted = []
    for index, contact_id in enumerate(page.ids):
        if not run.seen.add(contact_id):
            continue
        stamp = page.stamps[index]
        if stamp is None or position.since is None or stamp >= position.since:
            wanted.append(index)
    rows = run.take(page, wanted)
    if rows is not None:
        yield rows
    position.below_id = min([position.below_id, *page.ids])
    position.rows_below = (page.number - 1) * page.rows_per_page
    yield Checkpoint()


def prove(run: Run, position: Backfill, *, is_settled: bool) -> Generator[Rows, None, None]:
    """Show that every contact was read; find and fetch what slipped through.

    Args:
        run: the read in progress.
        position: how it began.
        is_settled: whether the run's total is of a moment up to which all that was inserted is known.

    Raises:
        Unproven: it cannot be shown.
    """
    inserted = len(run.seen) - position.already_there(run.seen)
    if (
        is_settled
        and not run.shrank
        and position.total is not None
        and position.total + inserted == run.total == len(run.seen)
    ):
        return
    for _ in range(MAX_ROUNDS):
        found = sweep(run, lambda contact_id, _stamp: contact_id not in run.seen, lambda _: False)
        yield from fetch(run, found.wanted)
        settle(run, found)
        if found.is_sound and (found.first_total is not None or not found.wanted):
            return
    raise unproven(run, "the contacts read do not add up to what the server counts")


def settle(run: Run, found: Sweep) -> None:
    """Count as read what a sweep saw and what was fetched; contacts that it did not see are gone."""
    if not found.is_sound:
        return
    for contact_id in found.wanted:
        if contact_id not in run.seen:
            found.ids.discard(contact_id)
    run.vanished.update(contact_id for contact_id in run.seen if contact_id not in found.ids)
    run.seen = found.ids
    run.total = found.last_total
