"""One read of all contacts or of what changed: which walk, from where, and what it leaves for the next run."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from functools import cached_property
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
from tap_appcrm.replication.backfill import Checkpoint, begin, first_page, prove, read_backfill, resumed_page
from tap_appcrm.replication.deletes import Gone, find_deletes
from tap_appcrm.replication.id_set import IdSet
from tap_appcrm.replication.incremental import Changes, NotSorted, bookmark_of, days_ahead, read_changes
from tap_appcrm.replication.read_context import FilterRefused, Rows, Run
from tap_appcrm.source.page import BY_CHANGE, NEWEST_FIRST
from tap_appcrm.state import Backfill, OrderRefused, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tap_appcrm.settings import TapSettings
    from tap_appcrm.source.page import SourcePage
    from tap_appcrm.state import StreamState

INCREMENTAL = "incremental"
BACKFILL = "backfill"
FULL_TABLE = "full_table"

ASK_AGAIN_AFTER = timedelta(days=7)
MOST_SETTLING_WALKS = 3
PAGES_WORTH_A_PROBE = 20

logger = logging.getLogger("tap-appcrm")

Step = Rows | Checkpoint | Gone
T = TypeVar("T")


class Reading:
    """Reads one stream's contacts and keeps its state true at every step.

    Args:
        run: where it reads from and what it has read.
        settings: of the tap.
        state: of the stream, from the last run; brought up to date by ``save`` and at the end.
        full_table: whether everything is read although there is a bookmark.
        now: the local time, in UTC.
    """

    def __init__(
        self,
        run: Run,
        settings: TapSettings,
        state: StreamState,
        *,
        full_table: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.run = run
        self.state = state
        self._settings = settings
        self._now = now
        self.mode = FULL_TABLE if full_table else BACKFILL if state.bookmark is None else INCREMENTAL
        self.bookmark_before = state.bookmark
        self._listed: IdSet | None = None
        """Every contact in the CRM, where the read saw them all."""
        self.table_version: int | None = None
        self._position: Backfill | None = None
        self._refused_because: str | None = None

    def save(self) -> None:
        """Bring the state up to date with what was handed out so far."""
        if self._position is not None:
            self._position.seen = self.run.seen.to_text()
            self._position.shrank = self.run.shrank
            self._position.largest_total = self.run.largest_total
            at_watermark = self.run.emitted.of(self._position.watermark)
            self._position.at_watermark = at_watermark.to_text() if at_watermark else None
            self.state.backfill = self._position
        elif self.state.known_ids is not None and self._settings.detect_deletes:
            self.state.known_ids.update(self.run.seen)

    @cached_property
    def resumed(self) -> Backfill | None:
        """The position of an interrupted read that this one goes on from."""
        position = self.state.backfill
        if position is None or self.mode == INCREMENTAL:
            return None
        is_same = (
            position.since == self._since
            and position.filters == self._settings.filters
            and (position.table_version is not None) == (self.mode == FULL_TABLE)
        )
        if not is_same:
            logger.info(
                "%s: the settings changed since the interrupted read; it begins anew", self.run.stream
            )
        return position if is_same else None

    @property
    def is_filtered(self) -> bool:
        """Whether a start date leaves contacts out."""
        return self._since is not None

    @property
    def _since(self) -> str | None:
        return None if self.mode == FULL_TABLE else self._settings.start_date

    def steps(self) -> Iterator[Step]:
        """Yield rows to emit and checkpoints; at the end, and only then, the bookmark has moved.

        Raises:
            ApiError: the API refused or failed.
            StateError: the bookmark lies where no change can be after it.
            Unproven: the read may be incomplete.
        """
        bookmark = yield from self._walk()
        if self._settings.detect_deletes:
            if self.mode == FULL_TABLE:
                self.state.known_ids = IdSet(self.run.seen)
            else:
                yield from find_deletes(
                    self.run, self.state, listed=self._listed, since=self._since, bookmark=bookmark
                )
        self.state.backfill = self._position = None
        if bookmark is not None and (self.state.bookmark is None or bookmark > self.state.bookmark):
            self.state.bookmark = bookmark

    def _walk(self) -> Generator[Step, None, str | None]:
        """Yield rows and checkpoints, and return how far the bookmark may move."""
        resumed = self.resumed
        if resumed is None:
            self.state.backfill = None
        elif resumed.scan_until is not None:
            return (yield from self._scan(resumed))
        newest = self._newest()
        if newest is None or not newest.is_sorted(descending=True):
            if newest is not None:
                self._refuse("its rows come in another order")
            return (yield from self._scan(None))
        try:
            if self.mode == INCREMENTAL:
                self._check_bookmark(newest)
            newest = self._doubted(newest)
            if self.mode == INCREMENTAL:
                changes = yield from read_changes(self.run, self._cutoff(self.bookmark_before), newest)
                self._listed = IdSet(newest.ids) if newest.is_whole_table else None
            else:
                changes = yield from self._everything(newest, resumed)
        except NotSorted:
            self._refuse("its rows come in another order")
            return (yield from self._scan(None))
        return changes.bookmark

    def _doubted(self, newest: SourcePage) -> SourcePage:
        """Look behind a page that is full to the brim with all that the server counts: the count may be stale."""
        is_enough = self.mode == INCREMENTAL and newest.reaches_before(self._cutoff(self.bookmark_before))
        if is_enough or not (newest.is_whole_table and newest.ids and newest.is_full):
            return newest
        following = self.run.workers.call(self.run.source.rows, NEWEST_FIRST, newest.number + 1)
        # A server that knows no pages sends the same one again.
        if not following.is_beyond_the_count or set(following.ids) == set(newest.ids):
            return newest
        self.run.ignore_counts(following)
        return newest.without_counts()

    def _check_bookmark(self, page: SourcePage) -> None:
        """Refuse to read nothing, run after run, until a bookmark in the future has come."""
        days = days_ahead(self.bookmark_before, page)
        if days:
            raise StateError(
                f"state of stream {self.run.stream}: its bookmark {self.bookmark_before} lies {days} days past the "
                f"server's clock, and no contact reaches it: nothing would be read until then. Set "
                f"bookmarks.{self.run.stream}.replication_key_value to a moment before the first change that is "
                "missing, or remove the stream from the state (meltano run --full-refresh) to read everything again"
            )

    def _cutoff(self, moment: str | None) -> str:
        """The moment from which rows are read: before the bookmark, for rows that were committed late."""
        parsed = parse_timestamp(moment)
        if parsed is None:
            return self._since or ""
        try:
            early = format_timestamp(parsed - timedelta(seconds=self._settings.lookback_seconds))
        except OverflowError:
            early = ""
        return max(early, self._since or "")

    # Everything

    def _everything(self, newest: SourcePage, resumed: Backfill | None) -> Generator[Step, None, Changes]:
        since = self._since
        if resumed is None and newest.is_whole_table:
            changes = yield from read_changes(self.run, since or "", newest)
            self.run.seen.update(newest.ids)
            self._listed = self.run.seen
            return changes
        if resumed is None and since is not None and self._few_since(newest, since):
            return (yield from read_changes(self.run, since, newest))
        if resumed is not None:
            position = resumed
            self._go_on(position)
            page = None if position.rows_below == 0 else resumed_page(self.run, position)
            logger.info(
                "%s: going on below id %d, after %d contacts",
                self.run.stream,
                position.below_id,
                len(self.run.seen),
            )
        else:
            page = first_page(self.run, newest)
            position = begin(page, bookmark_of(newest), since, self._settings.filters)
        position.table_version = self.table_version
        self._position = position
        self.run.keeps_from = None if position.watermark is None else self._cutoff(position.watermark)
        if page is not None:
            yield from read_backfill(self.run, position, page)
        # A contact of the beginning that only the changes show slipped through, or came back from the trash and
        # hides in the count one that did.
        self.run.shrank = self.run.shrank or position.already_there(self.run.seen) != position.total
        changes = yield from self._changes_since(position)
        yield from _with_checkpoints(prove(self.run, position, is_settled=changes.is_settled))
        self._listed = self.run.seen
        return changes

    def _go_on(self, position: Backfill) -> None:
        """Take over what the interrupted read knew."""
        self.run.seen = self.state.seen
        self.run.shrank = position.shrank
        self.run.largest_total = position.largest_total or position.total
        for contact_id in self.state.at_watermark:
            self.run.emitted.add(contact_id, position.watermark)

    def _changes_since(self, position: Backfill) -> Generator[Step, None, Changes]:
        """Read what changed while pages by id were read, until it holds still for the length of a walk."""
        self.run.keeps_from = ""
        mark = position.watermark
        for _ in range(MOST_SETTLING_WALKS):
            newest = self.run.workers.call(self.run.source.rows, NEWEST_FIRST, 1)
            # Where the bookmark stays, rows that were committed late before it are in the next run's lookback.
            is_quiet = mark is not None and newest.newest == mark
            cutoff = max(mark or "", self._since or "") if is_quiet else self._cutoff(mark)
            changes = yield from _with_checkpoints(read_changes(self.run, cutoff, newest))
            if changes.is_settled:
                break
            mark = changes.bookmark
        return changes

    def _few_since(self, newest: SourcePage, since: str) -> bool:
        """Whether walking back to the start date is cheaper than reading all by id; it may cost one probe."""
        if newest.reaches_before(since):
            return True
        pages = newest.pages_told
        if pages is None or pages <= PAGES_WORTH_A_PROBE:
            return pages is not None
        probe = self.run.workers.call(self.run.source.rows, BY_CHANGE, pages // 2)
        return probe.newest is not None and probe.newest < since

    # Where the order by updated_at is refused

    def _newest(self) -> SourcePage | None:
        """Read the newest page; None where the server refuses the order, now or lately."""
        refused = self.state.order_refused
        if refused is not None and refused.until > format_timestamp(self._now()):
            logger.info("%s: order=updated_at was refused before; reading by id", self.run.stream)
            return None
        try:
            page = self.run.workers.call(lambda: self.run.source.rows(NEWEST_FIRST, 1, doubtful=True))
        except (Unauthenticated, CsrfRejected, RateLimited):
            raise
        except (FatalError, ServerFault) as error:
            self._refuse(f"status {error.status}")
            return None
        self.state.order_refused = None
        return page

    def _refuse(self, why: str) -> None:
        self._refused_because = why
        self.state.order_refused = OrderRefused(until=format_timestamp(self._now() + ASK_AGAIN_AFTER))

    def _first_of_scan(self, resumed: Backfill | None) -> SourcePage:
        """Read the first page by id; only where that is answered was it the order that the server refused."""
        refused, self.state.order_refused = self.state.order_refused, None
        try:
            page = first_page(self.run, None) if resumed is None else resumed_page(self.run, resumed)
        except (BadRequest, Forbidden, InvalidRecord, ServerFault) as error:
            if any(self._settings.filters):
                raise FilterRefused(
                    f"stream {self.run.stream}: {error}. query, search_fields and search_match are sent along: "
                    "a field that the CRM cannot search is refused like this"
                ) from error
            raise
        self.state.order_refused = refused
        if self._refused_because is not None:
            logger.warning(
                "%s: the server refuses order=updated_at (%s): every run reads all contacts by id instead, "
                "and asks again in %d days",
                self.run.stream,
                self._refused_because,
                ASK_AGAIN_AFTER.days,
            )
        return page

    def _scan(self, resumed: Backfill | None) -> Generator[Step, None, str | None]:
        """Read all contacts by id and keep those that changed.

        Rows that change behind the scan's back must be read by the next run, so the bookmark stops at the
        server's time when the scan began.
        """
        since = self._cutoff(self.bookmark_before) if self.mode == INCREMENTAL else self._since
        page = self._first_of_scan(resumed)
        if self.mode == INCREMENTAL:
            self._check_bookmark(page)
        if resumed is None:
            until = page.newest if page.server_time is None else format_timestamp(page.server_time)
            position = begin(page, None, since, self._settings.filters)
            position.scan_until = until or ""
        else:
            position = resumed
            self._go_on(position)
        position.table_version = self.table_version
        self.run.keeps_from = None
        if self.mode != INCREMENTAL:
            self._position = position
        limit = position.scan_until or ""
        for step in read_backfill(self.run, position, page):
            if isinstance(step, Rows):
                known = [stamp for stamp in step.stamps if stamp is not None and stamp <= limit]
                position.watermark = max([position.watermark or "", *known]) or None
            yield step
        yield from _with_checkpoints(prove(self.run, position, is_settled=True))
        self._listed = self.run.seen
        return position.watermark


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
