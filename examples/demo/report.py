"""What each step moved, and the table at the end."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One `meltano run`: rows that went through it, what became of them, requests to the CRM, seconds."""

    name: str
    rows: int
    outcome: str
    requests: int
    seconds: float
    operations: dict[str, int] = dataclasses.field(default_factory=dict)


_HEADINGS = ("step", "rows", "what became of them", "requests", "seconds")


def operations(receipts: Path, skip: int) -> Counter[str]:
    """Receipts of target-appcrm by operation, those after the first `skip`."""
    lines = receipts.read_text(encoding="utf-8").splitlines() if receipts.exists() else []
    records = [message["record"] for message in map(json.loads, lines) if message["type"] == "RECORD"]
    return Counter(record["operation"] for record in records[skip:])


def sentence(counted: Counter[str]) -> str:
    """`59 create`, `2 update, 1 unchanged`: most first."""
    return ", ".join(f"{number} {operation}" for operation, number in counted.most_common()) or "nothing"


def table(steps: Sequence[Step]) -> str:
    """The steps under their headings, numbers to the right, with a total."""
    rows = [(s.name, str(s.rows), s.outcome, str(s.requests), f"{s.seconds:.1f}") for s in steps]
    total = ("all", "", "", str(sum(s.requests for s in steps)), f"{sum(s.seconds for s in steps):.1f}")
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, total, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if position in {0, 2} else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(_HEADINGS), rule, *map(line, rows), rule, line(total)])
