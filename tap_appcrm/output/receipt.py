"""The receipt of a run: what was read, of how much, and whether that was everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from appcrm.private_file import replace_private

if TYPE_CHECKING:
    from collections.abc import Iterable


class Receipt(msgspec.Struct):
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


def write_receipts(path: str, receipts: Iterable[Receipt]) -> None:
    """Write JSON Lines, one object for each stream; the file is there whole or not at all.

    Raises:
        SettingsError: the file cannot be written.
    """
    lines = "".join(
        json.dumps(msgspec.structs.asdict(receipt), ensure_ascii=False) + "\n" for receipt in receipts
    )
    replace_private(path, lines.encode(), "receipt_path")
