"""What was measured, read back from ``results/``, and the table form that the page uses."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

Summary = dict[str, Any]


def load(name: str) -> dict[str, Any] | None:
    """Return a part of the results, or None where it was not measured."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def summaries(runs: list[dict[str, Any]]) -> dict[str, Summary]:
    """Return the median of each tool's runs, with the fastest and the slowest."""
    by_case: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        if not run["error"]:
            by_case[run["case"]].append(run)
    found = {}
    for name, own in by_case.items():
        summary: Summary = {
            key: statistics.median(run[key] for run in own)
            for key in ("records", "seconds", "cpu_seconds", "memory_mb", "requests", "other_cores")
        }
        seconds = [run["seconds"] for run in own]
        summary |= {"fastest": min(seconds), "slowest": max(seconds), "runs": len(own)}
        summary |= {"in_flight": own[0]["in_flight"], "reached": max(run["most_in_flight"] for run in own)}
        found[name] = summary
    return found


def table(head: list[str], rows: list[list[str]], *, left: int = 1) -> list[str]:
    """Return a Markdown table; columns after the first so many are numbers."""
    marks = ["---"] * left + ["--:"] * (len(head) - left)
    return ["| " + " | ".join(cells) + " |" for cells in (head, marks, *rows)]


def rate(summary: Summary) -> float:
    """Return records a second."""
    return float(summary["records"] / summary["seconds"])


def cells(entries: list[dict[str, Any]]) -> dict[tuple[str, int, str, int | None], int]:
    """Return requests by tool, size, kind of run and number of changed contacts."""
    return {(e["tool"], e["size"], e["run"], e["changed"]): e["requests"] for e in entries}
