"""Says what is lost, doubled, stale, wrongly deleted or ahead of the data; knows nothing of the connectors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from served_crm import Crm

SINS = ("lost", "doubled", "stale", "wrongly deleted", "not deleted", "bookmark ahead", "other")


@dataclass
class Verdict:
    """Counts of what was tried and of what was wrong, and the first cases of each."""

    tried: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    cases: list[str] = field(default_factory=list)

    def blame(self, sin: str, case: str, what: str) -> None:
        """Count one wrong thing."""
        self.wrong[sin] += 1
        self.cases.append(f"{sin}: {case}: {what}")


class Warehouse:
    """What a loader would hold: rows upserted by key, versions activated, tombstones kept as such."""

    def __init__(self, key: str = "id") -> None:
        self._key = key
        self.rows: dict[int, dict[str, Any]] = {}
        self._versions: dict[int, int | None] = {}
        self.state: dict[str, Any] | None = None
        self.removed: set[int] = set()
        """What the last run took away by a version or a tombstone."""

    def load(self, messages: list[dict[str, Any]], stream: str = "contacts") -> None:
        """Take what one run wrote."""
        self.removed = set()
        for message in messages:
            if message["type"] == "STATE":
                self.state = message["value"]
            if message.get("stream") != stream:
                continue
            if message["type"] == "RECORD":
                self._take(message)
            elif message["type"] == "ACTIVATE_VERSION":
                for number in [n for n, version in self._versions.items() if version != message["version"]]:
                    self._drop(number)

    def _take(self, message: dict[str, Any]) -> None:
        record = message["record"]
        number = record[self._key]
        if record.get("_sdc_deleted_at"):
            self._drop(number)
            return
        self.rows[number] = record
        self._versions[number] = message.get("version")
        self.removed.discard(number)

    def _drop(self, number: int) -> None:
        if self.rows.pop(number, None) is not None:
            self.removed.add(number)
        self._versions.pop(number, None)

    def bookmark(self, stream: str = "contacts") -> str | None:
        """The stream's bookmark in the last STATE."""
        told: str | None = (
            ((self.state or {}).get("bookmarks") or {}).get(stream, {}).get("replication_key_value")
        )
        return told


FIELDS = ("first_name", "last_name", "email", "job_title", "city")


def same_moment(one: object, other: object) -> bool:
    """Whether two timestamps name one second, however they are written."""
    return str(one)[:19].replace("T", " ") == str(other)[:19].replace("T", " ")


def is_newest(held: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether a record is the row as it stands in the CRM."""
    return same_moment(held.get("updated_at"), row["updated_at"]) and all(
        (held.get(name) or None) == (row.get(name) or None) for name in FIELDS if name in row
    )


def judge_warehouse(
    verdict: Verdict,
    case: str,
    warehouse: Warehouse,
    crm: Crm,
    *,
    stream: str = "contacts",
    deletes: bool = True,
) -> None:
    """Hold a warehouse after a quiet last run against the CRM's file."""
    rows = crm.rows(stream)
    for number, row in rows.items():
        held = warehouse.rows.get(number)
        if held is None:
            verdict.blame("lost", case, f"{stream} {number}")
        elif stream == "contacts" and not is_newest(held, row):
            verdict.blame("stale", case, f"{stream} {number}")
    if deletes:
        for number in warehouse.rows.keys() - rows.keys():
            verdict.blame("not deleted", case, f"{stream} {number}")


def judge_progress(
    verdict: Verdict, case: str, warehouse: Warehouse, crm: Crm, at_its_worst: set[int]
) -> None:
    """Hold a warehouse in the middle of things against the CRM's file.

    Args:
        verdict: to count in.
        case: its name.
        warehouse: after a run that may have been ended.
        crm: as it is now; what is at or before the bookmark cannot have changed since it was read.
        at_its_worst: ids that were in the trash at any time, of which a tombstone is right.
    """
    rows = crm.rows()
    for number in warehouse.removed & rows.keys() - at_its_worst:
        verdict.blame("wrongly deleted", case, f"contact {number}")
    bookmark = warehouse.bookmark()
    if bookmark is None:
        return
    for number, row in rows.items():
        if str(row["updated_at"])[:19].replace("T", " ") < bookmark[:19].replace("T", " "):
            held = warehouse.rows.get(number)
            if number not in at_its_worst and (held is None or not is_newest(held, row)):
                verdict.blame("bookmark ahead", case, f"contact {number} of {row['updated_at']}, {bookmark}")
