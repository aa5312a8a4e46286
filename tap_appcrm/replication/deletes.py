"""Rows that are gone: found in the trash, or missing from a scan of ids and each confirmed by its own GET."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from appcrm.contact import canonical_timestamp, format_timestamp
from appcrm.errors import CsrfRejected, FatalError, Forbidden, RateLimited, ServerFault, Unauthenticated
from tap_appcrm.id_set import IdSet
from tap_appcrm.replication.id_scan import IdScan, scan_ids
from tap_appcrm.replication.read_context import StallGuard
from tap_appcrm.replication.refetch import MAX_ROUNDS, fetch, incomplete
from tap_appcrm.state import is_still_refused

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from tap_appcrm.replication.read_context import ReadContext, Rows
    from tap_appcrm.source.page import Row, SourcePage
    from tap_appcrm.state import StreamState

MOST_ASKED_AGAIN = 20
"""Rows that are not listed and yet not gone, of which one run asks again: each costs a request."""
MOST_NAMED = 5
GONE_AT_ONCE = 100
"""Rows that are confirmed before they are told: what is told need not be asked for again after an interruption."""
ASK_TRASH_AGAIN_AFTER = timedelta(days=7)

logger = logging.getLogger("tap-appcrm")


class Gone(NamedTuple):
    """Rows that the server says are not there."""

    ids: list[int]


class DeleteDetection:
    """Finds what is gone, and keeps the state's sets true: a row is known until its tombstone was handed out.

    Args:
        context: of the read, which is otherwise complete.
        state: holds the ids known so far, and of those the ones that are alive but not listed.
        is_learning: whether no earlier run says which rows there were.
        since: ``start_date``: older rows are not emitted.
        trash_from: up to where the last run read changes; what went since is newer in the trash.
        bookmark: up to where this run did; what changed since is for the next one to see.
        now: the local time, in UTC.
        chance: chooses whom to ask for again.
    """

    def __init__(
        self,
        context: ReadContext,
        state: StreamState,
        *,
        is_learning: bool,
        since: str | None,
        trash_from: str | None,
        bookmark: str | None,
        now: Callable[[], datetime],
        chance: random.Random,
    ) -> None:
        self._context = context
        self._state = state
        self._since = since
        self._trash_from = trash_from
        self._bookmark = bookmark
        self._now = now
        self._chance = chance
        self._is_learning = is_learning
        self._known = IdSet() if state.known_ids is None else state.known_ids
        self._known.update(context.seen)
        self._known.update(context.vanished)
        self._unlisted = IdSet() if state.unlisted_ids is None else state.unlisted_ids
        for row_id in [row_id for row_id in self._unlisted if row_id in context.seen]:
            self._unlisted.discard(row_id)
        if state.known_ids is not None:
            state.known_ids, state.unlisted_ids = self._known, self._unlisted
        self._has_read_trash = False

    def steps(self, listed: IdSet | None, check_total: Callable[[int], None]) -> Iterator[Rows | Gone]:
        """Yield rows that are gone, and those that are there but were never emitted.

        Args:
            listed: every row in the CRM, if the read saw them all.
            check_total: raises where so few rows are not believed.

        Raises:
            IncompleteRead: scans of ids were not sound.
        """
        total = self._context.total
        if listed is None and not self._is_learning and total is not None:
            missing = self._expected() - total
            if missing > 0:
                yield from self._in_trash(missing)
            if self._expected() == total:
                yield from self._confirmed(self._some_unlisted())
                return
        if listed is None:
            scan = self._sound_scan()
            listed = scan.ids
            check_total(len(listed))
            if not self._is_learning:
                yield from self._new_ones(scan)
        self._known.update(listed)
        for row_id in [row_id for row_id in self._unlisted if row_id in listed]:
            self._unlisted.discard(row_id)
        self._state.known_ids, self._state.unlisted_ids = self._known, self._unlisted
        missing = len(self._candidates(listed))
        if missing > 1 and not self._has_read_trash:
            yield from self._in_trash(missing)
        yield from self._confirmed(self._candidates(listed) + self._some_unlisted())

    def _candidates(self, listed: IdSet) -> list[int]:
        return [i for i in self._known if i not in listed and i not in self._unlisted]

    def _expected(self) -> int:
        """How many rows the server counts if none went that is known."""
        return len(self._known) - len(self._unlisted)

    def _told(self, gone: list[int]) -> Iterator[Gone]:
        """Hand out tombstones, and only then forget the rows."""
        if not gone:
            return
        yield Gone(gone)
        for row_id in gone:
            self._known.discard(row_id)
            self._unlisted.discard(row_id)

    def _some_unlisted(self) -> list[int]:
        """Choose whom to ask for again: by chance, so that each has its turn after some runs."""
        ids = list(self._unlisted)
        return sorted(self._chance.sample(ids, min(len(ids), MOST_ASKED_AGAIN)))

    # The trash

    def _in_trash(self, missing: int) -> Iterator[Gone]:
        """Yield what is known and in the trash, newest first, back to the last run, until nothing is missing."""
        self._has_read_trash = True
        if is_still_refused(self._state.trash_refused_until, self._now(), ASK_TRASH_AGAIN_AFTER):
            return
        guard = StallGuard(self._context.stream)
        number = 1
        while missing > 0:
            page = self._trash_page(number)
            if page is None:
                return
            guard.see(page)
            # What this very run saw alive went just now, or else this is no trash.
            seen_alive = [row_id for row_id in page.ids if row_id in self._context.seen]
            if any(row is not None for _, row in self._context.source.each(seen_alive)):
                self._refuse_trash("it holds what is not deleted")
                return
            gone = [row_id for row_id in page.ids if row_id in self._known]
            yield from self._told(gone)
            missing -= len(gone)
            if self._trash_from is None or page.reaches_before(self._trash_from):
                return
            if not page.ids or (page.pages_told is not None and page.number >= page.pages_told):
                return
            number += 1

    def _trash_page(self, number: int) -> SourcePage | None:
        """Read a page of the trash; None where the server does not show it."""
        try:
            page = self._context.source.trash_page(number)
        except (Unauthenticated, CsrfRejected, RateLimited):
            raise
        except (FatalError, ServerFault) as error:
            self._refuse_trash(f"status {error.status}")
            return None
        self._state.trash_refused_until = None
        return page

    def _refuse_trash(self, why: str) -> None:
        self._state.trash_refused_until = format_timestamp(self._now() + ASK_TRASH_AGAIN_AFTER)
        logger.info(
            "%s: the server does not show its trash (%s): what is gone is found by a scan of ids, and the trash is "
            "asked for again in %d days",
            self._context.stream,
            why,
            ASK_TRASH_AGAIN_AFTER.days,
        )

    # The scan

    def _sound_scan(self) -> IdScan:
        def is_new(row_id: int, _stamp: str | None) -> bool:
            return not self._is_learning and row_id not in self._known

        for _ in range(MAX_ROUNDS):
            scan = scan_ids(self._context, is_new)
            if scan.is_sound:
                self._context.total = scan.last_total
                return scan
        raise incomplete(
            self._context, "the ids in the CRM could not be listed soundly, so deletes are unknown"
        )

    def _new_ones(self, scan: IdScan) -> Iterator[Rows]:
        for rows in fetch(self._context, scan.wanted):
            wanted = rows.since(self._since)
            if wanted.ids:
                yield wanted

    def _confirmed(self, candidates: Iterable[int]) -> Iterator[Gone]:
        """Ask for each candidate: only a 404 of its own makes a tombstone; the others are alive and not listed."""
        gone: list[int] = []
        refusals: defaultdict[int | None, list[int]] = defaultdict(list)

        def ask(row_id: int) -> Row | None:
            try:
                return self._context.source.one(row_id)
            except (Forbidden, ServerFault) as error:
                refusals[error.status].append(row_id)
                return {}

        for row_id, row in self._context.source.each(candidates, ask):
            if row is None:
                gone.append(row_id)
            elif row_id not in self._context.seen:
                stamp = canonical_timestamp(row.get("updated_at"))
                # What changed after this run's bookmark is listed by the next one.
                if self._bookmark is None or (stamp or "") < self._bookmark:
                    self._unlisted.add(row_id)
            if len(gone) >= GONE_AT_ONCE:
                yield from self._told(gone)
                gone = []
        yield from self._told(gone)
        for status, ids in refusals.items():
            logger.warning(
                "%s: %d rows are not listed, but their own requests answer with status %s (ids %s); they are not "
                "taken as deleted, and later runs ask again",
                self._context.stream,
                len(ids),
                status,
                _named(ids),
            )


def _named(ids: list[int]) -> str:
    first = ", ".join(str(number) for number in sorted(ids)[:MOST_NAMED])
    return first if len(ids) <= MOST_NAMED else f"{first} and others"
