"""The two streams: what the SDK asks of them, around the reading that does the work."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.singerlib import ActivateVersionMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from appcrm.contact import format_timestamp
from tap_appcrm.backfill import Checkpoint
from tap_appcrm.emitting import Emitter
from tap_appcrm.position import StreamState
from tap_appcrm.reading import Reading
from tap_appcrm.receipt import Receipt
from tap_appcrm.records import Shaper
from tap_appcrm.run import Rows, Run
from tap_appcrm.source import ApiSource

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from singer_sdk.helpers import types
    from singer_sdk.singerlib.encoding.base import GenericSingerWriter

    from tap_appcrm.emitting import Record
    from tap_appcrm.pages import Row
    from tap_appcrm.records import Schema
    from tap_appcrm.tap import TapAppcrm

RECORDS_BETWEEN_STATES = 1000

logger = logging.getLogger("tap-appcrm")


class AppcrmStream(Stream):
    """A stream whose records come from a reading of contacts."""

    replication_key = "updated_at"
    key_columns: ClassVar[dict[str, str]] = {}
    """Property to column of the API's row, where they differ."""

    def __init__(self, tap: TapAppcrm, schema: Schema) -> None:
        super().__init__(tap, schema=schema)
        self.tap = tap
        self.table_version: int | None = None
        self.state_of_stream: StreamState | None = None

    # What the SDK asks

    @property
    def emit_activate_version_messages(self) -> bool:
        """Always off: the SDK would activate a version before its first record, when everything old is dropped."""
        return False

    def get_replication_key_signpost(self, context: types.Context | None = None) -> None:
        """None: the bookmark comes from the data, never from this machine's clock."""

    def get_records(self, context: types.Context | None) -> Iterable[dict[str, Any]]:
        """Yield records without writing any message."""
        return self._sync_records(context, write_messages=False)

    @property
    def message_writer(self) -> GenericSingerWriter[Any, Any]:
        """Where messages go."""
        return self.tap.message_writer

    def _sync_records(
        self,
        context: types.Context | None = None,  # noqa: ARG002  the SDK's
        *,
        write_messages: bool = True,
    ) -> Generator[Record, Any, Any]:
        """Write RECORD and STATE messages, and yield each record."""
        state = StreamState.parse(self.name, self.stream_state)
        is_full = self.replication_method == REPLICATION_FULL_TABLE
        run = Run(self.name, self.make_source(), self.tap.workers, self.tap.settings.page_size)
        reading = Reading(run, self.tap.settings, state, full_table=is_full)
        receipt = Receipt(
            self.name, reading.mode, started_at=_now_text(), bookmark_before=reading.bookmark_before
        )
        self.tap.receipts.append(receipt)
        emitter = Emitter(self, writes=write_messages)
        requests_before = self.tap.client.requests_sent
        began = time.monotonic()
        if is_full:
            self._begin_version(reading, state)
        try:
            with self.get_record_counter() as counter, self.get_sync_timer():
                shaper = self._shaper()
                for records in self._batches(reading, shaper, emitter, write_messages=write_messages):
                    counter.increment(len(records))
                    yield from records
            self._end(reading, shaper, write_messages=write_messages)
            receipt.complete = True
        finally:
            receipt.ended_at = _now_text()
            receipt.requests = self.tap.client.requests_sent - requests_before
            receipt.records = emitter.records
            receipt.distinct_ids = len(run.seen)
            receipt.total = run.total
            receipt.repaired = run.repaired
            receipt.bookmark_after = state.bookmark
            self.tap.write_receipts()
            logger.info(
                "%s: %d records of %d contacts read, %s in the CRM, %d requests, %.1f s%s",
                self.name,
                receipt.records,
                receipt.distinct_ids,
                "an unknown number" if run.total is None else run.total,
                receipt.requests,
                time.monotonic() - began,
                "" if receipt.complete else ", not complete",
            )

    def _batches(
        self, reading: Reading, shaper: Shaper, emitter: Emitter, *, write_messages: bool
    ) -> Iterator[list[Record]]:
        since_state = 0
        try:
            for step in reading.steps():
                if isinstance(step, Checkpoint):
                    if since_state + self.tap.settings.page_size > RECORDS_BETWEEN_STATES:
                        self._save(reading, write=write_messages)
                        since_state = 0
                    continue
                rows = self._within_limit(step, emitter.records)
                records = [shaper.shape(row) for row in self.rows_of(rows)]
                since_state += len(records)
                yield emitter.emit(records)
                self._check_max_record_limit(emitter.records)
        except SystemExit:
            if write_messages:
                self._save(reading, write=True)
            raise

    def _within_limit(self, step: Rows, emitted: int) -> Rows:
        """Cut a batch where a dry run limits the number of records."""
        if self.ABORT_AT_RECORD_COUNT is None:
            return step
        room = max(0, self.ABORT_AT_RECORD_COUNT - emitted)
        return Rows(step.rows[:room], step.ids[:room], step.stamps[:room])

    def _save(self, reading: Reading, *, write: bool) -> None:
        reading.save()
        self._store(reading.state)
        if write:
            self._write_state_message()

    def _store(self, state: StreamState) -> None:
        held = self.stream_state
        held.clear()
        held.update(state.dump())
        self.state_manager.is_flushed = False

    def _end(self, reading: Reading, shaper: Shaper, *, write_messages: bool) -> None:
        """Let the state say that all is done, and the messages that go with it."""
        if self.table_version is not None:
            self._activate_version(self.table_version)
        if shaper.unknown_fields:
            logger.warning(
                "%s: the CRM has custom fields that the catalog does not know: %s; run discovery again to read them",
                self.name,
                ", ".join(sorted(shaper.unknown_fields)),
            )
        self._save(reading, write=write_messages)

    # FULL_TABLE

    def _begin_version(self, reading: Reading, state: StreamState) -> None:
        known = state.table_version
        resumed = reading.resumable()
        version = resumed.table_version if resumed else None
        self.table_version = reading.table_version = version or max(
            self._initialized_at // 1000, (known or 0) + 1
        )
        state.table_version = self.table_version
        if known is None:
            self._activate_version(self.table_version)

    def _activate_version(self, version: int) -> None:
        if not self.tap.settings.activates_versions:
            return
        for stream_map in self.stream_maps:
            if stream_map.transformed_key_properties is not None:
                self.message_writer.write_message(ActivateVersionMessage(stream_map.stream_alias, version))

    # Records

    def make_source(self) -> ApiSource:
        """Return where the stream reads from."""
        return ApiSource(self.tap.client, self.tap.settings)

    def rows_of(self, rows: Rows) -> list[Row]:
        """Return the rows that records are made of."""
        return rows.rows

    def _shaper(self) -> Shaper:
        schema = get_selected_schema(self.name, self.effective_schema, self.mask)
        shaper = Shaper(
            self.name,
            schema,
            key=self.key_columns,
            custom_fields=self.tap.settings.custom_fields,
            on_widened=self._widen,
        )
        shaper.known(self.effective_schema.get("properties", {}))
        return shaper

    def _widen(self, schema: Schema) -> None:
        self.tap.mapper.register_raw_stream_schema(self.name, schema, self.primary_keys)
        self._stream_maps = None
        self._write_schema_message()


class ContactsStream(AppcrmStream):
    """Contacts of the CRM."""

    name = "contacts"
    primary_keys = ("id",)


class ContactAssociationsStream(AppcrmStream):
    """Companies, deals and activities of each contact, by their ids."""

    name = "contact_associations"
    primary_keys = ("contact_id",)
    key_columns: ClassVar[dict[str, str]] = {"contact_id": "id"}

    def rows_of(self, rows: Rows) -> list[Row]:
        """Return rows that carry associations: as listed where the list does, else each retrieved."""
        found = []
        lacking = [i for i, row in zip(rows.ids, rows.rows, strict=True) if not _carries_associations(row)]
        retrieved = dict(
            self.tap.workers.in_order(ApiSource(self.tap.client, self.tap.settings).one, lacking)
        )
        for contact_id, row in zip(rows.ids, rows.rows, strict=True):
            known = retrieved.get(contact_id) if contact_id in retrieved else row
            if known is not None:
                found.append(known)
        return found


def _carries_associations(row: Row) -> bool:
    return isinstance(row.get("companies"), list) and isinstance(row.get("deals"), list)


def _now_text() -> str:
    return format_timestamp(datetime.now(timezone.utc))
