"""The end of a read in full: what changed meanwhile, and whether the server's closing answers count what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tap_appcrm.replication.backfill import Checkpoint
from tap_appcrm.replication.completeness import is_complete, pages_held_still, scan_and_fetch
from tap_appcrm.replication.incremental import read_changes
from tap_appcrm.replication.refetch import MAX_ROUNDS, incomplete
from tap_appcrm.source.page import NEWEST_FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tap_appcrm.replication.incremental import Changes
    from tap_appcrm.replication.read_context import IncompleteRead, ReadContext, Rows
    from tap_appcrm.shrink_limit import ShrinkLimit
    from tap_appcrm.source.page import SourcePage
    from tap_appcrm.state import Backfill

MOST_SETTLING_WALKS = 3
MOST_CLOSING_ANSWERS = 3

T = TypeVar("T")


class Closing:
    """Makes a read by id whole, or says that it is not.

    Args:
        context: of the read.
        cutoff: the moment from which changes are read, for a bookmark.
        limit: how many rows may go while ids are scanned.
    """

    def __init__(self, context: ReadContext, cutoff: Callable[[str | None], str], limit: ShrinkLimit) -> None:
        self._context = context
        self._cutoff = cutoff
        self._limit = limit
        self._mark: str | None = None
        """Up to where changes since the watermark were read."""

    def by_changes(self, position: Backfill) -> Generator[Rows | Checkpoint, None, Changes]:
        """Read what changed meanwhile, and go by the closing answers; what slipped through is found and fetched.

        Raises:
            IncompleteRead: they count what was not read.
        """
        context = self._context
        # Before the changes are read, which may show a row that the pages should have shown.
        context.count_fell = not pages_held_still(context, position)
        self._mark = position.watermark
        changes = yield from self._changes_since_mark()
        if changes.is_settled and not context.count_fell and is_complete(context, None, self._limit):
            return changes
        context.count_fell = True
        for _ in range(MAX_ROUNDS):
            newest_id = next(reversed(context.seen), 0)
            scan = yield from _with_checkpoints(scan_and_fetch(context, newest_id))
            changes = yield from self._changes_since_mark()
            if is_complete(context, scan, self._limit):
                return changes
            if not changes.is_settled:
                # So much comes in that no answer counts what was read a moment before.
                break
        raise self._incomplete()

    def by_ids(self, position: Backfill) -> Iterator[Rows | Checkpoint]:
        """Go by the closing answers of pages by id, where nothing shows what changed.

        Raises:
            IncompleteRead: they count what was not read.
        """
        if pages_held_still(self._context, position) and is_complete(self._context, None, self._limit):
            return
        for _ in range(MAX_ROUNDS):
            scan = yield from _with_checkpoints(scan_and_fetch(self._context))
            if is_complete(self._context, scan, self._limit):
                return
        raise self._incomplete()

    def _incomplete(self) -> IncompleteRead:
        context = self._context
        total = "does not say how many there are" if context.total is None else f"counts {context.total}"
        return incomplete(context, f"{len(context.seen)} rows were read, and the server {total}")

    def _changes_since_mark(self) -> Generator[Rows | Checkpoint, None, Changes]:
        """Read what changed while pages by id were read, until it holds still for the length of a walk."""
        self._context.remembers_from = ""
        for _ in range(MOST_SETTLING_WALKS):
            newest = self._closing_answer()
            # Where the bookmark stays, rows that were committed late before it are in the next run's lookback.
            is_quiet = self._mark is not None and newest.newest == self._mark
            cutoff = max(self._mark or "", self._cutoff(None)) if is_quiet else self._cutoff(self._mark)
            changes = yield from _with_checkpoints(read_changes(self._context, cutoff, newest))
            if changes.is_settled:
                break
            self._mark = changes.bookmark or self._mark
        return changes

    def _closing_answer(self) -> SourcePage:
        """Read the newest page; a count that fell is believed only when the next answer repeats it."""
        page = self._context.source.page(NEWEST_FIRST, 1)
        for _ in range(MOST_CLOSING_ANSWERS):
            before = self._context.total
            if before is None or page.total is None or page.total >= before:
                break
            self._context.note_total(page)
            page = self._context.source.page(NEWEST_FIRST, 1)
        return page


def _with_checkpoints(walk: Generator[Rows, None, T]) -> Generator[Rows | Checkpoint, None, T]:
    """Let the position of a read by id be written after each of a later walk's pages: its ids are counted in."""
    while True:
        try:
            rows = next(walk)
        except StopIteration as end:
            found: T = end.value
            return found
        yield rows
        yield Checkpoint()
