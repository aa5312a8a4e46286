"""Files of JSON lines that hold personal data: private, appended to, whole after a crash."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import msgspec

from appcrm.errors import SettingsError

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


def check_writable(path: str, setting: str) -> None:
    """Check that a file could be opened later, without making it.

    Raises:
        SettingsError: it could not.
    """
    place = Path(path).absolute()
    if place.is_dir():
        raise SettingsError(f"{setting}: {path} is a directory; name a file")
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK) or (place != Path(path).absolute() and not place.is_dir()):
        raise SettingsError(f"{setting}: {path} cannot be written; set another path")


def open_private(path: str, setting: str) -> IO[bytes]:
    """Open a file to append to, readable by its owner only, after a whole last line.

    Raises:
        SettingsError: it cannot be opened.
    """
    try:
        folder = os.path.dirname(path)  # noqa: PTH120  the path is a setting, shown as it was given
        if folder:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103  the same
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            # A run that was killed while it wrote leaves half a line.
            os.write(handle, b"\n")
        return os.fdopen(handle, "ab")
    except OSError as error:
        raise SettingsError(
            f"{setting}: {path} cannot be written ({error.strerror}); set another path"
        ) from error
