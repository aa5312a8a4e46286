"""Singer input for targets: contacts as a warehouse would send them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from measuring import HERE, WORK
from people import row_of

sys.path.insert(0, str(HERE / "peers"))
from contact_schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

READ_ONLY = frozenset({"id", "created_at", "updated_at", "companies", "deals"})
RECORDS_BETWEEN_STATES = 1_000


def record_of(number: int, *, changed: bool = False) -> dict[str, Any]:
    """Return a contact as the source holds it."""
    record: dict[str, Any] = {k: v for k, v in json.loads(row_of(number)).items() if k not in READ_ONLY}
    record["phones"] = [{"number": p["number"], "type": p["type"]} for p in record["phones"]]
    if changed:
        record["job_title"] = f"Gerente {number}"
    return record


def changed_among(total: int, percent: float) -> list[int]:
    """Return the numbers of so many percent of the contacts, spread evenly."""
    count = round(total * percent / 100)
    return [step * total // count + 1 for step in range(count)]


def write_input(name: str, numbers: Iterable[int], changed: Iterable[int] = ()) -> Path:
    """Write a file of Singer messages and return its path."""
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / f"{name}.jsonl"
    different = set(changed)
    properties = {k: v for k, v in SCHEMA["properties"].items() if k not in READ_ONLY}
    with path.open("w") as file:
        schema = {"type": "object", "properties": properties}
        head = {"type": "SCHEMA", "stream": "contacts", "schema": schema, "key_properties": ["email"]}
        file.write(json.dumps(head) + "\n")
        for count, number in enumerate(numbers, 1):
            record = record_of(number, changed=number in different)
            file.write(json.dumps({"type": "RECORD", "stream": "contacts", "record": record}) + "\n")
            if count % RECORDS_BETWEEN_STATES == 0:
                file.write(
                    json.dumps({"type": "STATE", "value": {"bookmarks": {"contacts": {"at": count}}}}) + "\n"
                )
    return path
