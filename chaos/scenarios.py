"""What tap and target are given to do, and what must have come of it however often they were ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from commands import Moment, Ran, target

if TYPE_CHECKING:
    from pathlib import Path

    from judge import Verdict
    from served_crm import Crm

TEXT = {"type": ["string", "null"]}
SCHEMA = {
    "type": "object",
    "properties": dict.fromkeys(("first_name", "last_name", "email", "city", "_sdc_deleted_at"), TEXT),
}
UPDATED, SAME, NEW, DELETED = 8, 4, 9, 3
STATE_EVERY = 4
GONE_AT = "2026-01-01T00:00:00Z"


def singer(records: list[dict[str, Any]], version: int | None = None) -> bytes:
    """Return Singer lines with a STATE of the count behind every few records."""
    versioned = {} if version is None else {"version": version}
    messages: list[dict[str, Any]] = [
        {"type": "SCHEMA", "stream": "contacts", "schema": SCHEMA, "key_properties": ["email"]}
    ]
    for number, record in enumerate(records, 1):
        messages.append({"type": "RECORD", "stream": "contacts", "record": record, **versioned})
        if number % STATE_EVERY == 0 and version is None:
            messages.append({"type": "STATE", "value": {"n": number}})
    if version is not None:
        messages.append({"type": "ACTIVATE_VERSION", "stream": "contacts", "version": version})
    messages.append({"type": "STATE", "value": {"n": len(records)}})
    return "".join(json.dumps(message) + "\n" for message in messages).encode()


@dataclass
class Writing:
    """People of one case: some to update, some the same, some new, some to delete, and strangers beside them."""

    crm: Crm
    case: str
    records: list[dict[str, Any]] = field(default_factory=list)
    strangers: dict[int, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put into the CRM what is there before."""
        people = [self.person(n) for n in range(UPDATED + SAME + NEW + DELETED)]
        held = [{**person, "city": "Old"} for person in people[:UPDATED]]
        held += people[UPDATED : UPDATED + SAME]
        held += people[UPDATED + SAME + NEW :]
        held += [
            {"first_name": "Stranger", "email": f"stranger{n}-{self.case}@example.com"} for n in range(3)
        ]
        inserted = self.crm.mutate(insert=held)["inserted"]
        rows = self.crm.rows()
        self.strangers = {number: rows[number] for number in inserted[-3:]}
        self.records = [
            {**person, "_sdc_deleted_at": GONE_AT} if n >= UPDATED + SAME + NEW else person
            for n, person in enumerate(people)
        ]

    def person(self, number: int) -> dict[str, Any]:
        """Return one record."""
        name = f"person{number}-{self.case}"
        return {
            "first_name": f"First{number}",
            "last_name": name,
            "email": f"{name}@example.com",
            "city": "New",
        }

    @property
    def lines(self) -> bytes:
        """The whole input."""
        return singer(self.records)

    def lines_after(self, state: dict[str, Any] | None) -> bytes:
        """What a tap would send that goes on from a state; a state's count stays that of the whole input."""
        return singer(self.records[(state or {}).get("n", 0) :])

    def judge_state(self, verdict: Verdict, ran: Ran) -> None:
        """Hold the last STATE against what is in the CRM."""
        done = (ran.state or {}).get("n", 0)
        self._judge(verdict, self.records[:done], "bookmark ahead")

    def judge_end(self, verdict: Verdict) -> None:
        """Hold the CRM against the whole input."""
        self._judge(verdict, self.records, None)
        rows = self.crm.rows()
        for number, row in self.strangers.items():
            if number not in rows:
                verdict.blame("wrongly deleted", self.case, f"stranger {number}")
            elif rows[number] != row:
                verdict.blame("other", self.case, f"stranger {number} was changed")

    def _judge(self, verdict: Verdict, records: list[dict[str, Any]], sin: str | None) -> None:
        held = self.crm.by_address()
        for record in records:
            found = held.get(record["email"], [])
            if record.get("_sdc_deleted_at"):
                if found:
                    verdict.blame(sin or "not deleted", self.case, record["email"])
            elif not found:
                verdict.blame(sin or "lost", self.case, record["email"])
            elif len(found) > 1:
                verdict.blame("doubled", self.case, record["email"])
            elif found[0]["city"] != "New":
                verdict.blame(sin or "stale", self.case, record["email"])


def write(
    writing: Writing, folder: Path, lines: bytes, moment: Moment | None = None, **settings: object
) -> Ran:
    """Run the target as every scenario sets it up."""
    return target(writing.crm, folder, lines, moment, allow_deletes=True, max_deletes=1000, **settings)
