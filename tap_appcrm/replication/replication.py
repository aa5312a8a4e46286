"""One read of all rows or of what changed: which walk, from where, and what it leaves for the next run."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeVar

from appcrm.contact import format_timestamp, parse_timestamp
from appcrm.errors import (
    BadRequest,
    CsrfRejected,
    FatalError,
    Forbidden,
    InvalidRecord,
    RateLimited,
    ServerFault,
    Unauthenticated,
)
from tap_appcrm.replication.backfill import (
    Checkpoint,
    begin,
    first_page,
    read_backfill,
    resumed_page,
    store_progress,
    take_over,
)
from tap_appcrm.replication.completeness import is_complete, pages_held_still, scan_and_fetch
from tap_appcrm.replication.deletes import DeleteDetection, Gone
from tap_appcrm.replication.id_set import IdSet
from tap_appcrm.replication.incremental import Changes, NotSorted, bookmark_of, days_ahead, read_changes
from tap_appcrm.replication.read_context import FilterRefused, ReadContext, Rows
from tap_appcrm.replication.refetch import MAX_ROUNDS, incomplete
from tap_appcrm.replication.shrink import shrunk_too_much
from tap_appcrm.source.page import BY_CHANGE, NEWEST_FIRST
from tap_appcrm.state import Backfill, StateError, StreamState, check_account

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tap_appcrm.settings import TapSettings
    from tap_appcrm.source.page import SourcePage

INCREMENTAL = "incremental"
BACKFILL = "backfill"
FULL_TABLE = "full_table"

ASK_AGAIN_AFTER = timedelta(days=7)
MOST_SETTLING_WALKS = 3
MOST_CLOSING_ANSWERS = 3
PAGES_WORTH_A_PROBE = 20

logger = logging.getLogger("tap-appcrm")

Step = Rows | Checkpoint | Gone
T = TypeVar("T")


class Replication:
    """Reads one stream's rows and keeps its state true at every step.

    Args:
        context: where it reads from and what it has read.
        settings: of the tap.
        state: of the stream, from the last run; brought up to date by ``save`` and at the end.
        full_table: whether everything is read although there is a bookmark.
        now: the local time, in UTC.
        chance: for choices that must not be the same in each run.

    Raises:
        StateError: the state is of another account.
    """

    def __init__(
        self,
        context: ReadContext,
        settings: TapSettings,
        state: StreamState,
        *,
        full_table: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        chance: random.Random | None = None,
    ) -> None:
        self.context = context
        self._settings = settings
        self._now = now
        self._chance = chance or random.Random()  # noqa: S311  not for secrets
        self._is_full_table = full_table
        self.scope = replace(settings.scope, start_date=None) if full_table else settings.scope
        check_account(context.stream, state, settings.account)
        self.bookmark_before = state.bookmark
        self._begins_anew_because = self._why_anew(state)
        self.state = state
        if self._begins_anew_because is not None:
            self._begin_anew()
        self.mode = FULL_TABLE if full_table else BACKFILL if self.state.bookmark is None else INCREMENTAL
        self._listed: IdSet | None = None
        """Every row in the CRM, where the read saw them all."""
        self.table_version: int | None = None
        self._position: Backfill | None = None
        self._mark: str | None = None
        """Up to where changes since the watermark were read."""
        self._refused_because: str | None = None

    # What the state says

    def _why_anew(self, state: StreamState) -> str | None:
        """Why what was read before does not do for what is asked for now."""
        before = state.scope
        if before is None or (state.bookmark is None and state.backfill is None):
            return None
        if not before.has_filters_of(self.scope):
            return "query, search_fields or search_match changed"
        if before.lacks(self.scope.start_date):
            return "start_date is earlier than before"
        if (
            state.backfill is not None
            and before.start_date != self.scope.start_date
            and not self._is_full_table
        ):
            return "start_date changed while the first read was under way"
        return None

    def _begin_anew(self) -> None:
        """Forget what was read; other filters show other rows, so nothing of what was known holds for them."""
        old = self.state
        same_rows = old.scope is not None and old.scope.has_filters_of(self.scope)
        self.state = StreamState(
            scope=self.scope,
            proven_total=old.proven_total if same_rows else None,
            known_ids=old.known_ids if same_rows else None,
            unlisted_ids=old.unlisted_ids if same_rows else None,
            order_refused_until=old.order_refused_until,
            trash_refused_until=old.trash_refused_until,
            table_version=old.table_version,
        )

    @property
    def resumed(self) -> Backfill | None:
        """The position of an interrupted read that this one goes on from."""
        return self.state.backfill if self.mode == BACKFILL else None

    def save(self) -> None:
        """Bring the state up to date with what was handed out so far."""
        if self._position is not None:
            store_progress(self.context, self._position)
            self.state.backfill = self._position
            self.state.scope = self.scope
        if self._settings.detect_deletes and self.mode == BACKFILL and self.state.known_ids is None:
            self.state.known_ids = IdSet()
        if self.state.known_ids is not None:
            self.state.known_ids.update(self.context.seen)
            self.state.known_ids.update(self.context.vanished)

    @property
    def is_filtered(self) -> bool:
        """Whether a start date leaves rows out."""
        return self.scope.start_date is not None

    # The read

    def steps(self) -> Iterator[Step]:
        """Yield rows to emit and checkpoints; at the end, and only then, the bookmark has moved.

        Raises:
            ApiError: the API refused or failed.
            StateError: the bookmark lies where no change can be after it.
            IncompleteRead: the read may be incomplete.
            ShrunkTooMuch: so much is gone that nothing is marked so.
        """
        if self._begins_anew_because is not None:
            logger.warning(
                "%s: %s, so everything is read anew", self.context.stream, self._begins_anew_because
            )
        bookmark = yield from self._walk()
        if self._listed is not None:
            self._check_shrink(len(self._listed))
            self._note_proven(len(self._listed))
        if self._settings.detect_deletes:
            yield from self._deletes(bookmark)
        self.state.backfill = self._position = None
        self.state.scope = self.scope
        if bookmark is not None and (self.state.bookmark is None or bookmark > self.state.bookmark):
            self.state.bookmark = bookmark

    def _walk(self) -> Generator[Step, None, str | None]:
        """Yield rows and checkpoints, and return how far the bookmark may move."""
        resumed = self.resumed
        if resumed is not None and resumed.scan_until is not None:
            return (yield from self._scan(resumed))
        newest = self._newest()
        if newest is None or not newest.is_sorted(descending=True):
            if newest is not None:
                self._refuse("its rows come in another order")
            return (yield from self._scan(None))
        try:
            if self.mode == INCREMENTAL:
                self._check_bookmark(newest)
            newest = self._looked_behind(newest)
            if self.mode == INCREMENTAL:
                changes = yield from read_changes(self.context, self._cutoff(self.bookmark_before), newest)
                self._listed = IdSet(newest.ids) if newest.is_whole_table else None
            else:
                changes = yield from self._everything(newest, resumed)
        except NotSorted:
            self._refuse("its rows come in another order")
            return (yield from self._scan(None))
        return changes.bookmark

    def _looked_behind(self, newest: SourcePage) -> SourcePage:
        """Look behind a page that is full to the brim with all that the server counts: the count may be stale."""
        is_enough = self.mode == INCREMENTAL and newest.reaches_before(self._cutoff(self.bookmark_before))
        if is_enough or not (newest.is_whole_table and newest.ids and newest.is_full):
            return newest
        following = self.context.source.page(NEWEST_FIRST, newest.number + 1)
        # A server that knows no pages sends the same one again.
        return newest if set(following.ids) <= set(newest.ids) else newest.and_more(following)

    def _check_bookmark(self, page: SourcePage) -> None:
        """Refuse to read nothing, run after run, until a bookmark in the future has come."""
        days = days_ahead(self.bookmark_before, page)
        stream = self.context.stream
        if days:
            raise StateError(
                f"state of stream {stream}: its bookmark {self.bookmark_before} lies {days} days past the "
                f"server's clock, and no row reaches it: nothing would be read until then. Set "
                f"bookmarks.{stream}.replication_key_value to a moment before the first change that is "
                "missing, or remove the stream from the state (meltano run --full-refresh) to read everything again"
            )

    def _cutoff(self, moment: str | None) -> str:
        """The moment from which rows are read: before the bookmark, for rows that were committed late."""
        since = self.scope.start_date or ""
        parsed = parse_timestamp(moment)
        if parsed is None:
            return since
        try:
            early = format_timestamp(parsed - timedelta(seconds=self._settings.lookback_seconds))
        except OverflowError:
            early = ""
        return max(early, since)

    # How much there is

    @property
    def _marks_gone(self) -> bool:
        """Whether what this read does not find may go from the warehouse."""
        return self.mode == FULL_TABLE or self._settings.detect_deletes

    @property
    def _total_before(self) -> int | None:
        """Rows that the last proven read found; an old state may know by its ids alone."""
        known = self.state.known_ids
        if self.state.proven_total is not None or known is None or self.mode == BACKFILL:
            return self.state.proven_total
        return len(known) - len(self.state.unlisted_ids or ())

    def _is_much_smaller(self, found: int | None) -> bool:
        compares = self._marks_gone or self.mode == BACKFILL
        return compares and self._settings.max_shrink.is_passed(self._total_before, found)

    def _note_proven(self, found: int) -> None:
        """Remember how many rows there are; where nothing was held against it, not a number that needs to be."""
        if not self._settings.max_shrink.is_passed(self._total_before, found):
            self.state.proven_total = found

    def _check_shrink(self, found: int | None) -> None:
        """Stop before anything is marked gone because far fewer rows are shown than there were.

        Raises:
            ShrunkTooMuch: that is so.
        """
        before = self._total_before
        if before is not None and found is not None and self._is_much_smaller(found):
            raise shrunk_too_much(self.context.stream, before, found, self._settings.max_shrink)

    def _confirmed_newest(self, page: SourcePage) -> SourcePage:
        """Ask a second time where the first answer shows nothing, or far less than there was.

        Raises:
            ShrunkTooMuch: the second answer shows no more.
        """
        is_doubtful = (not page.ids and page.number == 1) or self._is_much_smaller(page.total)
        if is_doubtful:
            page = self.context.source.page(NEWEST_FIRST, 1)
            self._check_shrink(len(page.ids) if page.is_whole_table else page.total)
        return page

    # Everything

    def _everything(self, newest: SourcePage, resumed: Backfill | None) -> Generator[Step, None, Changes]:
        since, context = self.scope.start_date, self.context
        if resumed is None and newest.is_whole_table:
            changes = yield from read_changes(context, since or "", newest)
            context.seen.update(newest.ids)
            self._listed = context.seen
            return changes
        if resumed is None and since is not None and self._few_since(newest, since):
            return (yield from read_changes(context, since, newest))
        if resumed is not None:
            position = resumed
            take_over(context, position)
            page = resumed_page(context, position)
            logger.info(
                "%s: going on below id %d, after %d rows",
                context.stream,
                position.below_id,
                len(context.seen),
            )
        else:
            page = first_page(context, newest)
            position = begin(page, bookmark_of(newest))
        if self.mode == BACKFILL:
            self._position = position
        context.remembers_from = None if position.watermark is None else self._cutoff(position.watermark)
        if page is not None:
            yield from read_backfill(context, position, page, since)
        return (yield from self._close(position))

    def _close(self, position: Backfill) -> Generator[Step, None, Changes]:
        """Read what changed meanwhile, and go by the closing answers; what slipped through is found and fetched.

        Raises:
            IncompleteRead: they count what was not read.
        """
        context = self.context
        # Before the changes are read, which may show a row that the pages should have shown.
        context.count_fell = not pages_held_still(context, position)
        self._mark = position.watermark
        changes = yield from self._changes_since_mark()
        if (
            changes.is_settled
            and not context.count_fell
            and is_complete(context, None, self._settings.max_shrink)
        ):
            self._listed = context.seen
            return changes
        context.count_fell = True
        for _ in range(MAX_ROUNDS):
            newest_id = next(reversed(context.seen), 0)
            scan = yield from _with_checkpoints(scan_and_fetch(context, newest_id))
            changes = yield from self._changes_since_mark()
            if is_complete(context, scan, self._settings.max_shrink):
                self._listed = context.seen
                return changes
            if not changes.is_settled:
                # So much comes in that no answer counts what was read a moment before.
                break
        raise self._not_complete()

    def _not_complete(self) -> Exception:
        total = "no total" if self.context.total is None else self.context.total
        return incomplete(
            self.context, f"{len(self.context.seen)} rows were read, and the server counts {total}"
        )

    def _changes_since_mark(self) -> Generator[Step, None, Changes]:
        """Read what changed while pages by id were read, until it holds still for the length of a walk."""
        self.context.remembers_from = ""
        for _ in range(MOST_SETTLING_WALKS):
            newest = self._closing_answer()
            # Where the bookmark stays, rows that were committed late before it are in the next run's lookback.
            is_quiet = self._mark is not None and newest.newest == self._mark
            cutoff = (
                max(self._mark or "", self.scope.start_date or "") if is_quiet else self._cutoff(self._mark)
            )
            changes = yield from _with_checkpoints(read_changes(self.context, cutoff, newest))
            if changes.is_settled:
                break
            self._mark = changes.bookmark or self._mark
        return changes

    def _closing_answer(self) -> SourcePage:
        """Read the newest page; a count that fell is believed only when the next answer repeats it."""
        page = self.context.source.page(NEWEST_FIRST, 1)
        for _ in range(MOST_CLOSING_ANSWERS):
            before = self.context.total
            if before is None or page.total is None or page.total >= before:
                break
            self.context.note_total(page)
            page = self.context.source.page(NEWEST_FIRST, 1)
        return page

    def _few_since(self, newest: SourcePage, since: str) -> bool:
        """Whether walking back to the start date is cheaper than reading all by id; it may cost one probe."""
        if newest.reaches_before(since):
            return True
        pages = newest.pages_told
        if pages is None or pages <= PAGES_WORTH_A_PROBE:
            return pages is not None
        probe = self.context.source.page(BY_CHANGE, pages // 2)
        return probe.newest is not None and probe.newest < since

    def _deletes(self, bookmark: str | None) -> Iterator[Step]:
        """Yield what is gone."""
        if self.mode == FULL_TABLE and self._settings.activates_versions:
            # What the version does not hold goes with it.
            self.state.known_ids, self.state.unlisted_ids = IdSet(self.context.seen), None
            return
        if self._listed is None:
            self._check_shrink(self.context.total)
        before = self.bookmark_before
        if before is None and self._position is not None:
            before = self._position.watermark
        detection = DeleteDetection(
            self.context,
            self.state,
            is_learning=self.state.known_ids is None or self.mode == BACKFILL,
            since=self.scope.start_date,
            trash_from=None if before is None else self._cutoff(before),
            bookmark=bookmark,
            now=self._now,
            chance=self._chance,
        )
        yield from detection.steps(self._listed, self._check_shrink)
        if self.context.total is not None:
            self._note_proven(self.context.total)

    # Where the order by updated_at is refused

    def _newest(self) -> SourcePage | None:
        """Read the newest page; None where the server refuses the order, now or lately."""
        refused_until = self.state.order_refused_until
        if refused_until is not None and refused_until > format_timestamp(self._now()):
            logger.info("%s: order=updated_at was refused before; reading by id", self.context.stream)
            return None
        try:
            page = self.context.source.page(NEWEST_FIRST, 1, probing=True)
        except (Unauthenticated, CsrfRejected, RateLimited):
            raise
        except (FatalError, ServerFault) as error:
            self._refuse(f"status {error.status}")
            return None
        self.state.order_refused_until = None
        return self._confirmed_newest(page)

    def _refuse(self, why: str) -> None:
        self._refused_because = why
        self.state.order_refused_until = format_timestamp(self._now() + ASK_AGAIN_AFTER)

    def _first_of_scan(self, resumed: Backfill | None) -> SourcePage | None:
        """Read the first page by id; only where that is answered was it the order that the server refused."""
        refused_until, self.state.order_refused_until = self.state.order_refused_until, None
        try:
            page = first_page(self.context, None) if resumed is None else resumed_page(self.context, resumed)
            if page is not None and not page.ids:
                page = first_page(self.context, None)
        except (BadRequest, Forbidden, InvalidRecord, ServerFault) as error:
            if self.scope.query or self.scope.search_fields or self.scope.search_match:
                raise FilterRefused(
                    f"stream {self.context.stream}: {error}. query, search_fields and search_match are sent along: "
                    "a field that the CRM cannot search is refused like this"
                ) from error
            raise
        self.state.order_refused_until = refused_until
        if self._refused_because is not None:
            logger.warning(
                "%s: the server refuses order=updated_at (%s): every run reads all rows by id instead, "
                "and asks again in %d days",
                self.context.stream,
                self._refused_because,
                ASK_AGAIN_AFTER.days,
            )
        return page

    def _scan(self, resumed: Backfill | None) -> Generator[Step, None, str | None]:
        """Read all rows by id and keep those that changed.

        Rows that change behind the scan's back must be read by the next run, so the bookmark stops at the
        server's time when the scan began.
        """
        context = self.context
        since = self._cutoff(self.bookmark_before) if self.mode == INCREMENTAL else self.scope.start_date
        page = self._first_of_scan(resumed)
        if resumed is not None:
            position = resumed
            take_over(context, position)
        elif page is not None:
            if self.mode == INCREMENTAL:
                self._check_bookmark(page)
            until = page.newest if page.server_time is None else format_timestamp(page.server_time)
            position = begin(page, None)
            position.scan_until = until or ""
        context.remembers_from = None
        if self.mode == BACKFILL:
            self._position = position
        limit = position.scan_until or ""
        for step in () if page is None else read_backfill(context, position, page, since):
            if isinstance(step, Rows):
                known = [stamp for stamp in step.stamps if stamp is not None and stamp <= limit]
                position.watermark = max([position.watermark or "", *known]) or None
            yield step
        yield from self._close_scan(position)
        self._listed = context.seen
        return position.watermark

    def _close_scan(self, position: Backfill) -> Iterator[Step]:
        """Go by the closing answers of pages by id.

        Raises:
            IncompleteRead: they count what was not read.
        """
        if pages_held_still(self.context, position) and is_complete(
            self.context, None, self._settings.max_shrink
        ):
            return
        for _ in range(MAX_ROUNDS):
            scan = yield from _with_checkpoints(scan_and_fetch(self.context))
            if is_complete(self.context, scan, self._settings.max_shrink):
                return
        raise self._not_complete()


def _with_checkpoints(walk: Generator[Rows, None, T]) -> Generator[Step, None, T]:
    """Let the position of a read by id be written after each of a later walk's pages: its ids are counted in."""
    while True:
        try:
            rows = next(walk)
        except StopIteration as end:
            found: T = end.value
            return found
        yield rows
        yield Checkpoint()
