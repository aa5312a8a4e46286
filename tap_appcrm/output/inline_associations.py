"""The associations beside a read of contacts: of the same pages where rows carry them, else afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_appcrm.output.receipt import now_text
from tap_appcrm.replication.deferred_associations import FinishedRead
from tap_appcrm.replication.replication import INCREMENTAL
from tap_appcrm.source.list_source import CONTACTS, carries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_appcrm.output.stream_sync import StreamSync
    from tap_appcrm.output.written_stream import AssociationsStream
    from tap_appcrm.replication.read_context import Rows
    from tap_appcrm.replication.replication import Replication
    from tap_appcrm.source.records import Record


class InlineAssociations:
    """The associations beside a read of contacts: on the same pages where rows carry them, else afterwards.

    Args:
        stream: of associations.
        contacts: the read that goes ahead.
        mirrored: the stream's own, which stands where the contacts stand and follows them.
        open_sync: begins the stream's part of the run.
    """

    def __init__(
        self,
        stream: AssociationsStream,
        contacts: Replication,
        mirrored: Replication,
        open_sync: Callable[[Replication], StreamSync],
    ) -> None:
        self._stream = stream
        self._contacts = contacts
        self._mirrored = mirrored
        self._open_sync = open_sync
        self._finished = FinishedRead(contacts.mode)
        self._sync: StreamSync | None = None
        self._is_decided = False

    def take(self, rows: Rows) -> Iterator[list[Record]]:
        """Emit the associations of rows that carry them; note the others for later."""
        if not self._is_decided:
            self._is_decided = True
            if carries(rows.rows, CONTACTS.carried):
                self._open()
        if self._sync is None:
            self._finished.note(rows)
            return
        for found in self._stream.rows_of(rows):
            self._sync.emit(found)
        yield from ()

    def _open(self) -> None:
        self._stream.open_early()
        self._stream.begin_version(self._mirrored)
        self._sync = self._open_sync(self._mirrored)

    def save(self) -> None:
        """Let the stream's state follow that of the contacts."""
        if self._sync is None:
            return
        theirs, ours = self._contacts.state, self._mirrored.state
        ours.backfill = None if theirs.backfill is None else replace(theirs.backfill)
        ours.bookmark = theirs.bookmark
        ours.scope = theirs.scope
        ours.proven_total = theirs.proven_total
        self._stream.store(ours)

    def finish(self) -> None:
        """Close the stream, or leave the contacts to be gone through once more."""
        if self._sync is None:
            # A filtered read by id hands out fewer contacts than it sees, so their ids say too much.
            if self._contacts.mode == INCREMENTAL or not self._contacts.is_filtered:
                self._finished.finish(self._contacts)
                self._stream.finished_contacts = self._finished
            return
        self._stream.activate_version()
        receipt, context = self._sync.receipt, self._contacts.context
        receipt.ended_at = now_text()
        receipt.records = self._sync.writer.records
        receipt.distinct_ids, receipt.total = len(context.seen), context.total
        receipt.repaired = context.repaired
        receipt.bookmark_after = self._contacts.state.bookmark
        receipt.complete = True
        self._stream.is_done = True
