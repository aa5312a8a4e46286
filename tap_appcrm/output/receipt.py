"""The receipt of a run: what was read, of how much, and whether that was everything."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from appcrm.contact import format_timestamp
from appcrm.private_file import check_writable, replace_private

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTING = "receipt_path"


@dataclass
class Receipt:
    """One stream of one run; the contract names the fields."""

    stream: str
    mode: str
    started_at: str
    ended_at: str | None = None
    requests: int = 0
    records: int = 0
    distinct_ids: int = 0
    total: int | None = None
    complete: bool = False
    repaired: int = 0
    bookmark_before: str | None = None
    bookmark_after: str | None = None


class ReceiptBook:
    """The receipts of a run, written anew whenever one of them opens or closes.

    Args:
        path: of the file; None for none.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._receipts: list[Receipt] = []

    def open(self, receipt: Receipt) -> None:
        """Add the receipt of a stream that begins.

        Raises:
            SettingsError: the file cannot be written.
        """
        self._receipts.append(receipt)
        self._write(None)

    def close(self, receipt: Receipt) -> None:
        """Write a receipt that is complete now: all that a device or FIFO, which cannot be replaced, is given."""
        self._write(receipt)

    def _write(self, closed: Receipt | None) -> None:
        if self._path:
            write_receipts(self._path, self._receipts, closed)


def write_receipts(path: str, receipts: Sequence[Receipt], closed: Receipt | None) -> None:
    """Write JSON Lines, one object for each stream; the file is there whole or as it was before.

    A device or a FIFO is written through: it is given each receipt once, when its stream ends.

    Args:
        path: of the file.
        receipts: of all streams so far.
        closed: the one whose stream ends now, if any does.

    Raises:
        SettingsError: the file cannot be written.
    """
    place = Path(path)
    chosen = receipts
    if place.is_fifo() or place.is_char_device():
        check_writable(path, SETTING)
        chosen = [] if closed is None else [closed]
    if chosen:
        lines = "".join(json.dumps(asdict(receipt), ensure_ascii=False) + "\n" for receipt in chosen)
        replace_private(path, lines.encode(), SETTING)


def now_text() -> str:
    """Return the moment, as the API writes it."""
    return format_timestamp(datetime.now(timezone.utc))
