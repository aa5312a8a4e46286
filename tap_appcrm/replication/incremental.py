"""What changed since a moment: the newest page, then pages by ``updated_at`` from the last one backwards.

Why this order cannot skip a row is in docs/reading.md. In short: a row only ever moves left, when one before it
is deleted or touched, or to the very end, when it is touched itself. Left of the page in hand everything is
still to be read, and the end lies past the bookmark from which the next run starts.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from appcrm.contact import format_timestamp, parse_timestamp
from tap_appcrm.replication.refetch import repair_ties
from tap_appcrm.replication.ties import TieWatch
from tap_appcrm.source.page import BY_CHANGE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tap_appcrm.replication.read_context import Rows, Run
    from tap_appcrm.source.page import SourcePage

FUTURE_TOLERANCE = timedelta(days=1)

logger = logging.getLogger("tap-appcrm")


class NotSorted(Exception):
    """The server took ``order=updated_at`` and did not follow it."""


class Changes(msgspec.Struct):
    """What a walk over the changes found out."""

    bookmark: str | None
    is_settled: bool
    """Whether its total and its rows belong together: one page showed it all, or no page told another total."""


def read_changes(run: Run, cutoff: str, newest: SourcePage) -> Generator[Rows, None, Changes]:
    """Yield every contact changed at or after a moment, and those without ``updated_at`` on the way.

    Args:
        run: the read in progress.
        cutoff: canonical timestamp.
        newest: the first page of ``order=updated_at|desc``, just read.

    Raises:
        NotSorted: the server does not follow the order.
        Unproven: ties could not be resolved.
    """
    if not newest.is_sorted(descending=True):
        raise NotSorted
    run.note_total(newest)
    bookmark = bookmark_of(newest)
    if newest.is_whole_table or newest.reaches_before(cutoff):
        rows = run.take(newest, _ascending(newest, cutoff))
        if rows is not None:
            yield rows
        return Changes(bookmark, is_settled=True)

    ties = TieWatch()
    totals = {newest.total}
    for page in _backwards(run, cutoff, newest, ties):
        bookmark = bookmark or bookmark_of(page)
        totals.add(page.total)
        rows = run.take(page, _ascending(page, cutoff))
        if rows is not None:
            yield rows
    if ties.suspicious:
        yield from repair_ties(run, ties.suspicious)
    return Changes(bookmark, is_settled=len(totals) == 1)


def _backwards(run: Run, cutoff: str, newest: SourcePage, ties: TieWatch) -> Iterator[SourcePage]:
    """Yield pages by ``updated_at`` from the last one back to the cutoff, one request after another."""

    def read(number: int) -> SourcePage:
        page = run.source.rows(BY_CHANGE, number)
        if not page.is_sorted():
            raise NotSorted
        return page

    def shows_the_newest(page: SourcePage) -> bool:
        # Where it does not, that row was deleted, or the count is stale and the pages go on behind it.
        return (page.newest or "") >= (newest.newest or "")

    page = run.workers.call(run.seek_last, read, newest.pages_told, shows_the_newest)
    while True:
        run.note_total(page)
        ties.see(page)
        if page.number == 1 or page.reaches_before(cutoff):
            yield page
            break
        # The next one may travel while this page is written out.
        following = run.workers.submit(read, page.number - 1)
        yield page
        page = run.workers.result(following)
    ties.close()


def _ascending(page: SourcePage, cutoff: str) -> list[int]:
    """Indices of the rows at or after the cutoff, oldest first; those without ``updated_at`` lead."""
    wanted = [index for index, stamp in enumerate(page.stamps) if stamp is None or stamp >= cutoff]
    return sorted(wanted, key=lambda index: page.stamps[index] or "")


def days_ahead(bookmark: str | None, page: SourcePage) -> int:
    """How many days a bookmark lies past the server's clock, where no contact on the page reaches it; else 0."""
    moment = parse_timestamp(bookmark)
    if moment is None or page.server_time is None or (page.newest or "") >= (bookmark or ""):
        return 0
    ahead = moment - page.server_time
    return ahead.days if ahead > FUTURE_TOLERANCE else 0


def bookmark_of(page: SourcePage) -> str | None:
    """The latest ``updated_at`` of the first page read, but for contacts dated absurdly far in the future."""
    newest = page.newest
    if newest is None or page.server_time is None:
        return newest
    horizon = format_timestamp(page.server_time + FUTURE_TOLERANCE)
    if newest <= horizon:
        return newest
    credible = max((stamp for stamp in page.stamps if stamp is not None and stamp <= horizon), default=None)
    if credible is None:
        return newest
    logger.warning(
        "Contact %d is dated %s, far in the future: it is read, but the bookmark does not follow it",
        page.ids[page.stamps.index(newest)],
        newest,
    )
    return credible
