"""What was decided about each record, as a Singer stream that any loader takes."""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any

import msgspec

from appcrm.contact import format_timestamp
from appcrm.private_file import open_private
from appcrm.schemas import load_schema
from target_appcrm.report.private_file import encode_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_appcrm.match.keys import Contact

STREAM = "appcrm_receipts"


class Receipt(msgspec.Struct):
    """One decision about one record.

    Args:
        operation: as the schema of the receipts lists them.
        changes: field to [old, new].
        reason: why it was skipped or rejected; it may name values.
        status: of the last answer.
        requests: sent for this decision.
        cause: of a reject, for the summary; it never names values.
    """

    operation: str
    contact_id: int | None = None
    changes: dict[str, list[Any]] | None = None
    reason: str | None = None
    status: int | None = None
    requests: int = 0
    cause: str | None = None


class Outcome(msgspec.Struct):
    """What came of one record: its receipts, and the contact as it is now, where there is one."""

    receipts: list[Receipt] = msgspec.field(default_factory=list)
    contact: Contact | None = None


def shown_id(contact_id: int) -> int | None:
    """Return a contact's id; None for one that a dry run only planned."""
    return contact_id if contact_id > 0 else None


def utc_now() -> datetime:
    """Return the moment, in UTC."""
    return datetime.now(tz=timezone.utc)


class ReceiptFile:
    """Appends receipts to a file; safe to share between threads.

    Args:
        path: None for no file.
        planned: whether this is a dry run.
    """

    def __init__(self, path: str | None, *, planned: bool, now: Callable[[], datetime] = utc_now) -> None:
        self._planned = planned
        self._now = now
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        if path is not None:
            self._file = open_private(path, "receipts_path")
            self._write(
                {
                    "type": "SCHEMA",
                    "stream": STREAM,
                    "schema": load_schema("receipts"),
                    "key_properties": [],
                }
            )

    def write(self, stream: str, key: dict[str, Any], receipts: list[Receipt]) -> None:
        """Append the receipts of one record."""
        if self._file is None:
            return
        at = format_timestamp(self._now())
        for receipt in receipts:
            record = {
                "stream": stream,
                "key": key or None,
                "operation": receipt.operation,
                "contact_id": receipt.contact_id,
                "changes": receipt.changes,
                "reason": receipt.reason,
                "status": receipt.status,
                "requests": receipt.requests,
                "planned": self._planned,
                "at": at,
            }
            self._write({"type": "RECORD", "stream": STREAM, "record": record})

    def _write(self, message: dict[str, Any]) -> None:
        line = encode_line(message)
        with self._lock:
            if self._file is not None:
                self._file.write(line)

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        with self._lock:
            if self._file is not None:
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
