"""Finding and fetching what a walk may have missed."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from appcrm.contact import as_id, canonical_timestamp
from tap_appcrm.replication.id_scan import scan_ids
from tap_appcrm.replication.read_context import IncompleteRead, Rows
from tap_appcrm.replication.ties import TieGroup, TieSearch
from tap_appcrm.source.page import BY_CHANGE, BY_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_appcrm.replication.read_context import ReadContext
    from tap_appcrm.source.page import SourcePage

MAX_ROUNDS = 3

logger = logging.getLogger("tap-appcrm")


def refetch_ties(context: ReadContext, groups: list[TieGroup]) -> Iterator[Rows]:
    """Find the rows that tied ``updated_at`` may have hidden at page boundaries, and fetch them.

    Raises:
        IncompleteRead: three scans of ids were not sound.
    """
    logger.info("%s: %d updated_at values tie across pages; checking them", context.stream, len(groups))
    open_groups: dict[str, TieGroup] = {}
    for group in groups:
        page = _page_around(context, group)
        if page is None:
            open_groups[group.stamp] = group
            continue
        rows = context.take(page, [i for i, stamp in enumerate(page.stamps) if stamp == group.stamp])
        if rows is not None:
            context.repaired += len(rows.ids)
            yield rows
    if not open_groups:
        return
    for _ in range(MAX_ROUNDS):
        search = TieSearch(open_groups)
        scan = scan_ids(context, search.wants, search.has_all)
        yield from fetch(context, scan.wanted)
        if scan.stopped_early or scan.is_sound:
            return
    raise incomplete(context, "rows with the same updated_at could not all be found")


def _page_around(context: ReadContext, group: TieGroup) -> SourcePage | None:
    """Read the group within one page, whose rows are all of one moment; None where none holds it."""
    first, last = max(0, group.first_position - 1), group.last_position + 1
    for size in range(context.page_size, last - first, -1):
        if first // size == last // size:
            page = context.source.page(BY_CHANGE, first // size + 1, page_size=size)
            stamps = page.stamps
            begins = page.number == 1 or (stamps and stamps[0] is not None and stamps[0] < group.stamp)
            ends = stamps and (stamps[-1] is None or stamps[-1] > group.stamp or _is_last(page))
            return page if begins and ends and page.is_sorted() else None
    return None


def _is_last(page: SourcePage) -> bool:
    return page.pages_told is not None and page.number >= page.pages_told


def fetch(context: ReadContext, missing: Mapping[int, int]) -> Iterator[Rows]:
    """Fetch rows by id: a page where it holds several of them, else each on its own.

    Args:
        context: of the read in progress.
        missing: id to the number of the page by id on which it was seen.
    """
    if missing:
        logger.warning("%s: %d rows slipped through and are fetched now", context.stream, len(missing))
    by_page: defaultdict[int, set[int]] = defaultdict(set)
    for row_id, number in missing.items():
        by_page[number].add(row_id)
    single: list[int] = []
    for number, ids in sorted(by_page.items(), reverse=True):
        found: set[int] = set()
        if len(ids) > 1:
            page = context.source.page(BY_ID, number)
            wanted = [i for i, row_id in enumerate(page.ids) if row_id in ids]
            found = {page.ids[i] for i in wanted}
            rows = context.take(page, wanted)
            if rows is not None:
                context.repaired += len(rows.ids)
                yield rows
        single.extend(sorted(ids - found, reverse=True))
    yield from _fetch_each(context, single)


def _fetch_each(context: ReadContext, ids: Iterable[int]) -> Iterator[Rows]:
    """Retrieve rows one by one; one that is gone meanwhile is no loss."""
    for row_id, row in context.source.each(ids):
        if row is None or as_id(row.get("id")) != row_id:
            continue
        context.seen.add(row_id)
        context.repaired += 1
        yield Rows([row], [row_id], [canonical_timestamp(row.get("updated_at"))])


def incomplete(context: ReadContext, why: str) -> IncompleteRead:
    """The error of a read that is not known to be complete."""
    return IncompleteRead(
        f"stream {context.stream}: {why}, although {MAX_ROUNDS} rounds were tried. The bookmark is unmoved; run again, "
        "at a quieter time if the CRM is being changed heavily"
    )
