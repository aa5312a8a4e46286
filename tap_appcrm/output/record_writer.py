"""RECORD messages: whole pages encoded at once, or one by one through the SDK where its own features are on."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.exceptions import MapExpressionError
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import RecordMessage

from appcrm.errors import AppcrmError
from tap_appcrm.output.message_writer import BufferedWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk.mapper import StreamMap

    from tap_appcrm.output.written_stream import WrittenStream
    from tap_appcrm.source.records import Record

ENCODER = msgspec.json.Encoder()

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no warehouse text can hold: NUL, and halves of a pair that has no other half."""


MAP_FAILURES = (ArithmeticError, AttributeError, LookupError, MapExpressionError, TypeError, ValueError)
"""What an expression raises on data that it was not written for."""


class MapFailed(AppcrmError):
    """A stream map that fails on a record."""


class RecordWriter:
    """Writes the records of one stream.

    Args:
        stream: whose maps, version and schema apply.
        writes: False where records go into files of a BATCH instead of messages.
    """

    def __init__(self, stream: WrittenStream, *, writes: bool) -> None:
        self._stream = stream
        self._writes = writes
        self.records = 0
        self.cleaned: Counter[str] = Counter()
        """How many values of each property lost characters that no warehouse can hold."""

    def write(self, records: list[Record]) -> list[Record]:
        """Write records; where they go into files, return what the stream's map made of them."""
        maps = self._stream.stream_maps
        self.records += len(records)
        if not records:
            return []
        writer = self._stream.message_writer
        if self._writes and is_plain(maps) and isinstance(writer, BufferedWriter):
            writer.write_lines(self._lines(records, maps[0]))
            return []
        self._clean(records)
        if self._writes:
            for message in self._messages(records, maps):
                writer.write_message(message)
            return []
        mapped = (self._mapped(maps[0], record) for record in records)
        return [record for record in mapped if record is not None]

    def _lines(self, records: list[Record], stream_map: StreamMap) -> bytes:
        """Encode a page: JSON holds no bare line end, so the envelope can be put around each line afterwards."""
        stream = ENCODER.encode(stream_map.stream_alias)
        begin = b'{"type":"RECORD","stream":' + stream + b',"record":'
        end = b',"time_extracted":' + ENCODER.encode(datetime.now(timezone.utc).isoformat())
        if self._stream.table_version is not None:
            end += b',"version":%d' % self._stream.table_version
        end += b"}\n"
        body = self._encoded(records)
        return begin + body[:-1].replace(b"\n", end + begin) + end

    def _encoded(self, records: list[Record]) -> bytes:
        try:
            body = ENCODER.encode_lines(records)
        except UnicodeEncodeError:  # half of a pair
            body = b"\\u0000"
        if b"\\u0000" in body:
            self._clean(records)
            body = ENCODER.encode_lines(records)
        return body

    def _clean(self, records: list[Record]) -> None:
        for record in records:
            for name, value in record.items():
                storable = without_unstorable(value)
                if storable is not value:
                    record[name] = storable
                    self.cleaned[name] += 1

    def _mapped(self, stream_map: StreamMap, record: Record) -> Record | None:
        try:
            return stream_map.transform(record)
        except MAP_FAILURES as error:
            place = next(
                (f"id {record[key]}" for key in self._stream.primary_keys or () if key in record), ""
            )
            raise MapFailed(
                f"stream_maps: the map of {self._stream.name} fails on the record of {place} "
                f"({type(error).__name__}): let its expressions take null and empty values too"
            ) from error

    def _messages(self, records: Iterable[Record], maps: list[StreamMap]) -> Iterable[RecordMessage]:
        extracted_at = datetime.now(timezone.utc)
        for record in records:
            for stream_map in maps:
                mapped = self._mapped(stream_map, record)
                if mapped is not None:
                    yield RecordMessage(
                        stream=stream_map.stream_alias,
                        record=mapped,
                        version=self._stream.table_version,
                        time_extracted=extracted_at,
                    )


def without_unstorable(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """Return a value without the characters that no warehouse can hold: the very same where there are none."""
    if isinstance(value, str):
        return UNSTORABLE.sub("", value) if UNSTORABLE.search(value) else value
    if isinstance(value, list):
        items = [without_unstorable(item) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    if isinstance(value, dict):
        fields = {without_unstorable(name): without_unstorable(inner) for name, inner in value.items()}
        return value if all(value.get(name) is inner for name, inner in fields.items()) else fields
    return value


def is_plain(maps: list[StreamMap]) -> bool:
    """Whether records leave as they are: no stream map, no flattening."""
    return len(maps) == 1 and isinstance(maps[0], SameRecordTransform) and not maps[0].flattening_enabled
