"""Whether a read in full saw every row: its ids against the server's closing answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_appcrm.replication.id_scan import IdScan, scan_ids
from tap_appcrm.replication.refetch import fetch

if TYPE_CHECKING:
    from collections.abc import Generator

    from tap_appcrm.replication.read_context import ReadContext, Rows
    from tap_appcrm.shrink_limit import ShrinkLimit
    from tap_appcrm.state import Backfill


def pages_held_still(context: ReadContext, position: Backfill) -> bool:
    """Whether no row can have slipped from one page by id to another while they were read.

    No answer told a smaller count than one before it, and what the pages showed of the beginning is as much as the
    server counted then. A row of the beginning that only the changes show slipped through, or came back from the trash
    and hides in the count one that did.
    """
    return not context.count_fell and position.already_there(context.seen) == position.total


def is_complete(context: ReadContext, scan: IdScan | None, limit: ShrinkLimit) -> bool:
    """Whether the closing answers count what was read.

    Args:
        context: of the read, whose total is that of the last answer.
        scan: the id scan that went before, if the pages did not hold still.
        limit: how many rows may go while ids are scanned; more is a server that contradicts itself.
    """
    total = context.total
    if scan is None:
        return total == len(context.seen)
    if total is None:
        # Without counts only a second look at all ids, which finds nothing new, is a proof.
        return scan.is_sound and not scan.wanted
    if not scan.is_sound:
        return False
    # What went while ids were scanned may have been seen before it went.
    gone_since = scan.drops + max(0, (scan.last_total or 0) - total)
    return total <= len(context.seen) <= total + min(gone_since, limit.allowed(len(context.seen)))


def scan_and_fetch(context: ReadContext, up_to_id: int | None = None) -> Generator[Rows, None, IdScan]:
    """Look at all ids, yield what was not read, and return the scan.

    Args:
        context: of the read in progress.
        up_to_id: what came in above this id is for others to find; None: for nobody.

    Raises:
        IncompleteRead: the pages bring nothing new.
    """

    def is_missing(row_id: int, _stamp: str | None) -> bool:
        return row_id not in context.seen and (up_to_id is None or row_id <= up_to_id)

    scan = scan_ids(context, is_missing)
    yield from fetch(context, scan.wanted)
    if not scan.is_sound:
        return scan
    for row_id in [row_id for row_id in scan.ids if row_id not in context.seen]:
        scan.ids.discard(row_id)
    context.vanished.update(row_id for row_id in context.seen if row_id not in scan.ids)
    context.seen = scan.ids
    context.total = scan.last_total
    return scan
