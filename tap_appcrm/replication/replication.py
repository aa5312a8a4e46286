"""One read of all rows or of what changed: which walk, from where, and what it leaves for the next run."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from appcrm.contact import format_timestamp, parse_timestamp
from tap_appcrm.id_set import IdSet
from tap_appcrm.replication.backfill import (
    Checkpoint,
    begin,
    first_page,
    read_backfill,
    resumed_page,
    store_progress,
    take_over,
)
from tap_appcrm.replication.change_order import ChangeOrder
from tap_appcrm.replication.closing import Closing
from tap_appcrm.replication.deletes import DeleteDetection, Gone
from tap_appcrm.replication.incremental import Changes, NotSorted, bookmark_of, days_ahead, read_changes
from tap_appcrm.replication.read_context import ReadContext, Rows
from tap_appcrm.replication.scope import begun_anew, why_anew
from tap_appcrm.replication.shrink import SizeCheck
from tap_appcrm.source.page import BY_CHANGE, NEWEST_FIRST
from tap_appcrm.state import Backfill, StateError, StreamState, check_account

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tap_appcrm.settings import TapSettings
    from tap_appcrm.source.page import SourcePage

INCREMENTAL = "incremental"
BACKFILL = "backfill"
FULL_TABLE = "full_table"

PAGES_WORTH_A_PROBE = 20

logger = logging.getLogger("tap-appcrm")

Step = Rows | Checkpoint | Gone


class Replication:
    """Reads one stream's rows and keeps its state true at every step.

    Args:
        context: where it reads from and what it has read.
        settings: of the tap.
        state: of the stream, from the last run; brought up to date by ``save`` and at the end.
        full_table: whether everything is read although there is a bookmark.
        tells_deletes: whether the stream can hold tombstones.
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
        tells_deletes: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        chance: random.Random | None = None,
    ) -> None:
        self.context = context
        self._settings = settings
        self._now = now
        self._chance = chance or random.Random()  # noqa: S311  not for secrets
        self._is_full_table = full_table
        self._detects_deletes = settings.detect_deletes and tells_deletes
        self.scope = replace(settings.scope, start_date=None) if full_table else settings.scope
        check_account(context.stream, state, settings.account)
        self.bookmark_before = state.bookmark
        self._begins_anew_because = why_anew(state, self.scope, full_table=full_table)
        self.state = state if self._begins_anew_because is None else begun_anew(state, self.scope)
        self.mode = FULL_TABLE if full_table else BACKFILL if self.state.bookmark is None else INCREMENTAL
        self._size = SizeCheck(
            context.stream,
            self.state,
            settings.max_shrink,
            knows_all=self.mode != BACKFILL,
            compares=self.mode != INCREMENTAL or self._detects_deletes,
        )
        self._closing = Closing(context, self._cutoff, settings.max_shrink)
        self._listed: IdSet | None = None
        """Every row in the CRM, where the read saw them all."""
        self.table_version: int | None = None
        self._position: Backfill | None = None
        self._order = ChangeOrder(context, self.state, now)

    # What the state says

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
        if self._detects_deletes and self.mode == BACKFILL and self.state.known_ids is None:
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
            self._size.check(len(self._listed))
            self._size.note(len(self._listed))
        if self._detects_deletes:
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
        newest = self._order.newest()
        if newest is None or not newest.is_sorted(descending=True):
            if newest is not None:
                self._order.refuse("its rows come in another order")
            return (yield from self._scan(None))
        try:
            newest = self._confirmed_newest(newest)
            if self.mode == INCREMENTAL:
                self._check_bookmark(newest)
            newest = self._looked_behind(newest)
            if self.mode == INCREMENTAL:
                changes = yield from read_changes(self.context, self._cutoff(self.bookmark_before), newest)
                self._listed = IdSet(newest.ids) if newest.is_whole_table else None
            else:
                changes = yield from self._everything(newest, resumed)
        except NotSorted:
            self._order.refuse("its rows come in another order")
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

    def _confirmed_newest(self, page: SourcePage) -> SourcePage:
        """Ask a second time where the first answer shows nothing, or far less than there was.

        Raises:
            ShrunkTooMuch: the second answer shows no more.
        """
        is_suspicious = (not page.ids and page.number == 1) or self._size.is_much_smaller(page.total)
        if is_suspicious:
            page = self.context.source.page(NEWEST_FIRST, 1)
            self._size.check(len(page.ids) if page.is_whole_table else page.total)
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
        changes = yield from self._closing.by_changes(position)
        self._listed = context.seen
        return changes

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
            self._size.check(self.context.total)
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
        yield from detection.steps(self._listed, self._size.check)
        if self.context.total is not None:
            self._size.note(self.context.total)

    # Where the order by updated_at is refused

    def _scan(self, resumed: Backfill | None) -> Generator[Step, None, str | None]:
        """Read all rows by id and keep those that changed.

        Rows that change behind the scan's back must be read by the next run, so the bookmark stops at the
        server's time when the scan began.
        """
        context = self.context
        since = self._cutoff(self.bookmark_before) if self.mode == INCREMENTAL else self.scope.start_date
        page = self._order.first_by_id(resumed, self.scope)
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
        yield from self._closing.by_ids(position)
        self._listed = context.seen
        return position.watermark
