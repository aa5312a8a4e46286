"""Finding and fetching what a walk may have missed."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from appcrm.contact import as_id, canonical_timestamp
from tap_appcrm.replication.id_scan import sweep
from tap_appcrm.replication.read_context import Rows, Unproven
from tap_appcrm.replication.ties import TieGroup, TieSearch
from tap_appcrm.source.page import BY_CHANGE, BY_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_appcrm.replication.read_context import Run
    from tap_appcrm.source.page import SourcePage

MAX_ROUNDS = 3

logger = logging.getLogger("tap-appcrm")


def repair_ties(run: Run, groups: list[TieGroup]) -> Iterator[Rows]:
    """Find the rows that tied ``updated_at`` may have hidden at page boundaries, and fetch them.

    Raises:
        Unproven: three sweeps of ids were not sound.
    """
    logger.info("%s: %d updated_at values tie across pages; checking them", run.stream, len(groups))
    open_groups: dict[str, TieGroup] = {}
    for group in groups:
        page = _page_around(run, group)
        if page is None:
            open_groups[group.stamp] = group
            continue
        rows = run.take(page, [i for i, stamp in enumerate(page.stamps) if stamp == group.stamp])
        if rows is not None:
            run.repaired += len(rows.ids)
            yield rows
    if not open_groups:
        return
    for _ in range(MAX_ROUNDS):
        search = TieSearch(open_groups)
        found = sweep(run, search.wants, search.has_all)
        yield from fetch(run, found.wanted)
        if found.stopped_early or found.is_sound:
            return
    raise unproven(run, "rows with the same updated_at could not all be found")


def _page_around(run: Run, group: TieGroup) -> SourcePage | None:
    """Read the group within one page, whose rows are all of one moment; None where none holds it."""
    first, last = max(0, group.first_position - 1), group.last_position + 1
    for size in range(run.page_size, last - first, -1):
        if first // size == last // size:
            page = run.workers.call(_sized_page, run, first // size + 1, size)
            stamps = page.stamps
            begins = page.number == 1 or (stamps and stamps[0] is not None and stamps[0] < group.stamp)
            ends = stamps and (stamps[-1] is None or stamps[-1] > group.stamp or _is_last(page))
            return page if begins and ends and page.is_sorted() else None
    return None


def _sized_page(run: Run, number: int, size: int) -> SourcePage:
    return run.source.rows(BY_CHANGE, number, page_size=size)


def _is_last(page: SourcePage) -> bool:
    return page.pages_told is not None and page.number >= page.pages_told


def fetch(run: Run, missing: Mapping[int, int]) -> Iterator[Rows]:
    """Fetch contacts by id: a page where it holds several of them, else each on its own.

    Args:
        run: the read in progress.
        missing: contact id to the number of the page by id on which it was seen.
    """
    if missing:
        logger.warning("%s: %d contacts slipped through and are fetched now", run.stream, len(missing))
    by_page: defaultdict[int, set[int]] = defaultdict(set)
    for contact_id, number in missing.items():
        by_page[number].add(contact_id)
    single: list[int] = []
    for number, ids in sorted(by_page.items(), reverse=True):
        found: set[int] = set()
        if len(ids) > 1:
            page = run.workers.call(run.source.rows, BY_ID, number)
            wanted = [i for i, contact_id in enumerate(page.ids) if contact_id in ids]
            found = {page.ids[i] for i in wanted}
            rows = run.take(page, wanted)
            if rows is not None:
                run.repaired += len(rows.ids)
                yield rows
        single.extend(sorted(ids - found, reverse=True))
    yield from fetch_each(run, single)


def fetch_each(run: Run, ids: Iterable[int]) -> Iterator[Rows]:
    """Retrieve contacts one by one; one that is gone meanwhile is no loss."""
    with run.workers.in_order(run.source.one, ids) as answers:
        for contact_id, row in answers:
            if row is None or as_id(row.get("id")) != contact_id:
                continue
            run.seen.add(contact_id)
            run.repaired += 1
            yield Rows([row], [contact_id], [canonical_timestamp(row.get("updated_at"))])


def unproven(run: Run, why: str) -> Unproven:
    """The error of a read that is not known to be complete."""
    return Unproven(
        f"stream {run.stream}: {why}, although {MAX_ROUNDS} rounds were tried. The bookmark is unmoved; run again, "
        "at a quieter time if the CRM is being changed heavily"
    )
