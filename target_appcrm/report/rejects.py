"""Refused records as a Singer stream: fix them, then pipe the file back in."""

from __future__ import annotations

import json
import os
import stat
import threading
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any

import msgspec

from appcrm.contact import format_timestamp
from appcrm.errors import SettingsError
from appcrm.private_file import open_private
from appcrm.receipts import encode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.open_rejects import OpenRejects


class RejectFile:
    """Appends refused records, each stream's SCHEMA before its first; safe to share between threads.

    Beside a record stand when it was first refused, and why: keys that no reader of Singer messages looks at.

    Args:
        path: made at the first reject.
        waiting: what the file holds from earlier runs, where those are tried again; None where it is only appended to.
        now: the moment, in UTC.
    """

    def __init__(self, path: str, waiting: OpenRejects | None, now: Callable[[], datetime]) -> None:
        self.path = path
        self.count = 0
        self._waiting = waiting
        self._now = now
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._described: dict[str, StreamSchema] = {}
        self._is_durable = True

    def write(
        self,
        stream: StreamSchema,
        record: Mapping[str, Any] | msgspec.Raw,
        *,
        cause: str,
        rejected_at: str | None = None,
        number: int | None = None,
    ) -> None:
        """Append one record as it came in, or its JSON, under the name that its stream had there.

        Raises:
            SettingsError: the file cannot be written.
        """
        schema = {
            "type": "SCHEMA",
            "stream": stream.source,
            "schema": stream.source_schema,
            "key_properties": list(stream.source_key_properties or ()),
        }
        message = {
            "type": "RECORD",
            "stream": stream.source,
            "record": record,
            "rejected_at": rejected_at or format_timestamp(self._now()),
            "reason": cause,
        }
        with self._lock:
            self.count += 1
            self._is_durable = False
            if self._waiting is not None:
                self._waiting.refused(schema, message, number)
                return
            lines = b""
            if self._described.get(stream.source) is not stream:
                lines = encode_message(schema)
            try:
                if self._file is None:
                    self._file = open_private(self.path, "rejects_path")
                self._file.write(lines + encode_message(message))
            except OSError as error:
                raise self._unwritable(error) from error
            self._described[stream.source] = stream

    def _unwritable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"rejects_path: {self.path} cannot be written ({error.strerror}); make room, or set another path"
        )

    def make_durable(self) -> None:
        """See to it that what was written survives a crash of the machine.

        Raises:
            SettingsError: it cannot be written.
        """
        with self._lock:
            try:
                if self._waiting is not None:
                    self._waiting.save()
                elif self._file is not None and not self._is_durable:
                    self._file.flush()
                    if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                        # A device or a FIFO has nothing to be synchronised.
                        os.fsync(self._file.fileno())
                    self._is_durable = True
            except OSError as error:
                raise self._unwritable(error) from error

    def close(self) -> None:
        """Make the file durable and close it.

        Raises:
            SettingsError: it cannot be written.
        """
        try:
            self.make_durable()
        finally:
            with self._lock:
                if self._file is not None:
                    file, self._file = self._file, None
                    file.detach().close()  # type: ignore[attr-defined]  # what could not be written is not tried again


def encode_message(message: Mapping[str, Any]) -> bytes:
    """Encode a refused record as it came, NaN and the like included: they may be what it was refused for."""
    if _has_odd_number(message.get("record")):
        return json.dumps(dict(message), default=_plain).encode() + b"\n"
    return encode_line(message)


def _plain(value: object) -> Any:  # noqa: ANN401  any JSON value
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    return float(value) if isinstance(value, Decimal) else str(value)


def _has_odd_number(value: object) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, float):
            if each != each or each in (float("inf"), float("-inf")):  # noqa: PLR0124  only NaN differs from itself
                return True
        elif isinstance(each, Decimal) and not each.is_finite():
            return True
    return False
