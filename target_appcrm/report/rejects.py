"""Refused records as a Singer stream: fix them, then pipe the file back in."""

from __future__ import annotations

import os
import threading
from typing import IO, TYPE_CHECKING, Any

from appcrm.private_file import open_private
from target_appcrm.report.private_file import encode_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec

    from target_appcrm.read.stream_schema import StreamSchema


class RejectFile:
    """Appends refused records, each stream's SCHEMA before its first; safe to share between threads.

    Args:
        path: made at the first reject.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.count = 0
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._described: dict[str, StreamSchema] = {}
        self._is_durable = True

    def write(self, stream: StreamSchema, record: Mapping[str, Any] | msgspec.Raw) -> None:
        """Append one record as it came in, or its JSON, under the name that its stream had there.

        Raises:
            SettingsError: the file cannot be written.
        """
        with self._lock:
            if self._file is None:
                self._file = open_private(self.path, "rejects_path")
            if self._described.get(stream.source) is not stream:
                self._described[stream.source] = stream
                described = {
                    "type": "SCHEMA",
                    "stream": stream.source,
                    "schema": stream.source_schema,
                    "key_properties": list(stream.source_key_properties or ()),
                }
                self._file.write(encode_line(described))
            self._file.write(encode_line({"type": "RECORD", "stream": stream.source, "record": record}))
            self.count += 1
            self._is_durable = False

    def make_durable(self) -> None:
        """See to it that what was written survives a crash of the machine."""
        with self._lock:
            if self._file is not None and not self._is_durable:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._is_durable = True

    def close(self) -> None:
        """Make the file durable and close it."""
        self.make_durable()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
