"""The associations beside a read of contacts: of the same pages where rows carry them, else afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_appcrm.output.stream_sync import StreamSync, now_text
from tap_appcrm.replication.deferred_associations import Lead
from tap_appcrm.replication.replication import INCREMENTAL, Reading
from tap_appcrm.source.list_source import CARRIED, carries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_appcrm.replication.read_context import Rows
    from tap_appcrm.source.records import Record
    from tap_appcrm.state import StreamState
    from tap_appcrm.streams import ContactAssociationsStream


class Companion:
    """The associations beside a read of contacts: on the same pages where rows carry them, else afterwards.

    Args:
        stream: of associations.
        reading: of contacts, which leads.
        state: of the stream of associations, which stands where the contacts stand.
    """

    def __init__(self, stream: ContactAssociationsStream, reading: Reading, state: StreamState) -> None:
        self._stream = stream
        self._reading = reading
        self._state = state
        self._lead = Lead(reading.mode)
        self._sync: StreamSync | None = None
        self._is_decided = False

    def take(self, rows: Rows) -> Iterator[list[Record]]:
        """Emit the associations of rows that carry them; note the others for later."""
        if not self._is_decided:
            self._is_decided = True
            if carries(rows.rows, CARRIED):
                self._open()
        if self._sync is None:
            self._lead.note(rows)
            return
        for found in self._stream.rows_of(rows):
            self._sync.emit(found)
        yield from ()

    def _open(self) -> None:
        self._stream.open_early()
        mirrored = Reading(
            self._reading.run, self._stream.tap.settings, self._state, full_table=self._stream.is_full_table
        )
        self._stream.begin_version(mirrored)
        self._sync = StreamSync(self._stream, mirrored, writes=True)

    def save(self) -> None:
        """Let the stream's state follow that of the contacts."""
        if self._sync is None:
            return
        backfill = self._reading.state.backfill
        if backfill is not None:
            backfill = backfill.with_version(self._stream.table_version)
        self._state.backfill = backfill
        self._state.bookmark = self._reading.state.bookmark
        self._stream.store(self._state)

    def finish(self) -> None:
        """Close the stream, or leave the contacts to be followed."""
        if self._sync is None:
            # A filtered read by id hands out fewer contacts than it sees, so it cannot be followed.
            if self._reading.mode == INCREMENTAL or not self._reading.is_filtered:
                self._lead.finish(self._reading)
                self._stream.lead = self._lead
            return
        self._stream.activate_version()
        receipt, run = self._sync.receipt, self._reading.run
        receipt.ended_at = now_text()
        receipt.records = self._sync.writer.records
        receipt.distinct_ids, receipt.total, receipt.repaired = len(run.seen), run.total, run.repaired
        receipt.bookmark_after = self._reading.state.bookmark
        receipt.complete = True
        self._stream.is_done = True
