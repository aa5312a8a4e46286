"""What a run did, in a few lines for people: counts, never a value of a record but its keys."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from target_appcrm.report.receipts import Receipt

KEYS_SHOWN_PER_CAUSE = 5
LONGEST_KEY_CHARS = 80


class Summary:
    """Counts decisions as they are made; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.records = 0
        self.operations: Counter[str] = Counter()
        self._causes: dict[str, list[str]] = {}
        self._cause_counts: Counter[str] = Counter()

    @property
    def rejects(self) -> int:
        """Records that were refused."""
        return self.operations["reject"]

    def read(self, count: int = 1) -> None:
        """Count records that came in."""
        with self._lock:
            self.records += count

    def add(self, key: dict[str, Any], receipts: list[Receipt]) -> None:
        """Count the decisions about one record."""
        with self._lock:
            for receipt in receipts:
                self.operations[receipt.operation] += 1
                if receipt.operation != "reject":
                    continue
                cause = receipt.cause or receipt.reason or "unknown"
                self._cause_counts[cause] += 1
                keys = self._causes.setdefault(cause, [])
                if len(keys) < KEYS_SHOWN_PER_CAUSE:
                    keys.append(shown_key(key))

    def reject_lines(self) -> list[str]:
        """Return a line for each cause of rejects, the most frequent first."""
        lines = []
        for cause, count in self._cause_counts.most_common():
            keys = self._causes[cause]
            more = f" and {count - len(keys)} more" if count > len(keys) else ""
            lines.append(f"{count} rejected: {cause} ({', '.join(keys)}{more})")
        return lines

    def line(self, *, requests: int, seconds: float, planned: bool) -> str:
        """Return the run's one summary line."""
        counts = ", ".join(f"{count} {operation}" for operation, count in sorted(self.operations.items()))
        per_record = requests / self.records if self.records else 0.0
        return (
            f"{'Dry run, nothing written: ' if planned else ''}{self.records} records: {counts or 'nothing to do'}; "
            f"{requests} requests, {per_record:.3f} a record, {seconds:.1f} s"
        )


def shown_key(key: dict[str, Any]) -> str:
    """Return a record's key for a message."""
    text = ", ".join(f"{name}={value}" for name, value in key.items()) or "no key"
    return text if len(text) <= LONGEST_KEY_CHARS else f"{text[:LONGEST_KEY_CHARS]}…"
