"""What the output asks of a stream that it writes: the streams offer it, and the output knows none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from singer_sdk.mapper import StreamMap
    from singer_sdk.singerlib.encoding.base import GenericSingerWriter

    from tap_appcrm.replication.deferred_associations import FinishedRead
    from tap_appcrm.replication.read_context import Rows
    from tap_appcrm.replication.replication import Replication
    from tap_appcrm.source.page import Row
    from tap_appcrm.source.records import Record, RecordMaker
    from tap_appcrm.state import StreamState


class WrittenStream(Protocol):
    """A stream with its messages, its state and its limit; the SDK's private names stay behind it."""

    ABORT_AT_RECORD_COUNT: int | None
    table_version: int | None

    @property
    def name(self) -> str:
        """As in the catalog."""

    @property
    def primary_keys(self) -> Sequence[str] | None:
        """The key properties."""

    @property
    def stream_maps(self) -> list[StreamMap]:
        """What is made of its records on their way out."""

    @property
    def message_writer(self) -> GenericSingerWriter[Any, Any]:
        """Where its messages go."""

    @property
    def is_full_table(self) -> bool:
        """Whether the catalog asks for everything in each run."""

    @property
    def can_tell_deletes(self) -> bool:
        """Whether its schema has a column for tombstones."""

    def make_maker(self) -> RecordMaker:
        """Return what makes records of rows."""

    def rows_of(self, rows: Rows) -> Iterator[list[Row]]:
        """Yield the rows that records are made of."""

    def unknown_fields(self, columns: Iterable[str]) -> list[str]:
        """Names of custom fields that came back and are not in the catalog."""

    def open_early(self) -> None:
        """Write the SCHEMA message before the SDK would."""

    def begin_version(self, replication: Replication) -> None:
        """Give a FULL_TABLE read a version of its own."""

    def activate_version(self) -> None:
        """Let loaders drop what is not of this version."""

    def store(self, state: StreamState) -> None:
        """Put the stream's state where the next STATE message takes it from."""

    def write_state(self) -> None:
        """Write a STATE message."""

    def check_limit(self, emitted: int) -> None:
        """End a dry run that has read its number of records."""

    def log_requests(self, count: int) -> None:
        """Log the SDK's metric of HTTP requests."""


class AssociationsStream(WrittenStream, Protocol):
    """The stream of associations, which may go out beside the contacts."""

    finished_contacts: FinishedRead | None
    """The contacts to go through once more, where their pages carried no associations."""
    is_done: bool
    """Whether all went out beside the contacts."""


class BesideContacts(Protocol):
    """What goes out along with a read of contacts."""

    def take(self, rows: Rows) -> Iterator[list[Record]]:
        """Take rows that were just written."""

    def save(self) -> None:
        """Let its state follow that of the contacts."""

    def finish(self) -> None:
        """Take the end of the contacts."""
