"""The streams: what the SDK asks of them, around the replication that does the work."""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream, metrics
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib import ActivateVersionMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from appcrm.contact import CUSTOM_FIELD_PREFIX, SCALAR_FIELDS, TIMESTAMP_FIELDS
from appcrm.errors import Forbidden
from tap_appcrm.output.stream_sync import DELETED_AT, StreamSync
from tap_appcrm.replication.deferred_associations import DeferredAssociations, FinishedRead
from tap_appcrm.replication.read_context import ReadContext, Rows
from tap_appcrm.replication.replication import Replication
from tap_appcrm.replication.small_list import SmallList
from tap_appcrm.source.list_source import CONTACTS, ListSource, Resource, carries
from tap_appcrm.source.records import MISFITS, RecordMaker, with_misfits
from tap_appcrm.state import StreamState

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from singer_sdk.helpers import types
    from singer_sdk.singerlib.encoding.base import GenericSingerWriter

    from tap_appcrm.output.inline_associations import InlineAssociations
    from tap_appcrm.source.conversion import Schema
    from tap_appcrm.source.page import Row
    from tap_appcrm.source.records import Record
    from tap_appcrm.tap import TapAppcrm

PLAIN_COLUMNS = frozenset({"id", *SCALAR_FIELDS, *TIMESTAMP_FIELDS})
"""Fields that ``select`` returns as they are; relations and computed fields may come back empty under it."""


