"""What a run did, in a few lines for people: counts, and of a record its number and its masked key."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from appcrm.text import counted, masked, printable
from target_appcrm.write.id_pages import IdPages

if TYPE_CHECKING:
    from target_appcrm.report.decisions import Decision

KEYS_SHOWN_PER_CAUSE = 5


class Summary:
    """Counts decisions as they are made; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.records = 0
        self.operations: Counter[str] = Counter()
        self.repeated = 0
        """Records that meant a contact which an earlier record of the input meant."""
        self._meant = IdPages()
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

    def note_contact(self, contact_id: int) -> None:
        """Note which contact a record of ``contacts`` meant."""
        with self._lock:
            if contact_id > 0 and not self._meant.add(contact_id):
                self.repeated += 1

    def add(self, number: int | None, key: dict[str, Any], decisions: list[Decision]) -> None:
        """Count the decisions about one record."""
        with self._lock:
            for decision in decisions:
                self.operations[decision.operation] += 1
                if decision.operation != "reject":
                    continue
                cause = printable(decision.cause or decision.reason or "unknown", 300)
                self._cause_counts[cause] += 1
                keys = self._causes.setdefault(cause, [])
                if len(keys) < KEYS_SHOWN_PER_CAUSE:
                    keys.append(shown_key(number, key))

    def reject_lines(self) -> list[str]:
        """Return a line for each cause of rejects, the most frequent first."""
        lines = []
        for cause, count in self._cause_counts.most_common():
            keys = self._causes[cause]
            more = f" and {count - len(keys)} more" if count > len(keys) else ""
            lines.append(f"{count} rejected: {cause} ({', '.join(keys)}{more})")
        return lines

    def line(self, *, requests: int, seconds: float, planned: bool, has_failed: bool = False) -> str:
        """Return the run's one summary line."""
        counts = ", ".join(f"{count} {operation}" for operation, count in sorted(self.operations.items()))
        per_record = requests / self.records if self.records else 0.0
        nothing = "nothing was done with them" if has_failed and self.records else "nothing to do"
        return (
            f"{'Dry run, nothing written: ' if planned else ''}{counted(self.records, 'record')}: "
            f"{counts or nothing}; {counted(requests, 'request')}, {per_record:.3f} a record, {seconds:.1f} s"
        )


def shown_key(number: int | None, key: dict[str, Any]) -> str:
    """Return what points at a record: its number in the input, and its masked key."""
    shown = ", ".join(f"{printable(name, 40)}={masked(value)}" for name, value in key.items()) or "no key"
    return shown if number is None else f"record {number}: {shown}"
