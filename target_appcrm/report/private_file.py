"""Lines of JSON that hold personal data, on their way to a private file."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENCODER = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def encode_line(message: Mapping[str, Any]) -> bytes:
    """Encode one message as a line, even where a text is no valid Unicode or a number is not finite."""
    try:
        return _ENCODER.encode(message) + b"\n"
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError):
        return json.dumps(message, default=str).encode() + b"\n"


class Place(NamedTuple):
    """Where a kept line is, in bytes."""

    begin: int
    size: int


class KeptLines:
    """Lines that wait on disk, in a file without a name that nobody else can open; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def put(self, line: bytes) -> Place:
        """Keep a line of ``encode_line``; returns where it is."""
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lasts as long as the run
            begin = self._file.seek(0, os.SEEK_END)
            self._file.write(line)
        return Place(begin, len(line))

    def get(self, place: Place) -> msgspec.Raw:
        """Return a line's JSON, to be put into another message."""
        with self._lock:
            if self._file is None:
                raise ValueError("nothing is kept")
            self._file.seek(place.begin)
            return msgspec.Raw(self._file.read(place.size).rstrip(b"\n"))
