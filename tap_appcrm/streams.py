"""The two streams: what the SDK asks of them, around the reading that does the work."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream, metrics
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib import ActivateVersionMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from appcrm.contact import CUSTOM_FIELD_PREFIX, SCALAR_FIELDS, TIMESTAMP_FIELDS, format_timestamp
from appcrm.errors import AppcrmError, SettingsError
from appcrm.schemas import load_schema
from tap_appcrm.backfill import Checkpoint
from tap_appcrm.deletes import Gone
from tap_appcrm.emitting import Emitter, is_plain
from tap_appcrm.fastrows import FastRows
from tap_appcrm.following import Following, Lead
from tap_appcrm.position import StreamState
from tap_appcrm.progress import Progress
from tap_appcrm.reading import INCREMENTAL, Reading
from tap_appcrm.receipt import Receipt
from tap_appcrm.records import Shaper
from tap_appcrm.run import Rows, Run
from tap_appcrm.source import CARRIED, ApiSource, carries
from tap_appcrm.workers import Terminated

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from singer_sdk.helpers import types
    from singer_sdk.singerlib.encoding.base import GenericSingerWriter

    from tap_appcrm.emitting import Record
    from tap_appcrm.pages import Row
    from tap_appcrm.records import Schema
    from tap_appcrm.tap import TapAppcrm

RECORDS_BETWEEN_STATES = 1000
SECONDS_BETWEEN_STATES = 30.0
DELETED_AT = "_sdc_deleted_at"
PLAIN_COLUMNS = frozenset({"id", *SCALAR_FIELDS, *TIMESTAMP_FIELDS})
"""Fields that ``select`` returns as they are; relations and computed fields may come back empty under it."""

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

    @property
    def is_full_table(self) -> bool:
        """Whether the catalog asks for everything in each run."""
        return self.replication_method == REPLICATION_FULL_TABLE

    def _sync_records(
        self,
        context: types.Context | None = None,  # noqa: ARG002  the SDK's signature
        *,
        write_messages: bool = True,
    ) -> Generator[Record, Any, Any]:
        """Write RECORD and STATE messages, and yield each record."""
        with self.get_record_counter() as counter, self.get_sync_timer():
            sync = StreamSync(self, self.make_reading(), writes=write_messages)
            counted = 0
            for records in sync.run():
                counter.increment(sync.emitter.records - counted)
                counted = sync.emitter.records
                yield from records

    # The reading

    def make_reading(self) -> Reading:
        """Return what reads this stream, from where its state stands."""
        state = StreamState.parse(self.name, self.stream_state)
        run = Run(self.name, self.make_source(), self.tap.workers, self.tap.settings.page_size)
        return Reading(run, self.tap.settings, state, full_table=self.is_full_table)

    def make_source(self) -> ApiSource:
        """Return where the stream reads from."""
        raise NotImplementedError

    def rows_of(self, rows: Rows) -> Iterator[list[Row]]:
        """Yield the rows that records are made of."""
        yield rows.rows

    def store(self, state: StreamState) -> None:
        """Put the stream's state where the next STATE message takes it from."""
        held = self.stream_state
        held.clear()
        held.update(state.dump())
        self.state_manager.is_flushed = False

    def write_state(self) -> None:
        """Write a STATE message."""
        self._write_state_message()

    def check_limit(self, emitted: int) -> None:
        """End a dry run that has read its number of records."""
        self._check_max_record_limit(emitted)

    # FULL_TABLE

    def begin_version(self, reading: Reading) -> None:
        """Give a FULL_TABLE read its version; only one that nothing went before is active at once."""
        if not self.is_full_table:
            return
        known = reading.state.table_version
        resumed = reading.resumed
        version = resumed.table_version if resumed else None
        self.table_version = version or max(self._initialized_at // 1000, (known or 0) + 1)
        reading.table_version = reading.state.table_version = self.table_version
        if known is None:
            self.activate_version()

    def activate_version(self) -> None:
        """Let loaders drop what is not of this version."""
        if self.table_version is None or not self.tap.settings.activates_versions:
            return
        for stream_map in self.stream_maps:
            if not isinstance(stream_map, RemoveRecordTransform):
                self.message_writer.write_message(
                    ActivateVersionMessage(stream_map.stream_alias, self.table_version)
                )

    # Records

    @property
    def selected_schema(self) -> Schema:
        """The schema of the properties that the catalog selects."""
        return get_selected_schema(self.name, self.effective_schema, self.mask)

    def make_shaper(self) -> Shaper:
        """Return what makes records of rows."""
        return Shaper(
            self.name,
            self.selected_schema,
            key=self.key_columns,
            custom_fields=self.tap.settings.custom_fields,
            on_widened=self._widen,
        )

    @property
    def reads_plain_rows(self) -> bool:
        """Whether a listed row is all that a record is made of."""
        return False

    def unknown_fields(self, columns: Iterable[str]) -> list[str]:  # noqa: ARG002  for those that have any
        """Names of custom fields that came back and are not in the catalog, selected or not."""
        return []

    def make_fast_rows(self, schema: Schema) -> FastRows:
        """Return what decodes pages into structures that are written as they are."""
        return FastRows(
            schema,
            load_schema(self.name),
            key=self.key_columns,
            custom_fields=self.tap.settings.custom_fields,
        )

    def _widen(self, schema: Schema) -> None:
        self.tap.mapper.register_raw_stream_schema(self.name, schema, self.primary_keys)
        self._stream_maps = None
        self._write_schema_message()

    def open_early(self) -> None:
        """Write the SCHEMA message before the SDK would."""
        self._write_schema_message()

    def log_requests(self, count: int) -> None:
        """Log the SDK's metric of HTTP requests."""
        self._log_metric(
            metrics.Point(
                "counter", metrics.Metric.HTTP_REQUEST_COUNT, count, {metrics.Tag.STREAM: self.name}
            )
        )


class StreamSync:
    """One stream's part of a run: records out, state behind them, the receipt at the end.

    Args:
        stream: whose messages are written.
        reading: what is read.
        writes: False where records go into files of a BATCH.
    """

    def __init__(self, stream: AppcrmStream, reading: Reading, *, writes: bool) -> None:
        self._stream = stream
        self._tap = stream.tap
        self._reading = reading
        self._writes = writes
        self.emitter = Emitter(stream, writes=writes)
        self.shaper = stream.make_shaper()
        self.companion: Companion | None = None
        self.receipt = Receipt(
            stream.name, reading.mode, started_at=_now_text(), bookmark_before=reading.bookmark_before
        )
        self._tap.receipts.append(self.receipt)
        self._tap.write_receipts()
        self._is_clean = True
        self._records_since_state = 0
        self._state_written_at = time.monotonic()

    def run(self) -> Iterator[list[Record]]:
        """Yield batches of records, after their messages were written."""
        reading, stream = self._reading, self._stream
        requests_before = self._tap.client.requests_sent
        began = time.monotonic()
        already = reading.resumed
        progress = Progress(stream.name, 0 if already is None else already.total or 0)
        stream.begin_version(reading)
        self.companion = stream.tap.companion_of(stream, reading, writes=self._writes)
        self._decode_faster()
        try:
            for step in reading.steps():
                if isinstance(step, Checkpoint):
                    self._checkpoint()
                    continue
                self._is_clean = False
                for rows in self._rows(step):
                    yield self.emit(rows)
                    sent = self._tap.client.requests_sent - requests_before
                    progress.tick(len(reading.run.seen), reading.run.total, sent)
                if self.companion is not None and isinstance(step, Rows):
                    yield from self.companion.take(step)
                self._is_clean = True
            self._end()
            self.receipt.complete = True
        except Terminated:
            if self._is_clean and self._writes:
                self._save()
            raise
        except AppcrmError:
            # What was handed out is known from now on: a contact among it that goes becomes a tombstone.
            if self._is_clean and self._writes and self._records_since_state:
                self._save()
            raise
        finally:
            progress.close()
            self._close_receipt(requests_before, time.monotonic() - began)

    def _decode_faster(self) -> None:
        """Let pages be decoded into what is written, where nothing else needs to look into rows."""
        source = self._reading.run.source
        if (
            self._writes
            and self.companion is None
            and isinstance(source, ApiSource)
            and self._stream.reads_plain_rows
            and self._stream.ABORT_AT_RECORD_COUNT is None
            and is_plain(self._stream.stream_maps)
        ):
            source.fast = self._stream.make_fast_rows(self.shaper.schema)

    def _rows(self, step: Rows | Gone) -> Iterator[list[Row]]:
        if isinstance(step, Gone):
            if DELETED_AT not in self.shaper.schema["properties"]:
                raise SettingsError(f"detect_deletes needs {DELETED_AT} selected in the catalog")
            moment = _now_text()
            yield [{"id": contact_id, DELETED_AT: moment} for contact_id in step.ids]
            return
        limit = self._stream.ABORT_AT_RECORD_COUNT
        room = None if limit is None else max(0, limit - self.emitter.records)
        yield from self._stream.rows_of(step if room is None else step.at(range(min(room, len(step.ids)))))

    def emit(self, rows: list[Row]) -> list[Record]:
        """Write the records of rows."""
        if not rows or isinstance(rows[0], dict):
            rows = [self.shaper.shape(row) for row in rows]
        records = self.emitter.emit(rows)
        self._records_since_state += len(rows)
        self._stream.check_limit(self.emitter.records)
        return records

    def _checkpoint(self) -> None:
        is_due = (
            self._records_since_state + self._tap.settings.page_size > RECORDS_BETWEEN_STATES
            or time.monotonic() - self._state_written_at > SECONDS_BETWEEN_STATES
        )
        if is_due:
            self._save()

    def _save(self) -> None:
        self._reading.save()
        self._stream.store(self._reading.state)
        if self.companion is not None:
            self.companion.save()
        if self._writes:
            self._stream.write_state()
        self._records_since_state = 0
        self._state_written_at = time.monotonic()

    def _end(self) -> None:
        """Let the state say that all is done, and the messages that go with it."""
        self._stream.activate_version()
        source = self._reading.run.source
        if isinstance(source, ApiSource) and (unknown := self._stream.unknown_fields(source.columns)):
            logger.warning(
                "%s: the CRM has custom fields that the catalog does not know: %s; run discovery again to read them",
                self._stream.name,
                ", ".join(unknown),
            )
        if self.companion is not None:
            self.companion.finish()
        self._save()

    def _close_receipt(self, requests_before: int, seconds: float) -> None:
        receipt, run = self.receipt, self._reading.run
        receipt.ended_at = _now_text()
        receipt.requests = self._tap.client.requests_sent - requests_before
        receipt.records = self.emitter.records
        receipt.distinct_ids = len(run.seen)
        receipt.total = run.total
        receipt.repaired = run.repaired
        receipt.bookmark_after = self._reading.state.bookmark if receipt.complete else receipt.bookmark_before
        self._tap.write_receipts()
        self._stream.log_requests(receipt.requests)
        logger.info(
            "%s: %d records of %d contacts, %s in the CRM, %d requests, %d repaired, %.1f s%s",
            self._stream.name,
            receipt.records,
            receipt.distinct_ids,
            "an unknown number" if run.total is None else run.total,
            receipt.requests,
            receipt.repaired,
            seconds,
            "" if receipt.complete else ": NOT COMPLETE",
        )


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
        receipt.ended_at = _now_text()
        receipt.records = self._sync.emitter.records
        receipt.distinct_ids, receipt.total, receipt.repaired = len(run.seen), run.total, run.repaired
        receipt.bookmark_after = self._reading.state.bookmark
        receipt.complete = True
        self._stream.is_done = True


class ContactsStream(AppcrmStream):
    """Contacts of the CRM."""

    name = "contacts"
    primary_keys = ("id",)

    def make_source(self) -> ApiSource:
        """Read what the catalog selects, where asking for less is safe."""
        return ApiSource(
            self.tap.client,
            self.tap.settings,
            self._safe_select(),
            with_associations=self.tap.reads_associations,
        )

    @property
    def reads_plain_rows(self) -> bool:
        """Whether a listed row is all that a record is made of."""
        return True

    def unknown_fields(self, columns: Iterable[str]) -> list[str]:
        """Names of custom fields that came back and are not in the catalog, selected or not."""
        known = self.effective_schema.get("properties", {})
        return sorted(name for name in columns if name.startswith(CUSTOM_FIELD_PREFIX) and name not in known)

    def _safe_select(self) -> tuple[str, ...]:
        wanted = self.selected_schema["properties"]
        if wanted.keys() == self.effective_schema["properties"].keys():
            return ()
        names = [name for name in wanted if name != DELETED_AT]
        if not all(_is_plain(name, wanted[name]) for name in names):
            return ()
        return tuple(dict.fromkeys(("id", "updated_at", *names)))


def _is_plain(name: str, schema: Schema) -> bool:
    kinds = schema.get("type", [])
    return name in PLAIN_COLUMNS or (
        name.startswith(CUSTOM_FIELD_PREFIX) and "array" not in kinds and "object" not in kinds
    )


class ContactAssociationsStream(AppcrmStream):
    """Companies, deals and activities of each contact, by their ids."""

    name = "contact_associations"
    primary_keys = ("contact_id",)
    selected_by_default = False  # each contact may cost a request of its own
    key_columns: ClassVar[dict[str, str]] = {"contact_id": "id"}

    def __init__(self, tap: TapAppcrm, schema: Schema) -> None:
        super().__init__(tap, schema)
        self.lead: Lead | None = None
        self.is_done = False

    def _sync_records(
        self, context: types.Context | None = None, *, write_messages: bool = True
    ) -> Generator[Record, Any, Any]:
        """Write RECORD and STATE messages, unless the contacts' pages brought all records along."""
        if not self.is_done:
            yield from super()._sync_records(context, write_messages=write_messages)

    def _write_schema_message(self) -> None:
        """Write the SCHEMA message, unless the contacts' pages brought all records along behind it."""
        if not self.is_done:
            super()._write_schema_message()

    def make_reading(self) -> Reading:
        """Return what reads this stream: the contacts of this run again, if it stands where they stood."""
        own = super().make_reading()
        if self.lead is None:
            return own
        return Following(own.run, self.tap.settings, own.state, self.lead, full_table=self.is_full_table)

    def make_source(self) -> ApiSource:
        """Read rows that carry associations, or as little as can be."""
        return ApiSource(
            self.tap.client,
            self.tap.settings,
            with_associations=True,
            otherwise_select=("id", "email", "updated_at"),
        )

    def rows_of(self, rows: Rows) -> Iterator[list[Row]]:
        """Yield rows that carry associations: as listed where the list does, else each retrieved."""
        if carries(rows.rows, CARRIED):
            yield rows.rows
            return
        source = ApiSource(self.tap.client, self.tap.settings)
        part: list[Row] = []
        for _, row in self.tap.workers.in_order(source.one, rows.ids):
            # One that is gone meanwhile has no associations any more.
            if row is not None:
                part.append(row)
            if len(part) >= self.tap.workers.size:
                yield part
                part = []
        yield part


def _now_text() -> str:
    return format_timestamp(datetime.now(timezone.utc))
