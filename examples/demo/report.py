"""What each step moved, and the table at the end."""

from __future__ import annotations

import dataclasses
import json
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


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """What a run of target-appcrm says of itself at `summary_path`."""

    run_id: str
    records: int
    counts: dict[str, int]
    sentence: str


def read_summary(path: Path) -> Summary:
    """The last run's record; what it did not do is left out of its counts."""
    run = json.loads(path.read_text(encoding="utf-8"))
    counts = {operation: number for operation, number in run["counts"].items() if number}
    planned = " planned" if run["planned"] else ""
    sentence = ", ".join(f"{number} {operation}{planned}" for operation, number in counts.items())
    return Summary(run["run_id"], run["records"], counts, sentence or "nothing to do")


def table(steps: Sequence[Step]) -> str:
    """The steps under their headings, numbers to the right, with a total."""
    rows = [(s.name, str(s.rows), s.outcome, str(s.requests), f"{s.seconds:.1f}") for s in steps]
    total = ("all", "", "", str(sum(s.requests for s in steps)), f"{sum(s.seconds for s in steps):.1f}")
    [heading, rule, *lines] = aligned([_HEADINGS, *rows, total], right=(1, 3, 4)).splitlines()
    return "\n".join([heading, rule, *lines[:-1], rule, lines[-1]])


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows in columns, the first as their headings."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if position in right else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    heading, *others = map(line, rows)
    return "\n".join([heading, "  ".join("-" * width for width in widths), *others])


def indented(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, two spaces to the right."""
    return "\n".join(f"  {line}" for line in aligned(rows).splitlines())
