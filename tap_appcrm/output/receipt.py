"""The receipt of a run: what was read, of how much, and whether that was everything."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from appcrm.errors import SettingsError

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
    target = Path(path)
    lines = "".join(
        json.dumps(msgspec.structs.asdict(receipt), ensure_ascii=False) + "\n" for receipt in receipts
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-", suffix=".new")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(lines)
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"receipt_path cannot be written ({error.strerror})") from error
