"""Records that wait for the end of the input, on disk instead of in memory."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import msgspec

from appcrm.receipts import encode_line

if TYPE_CHECKING:
    from collections.abc import Mapping


class Place(NamedTuple):
    """Where a kept record is, in bytes."""

    begin: int
    size: int


class KeptLines:
    """Records in a file without a name that nobody else can open; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def put(self, record: Mapping[str, Any] | msgspec.Raw) -> Place:
        """Keep a record; returns where it is."""
        line = bytes(record) if isinstance(record, msgspec.Raw) else encode_line(record)
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lasts as long as the run
                weakref.finalize(self, self._file.close)
            begin = self._file.seek(0, os.SEEK_END)
            self._file.write(line)
        return Place(begin, len(line))

    def get(self, place: Place) -> msgspec.Raw:
        """Return a record's JSON, to be put into another message."""
        with self._lock:
            if self._file is None:
                raise ValueError("nothing is kept")
            self._file.seek(place.begin)
            return msgspec.Raw(self._file.read(place.size).rstrip(b"\n"))
