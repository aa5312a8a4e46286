"""What changed since a moment: the newest page, then pages by ``updated_at`` from the last one backwards.

Why this order cannot skip a row is in docs/reading.md. In short: a row only ever moves left, when one before it
is deleted or touched, or to the very end, when it is touched itself. Left of the page in hand everything is
still to be read, and the end lies past the bookmark from which the next run starts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from appcrm.contact import format_timestamp, parse_timestamp
from tap_appcrm.replication.read_context import StallGuard
from tap_appcrm.replication.refetch import refetch_ties
from tap_appcrm.replication.ties import TieWatch
from tap_appcrm.source.page import BY_CHANGE, confirmed, seek_last

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tap_appcrm.replication.read_context import ReadContext, Rows
    from tap_appcrm.source.page import SourcePage

FUTURE_TOLERANCE = timedelta(days=1)

logger = logging.getLogger("tap-appcrm")


class NotSorted(Exception):
    """The server took ``order=updated_at`` and did not follow it."""


@dataclass(frozen=True)
class Changes:
    """What a walk over the changes found out."""

    bookmark: str | None
    is_settled: bool
    """Whether its total and its rows belong together: one page showed it all, or no page told another total."""


def read_changes(context: ReadContext, cutoff: str, newest: SourcePage) -> Generator[Rows, None, Changes]:
    """Yield every row changed at or after a moment, and those without ``updated_at`` on the way.

    Args:
        context: of the read in progress.
        cutoff: canonical timestamp.
        newest: the first page of ``order=updated_at|desc``, just read.

    Raises:
        NotSorted: the server does not follow the order.
        IncompleteRead: ties could not be resolved, or the pages bring nothing new.
    """
    if not newest.is_sorted(descending=True):
        raise NotSorted
    context.note_total(newest)
    bookmark = bookmark_of(newest)
    if newest.is_whole_table or newest.reaches_before(cutoff):
        rows = context.take(newest, _ascending(newest, cutoff))
        if rows is not None:
            yield rows
        return Changes(bookmark, is_settled=True)

    ties = TieWatch()
    totals = {newest.total}
    for page in _backwards(context, cutoff, newest):
        context.note_total(page)
        ties.see(page)
        bookmark = bookmark or bookmark_of(page)
        totals.add(page.total)
        rows = context.take(page, _ascending(page, cutoff))
        if rows is not None:
            yield rows
    ties.close()
    if ties.suspicious:
        yield from refetch_ties(context, ties.suspicious)
    return Changes(bookmark, is_settled=len(totals) == 1)


def _backwards(context: ReadContext, cutoff: str, newest: SourcePage) -> Iterator[SourcePage]:
    """Yield pages by ``updated_at`` from the last one back to the cutoff, one request after another."""

    def read(number: int) -> SourcePage:
        page = context.source.page(BY_CHANGE, number)
        if not page.is_sorted():
            raise NotSorted
        return page

    def shows_the_newest(page: SourcePage) -> bool:
        # Where it does not, that row was deleted, or the count is stale and the pages go on behind it.
        return (page.newest or "") >= (newest.newest or "")

    guard = StallGuard(context.stream)
    page = seek_last(read, newest.pages_told, shows_the_newest)
    while True:
        guard.see(page)
        yield page
        if page.number == 1 or page.reaches_before(cutoff):
            return
        page = confirmed(read(page.number - 1), read)


def _ascending(page: SourcePage, cutoff: str) -> list[int]:
    """Indices of the rows at or after the cutoff, oldest first; those without ``updated_at`` lead."""
    wanted = [index for index, stamp in enumerate(page.stamps) if stamp is None or stamp >= cutoff]
    return sorted(wanted, key=lambda index: page.stamps[index] or "")


def days_ahead(bookmark: str | None, page: SourcePage) -> int:
    """How many days a bookmark lies past the server's clock, where no row on the page reaches it; else 0."""
    moment = parse_timestamp(bookmark)
    if moment is None or page.server_time is None or (page.newest or "") >= (bookmark or ""):
        return 0
    ahead = moment - page.server_time
    return ahead.days if ahead > FUTURE_TOLERANCE else 0


def bookmark_of(page: SourcePage) -> str | None:
    """The latest ``updated_at`` of the first page read, but for rows dated absurdly far in the future."""
    newest = page.newest
    if newest is None or page.server_time is None:
        return newest
    try:
        horizon = format_timestamp(page.server_time + FUTURE_TOLERANCE)
    except OverflowError:
        return newest
    if newest <= horizon:
        return newest
    credible = max((stamp for stamp in page.stamps if stamp is not None and stamp <= horizon), default=None)
    if credible is None:
        return newest
    logger.warning(
        "Row %d is dated %s, far in the future: it is read, but the bookmark does not follow it",
        page.ids[page.stamps.index(newest)],
        newest,
    )
    return credible
