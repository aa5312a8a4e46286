"""The associations beside a read of contacts: of the same pages where rows carry them, else afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_appcrm.output.stream_sync import StreamSync, now_text
from tap_appcrm.replication.deferred_associations import FinishedRead
from tap_appcrm.replication.replication import INCREMENTAL, Replication
from tap_appcrm.source.list_source import CONTACTS, carries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_appcrm.replication.read_context import Rows
    from tap_appcrm.source.records import Record
    from tap_appcrm.state import StreamState
    from tap_appcrm.streams import ContactAssociationsStream


class InlineAssociations:
    """The associations beside a read of contacts: on the same pages where rows carry them, else afterwards.

    Args:
        stream: of associations.
        contacts: the read that goes ahead.
        state: of the stream of associations, which stands where the contacts stand.
    """

    def __init__(self, stream: ContactAssociationsStream, contacts: Replication, state: StreamState) -> None:
        self._stream = stream
        self._contacts = contacts
        self._state = state
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
        mirrored = Replication(
            self._contacts.context,
            self._stream.tap.settings,
            self._state,
            full_table=self._stream.is_full_table,
            tells_deletes=False,
        )
        self._stream.begin_version(mirrored)
        self._sync = StreamSync(self._stream, mirrored, writes=True)

    def save(self) -> None:
        """Let the stream's state follow that of the contacts."""
        if self._sync is None:
            return
        theirs = self._contacts.state
        self._state.backfill = None if theirs.backfill is None else replace(theirs.backfill)
        self._state.bookmark = theirs.bookmark
        self._state.scope = theirs.scope
        self._state.proven_total = theirs.proven_total
        self._stream.store(self._state)

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