class AppcrmStream(Stream):
    """A stream whose records come from a replication."""

    replication_key: str | None = "updated_at"
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

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:  # noqa: ANN401  the SDK's
        """Log what the SDK tells, but for errors: the command says in one sentence what was wrong."""
        if level < logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

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
            replication = self.make_replication()
            associations = self.tap.inline_associations_of(self, replication) if write_messages else None
            sync = self.make_sync(replication, associations, writes=write_messages)
            counted = 0
            for records in sync.run():
                counter.increment(sync.writer.records - counted)
                counted = sync.writer.records
                yield from records

    def make_sync(
        self, replication: Replication, associations: InlineAssociations | None = None, *, writes: bool = True
    ) -> StreamSync:
        """Return this stream's part of the run."""
        return StreamSync(
            self,
            replication,
            settings=self.tap.settings,
            receipts=self.tap.receipts,
            requests_sent=lambda: self.tap.client.requests_sent,
            associations=associations,
            writes=writes,
        )

    @property
    def can_tell_deletes(self) -> bool:
        """Whether its schema has a column for tombstones."""
        return DELETED_AT in self.schema["properties"]

    # The replication

    def make_replication(self) -> Replication:
        """Return what reads this stream, from where its state stands."""
        state = StreamState.parse(self.name, self.stream_state)
        context = ReadContext(self.name, self.make_source(), self.tap.settings.page_size)
        return Replication(
            context,
            self.tap.settings,
            state,
            full_table=self.is_full_table,
            tells_deletes=self.can_tell_deletes,
        )

    def make_source(self) -> ListSource:
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

    def begin_version(self, replication: Replication) -> None:
        """Give a FULL_TABLE read a version that no read before it had, finished or not."""
        if not self.is_full_table:
            return
        known = replication.state.table_version or 0
        self.table_version = replication.state.table_version = max(self._initialized_at // 1000, known + 1)

    def activate_version(self) -> None:
        """Let loaders drop what is not of this version: behind its last record, once it is proven whole."""
        if self.table_version is None or not self.tap.settings.activates_versions:
            return
        for stream_map in self.stream_maps:
            if not isinstance(stream_map, RemoveRecordTransform):
                self.message_writer.write_message(
                    ActivateVersionMessage(stream_map.stream_alias, self.table_version)
                )

    # Records

    @property
    def effective_schema(self) -> Schema:
        """The schema of the catalog that was given, every keyword of it, or else the discovered one."""
        return self.tap.given_schemas.get(self.tap_stream_id) or self.schema

    @property
    def selected_schema(self) -> Schema:
        """The schema that goes out: what the catalog selects, and a column for values that do not fit."""
        keys = self.primary_keys or ()
        selected = get_selected_schema(self.name, self.effective_schema, self.mask)
        properties = selected.get("properties", {})
        # Without its key a loader takes all rows for one.
        missing = {name: {"type": "integer"} for name in keys if name not in properties}
        return with_misfits(selected | {"properties": missing | properties}, keys)

    def make_maker(self) -> RecordMaker:
        """Return what makes records of rows."""
        return RecordMaker(
            self.selected_schema,
            key=self.key_columns,
            custom_fields=self.tap.settings.custom_fields.keys(),
        )

    def unknown_fields(self, columns: Iterable[str]) -> list[str]:  # noqa: ARG002  for those that have any
        """Names of custom fields that came back and are not in the catalog, selected or not."""
        return []

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


class ContactsStream(AppcrmStream):
    """Contacts of the CRM."""

    name = "contacts"
    primary_keys = ("id",)

    def make_source(self) -> ListSource:
        """Read what the catalog selects, where asking for less is safe."""
        return ListSource(
            self.tap.client,
            self.tap.settings,
            self.tap.workers,
            select=self._safe_select(),
            with_associations=self.tap.reads_associations,
        )

    def unknown_fields(self, columns: Iterable[str]) -> list[str]:
        """Names of custom fields that came back and are not in the catalog, selected or not."""
        return unknown_custom_fields(self.effective_schema, columns)

    def _safe_select(self) -> tuple[str, ...]:
        wanted = self.selected_schema["properties"]
        names = [name for name in wanted if name not in (DELETED_AT, MISFITS)]
        if set(names) >= self.effective_schema["properties"].keys() - {DELETED_AT, MISFITS}:
            return ()
        if not all(_is_plain(name, wanted[name]) for name in names):
            return ()
        return tuple(names)


def unknown_custom_fields(schema: Schema, columns: Iterable[str]) -> list[str]:
    """Return the custom fields among columns that a schema does not have."""
    known = schema.get("properties", {})
    return sorted(name for name in columns if name.startswith(CUSTOM_FIELD_PREFIX) and name not in known)


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
        self.finished_contacts: FinishedRead | None = None
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

    def make_replication(self) -> Replication:
        """Return what reads this stream: the contacts of this run again, if it stands where they stood."""
        own = super().make_replication()
        if self.finished_contacts is None:
            return own
        return DeferredAssociations(
            own.context,
            self.tap.settings,
            own.state,
            self.finished_contacts,
            full_table=self.is_full_table,
        )

    def make_source(self) -> ListSource:
        """Read rows that carry associations, or as little as can be."""
        return ListSource(
            self.tap.client,
            self.tap.settings,
            self.tap.workers,
            with_associations=True,
            otherwise_select=("email",),
        )

    def rows_of(self, rows: Rows) -> Iterator[list[Row]]:
        """Yield rows that carry associations: as listed where the list does, else each retrieved."""
        if carries(rows.rows, CONTACTS.carried):
            yield rows.rows
            return
        source = ListSource(self.tap.client, self.tap.settings, self.tap.workers)
        part: list[Row] = []
        for _, row in source.each(rows.ids):
            # One that is gone meanwhile has no associations any more.
            if row is not None:
                part.append(row)
            if len(part) >= self.tap.workers.size:
                yield part
                part = []
        yield part


class NeighbourStream(AppcrmStream):
    """What the ids of a contact mean: read by the same walk, without what narrows contacts."""

    primary_keys = ("id",)
    selected_by_default = False
    resource: ClassVar[Resource]
    has_custom_fields: ClassVar[bool] = False

    def make_replication(self) -> Replication:
        """Return what reads this stream, from where its state stands."""
        settings = self.tap.settings.of_everything
        context = ReadContext(self.name, self.make_source(), settings.page_size)
        state = StreamState.parse(self.name, self.stream_state)
        return self.replication_class(context, settings, state, full_table=self.is_full_table)

    replication_class: ClassVar[type[Replication]] = Replication

    def make_source(self) -> ListSource:
        """Read every field."""
        return ListSource(
            self.tap.client, self.tap.settings.of_everything, self.tap.workers, resource=self.resource
        )

    def unknown_fields(self, columns: Iterable[str]) -> list[str]:
        """Names of custom fields that came back and are not in the catalog, selected or not."""
        return unknown_custom_fields(self.effective_schema, columns)

    def _sync_records(
        self, context: types.Context | None = None, *, write_messages: bool = True
    ) -> Generator[Record, Any, Any]:
        """Write RECORD and STATE messages; where the token may not see the stream, the others are read all the same."""
        try:
            yield from super()._sync_records(context, write_messages=write_messages)
        except Forbidden as error:
            self.tap.note_failure(
                f"stream {self.name} was not read: {error}. Grant it, or deselect the stream"
            )


class CompaniesStream(NeighbourStream):
    """Companies."""

    name = "companies"
    has_custom_fields = True
    resource = Resource("companies", ("id", "name", "user_id", "updated_at"))


class DealsStream(NeighbourStream):
    """Deals."""

    name = "deals"
    has_custom_fields = True
    resource = Resource("deals", ("id", "name", "user_id", "updated_at"))


class ActivitiesStream(NeighbourStream):
    """Activities."""

    name = "activities"
    resource = Resource("activities", ("id", "title", "user_id", "updated_at"))


class LookupStream(NeighbourStream):
    """A small list that is read whole in each run."""

    replication_key = None
    forced_replication_method = REPLICATION_FULL_TABLE
    replication_class = SmallList

    @property
    def is_full_table(self) -> bool:
        """Always: there is nothing to go on from."""
        return True


class UsersStream(LookupStream):
    """Users, who own contacts."""

    name = "users"
    resource = Resource("users", ("id",))


class SourcesStream(LookupStream):
    """Sources, which contacts came from."""

    name = "sources"
    resource = Resource("sources", ("id",))


class PipelineStagesStream(LookupStream):
    """Stages of pipelines, in which deals stand."""

    name = "pipeline_stages"
    resource = Resource("pipeline-stages", ("id",))


NEIGHBOURS: Mapping[str, type[NeighbourStream]] = MappingProxyType(
    {
        "companies": CompaniesStream,
        "deals": DealsStream,
        "activities": ActivitiesStream,
        "users": UsersStream,
        "sources": SourcesStream,
        "pipeline_stages": PipelineStagesStream,
    }
)
