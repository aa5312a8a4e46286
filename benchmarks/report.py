"""Writes RESULTS.md and its plots from the results in ``results/``."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import plots
from cases import GROUPS, LOOP, RAW_LIMIT, SDK_TAP, SDK_TARGET, TAP, TARGET

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PER_MINUTE = 90
PERCENTS = (0, 0.1, 1, 10, 100)
SIZES = (1_000, 10_000, 100_000)

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


def side_by_side(name: str) -> list[str]:
    """Return a group's section."""
    part = load(name)
    if part is None:
        return []
    group = GROUPS[name]
    found = summaries(part["runs"])
    naive = found.get(SDK_TARGET if group.writes else SDK_TAP)
    rows = []
    for case in group.cases:
        own = found.get(case.name)
        if own is None:
            rows.append([case.name, str(case.in_flight), "failed", *[""] * 7])
            continue
        rows.append(
            [
                f"**{case.name}**" if case.name in (TAP, TARGET) else case.name,
                str(case.in_flight),
                f"{rate(own):,.0f}",
                f"{own['seconds']:.2f} ({own['fastest']:.2f} to {own['slowest']:.2f})",
                f"{naive['seconds'] / own['seconds']:.1f}" if naive else "",
                f"{own['cpu_seconds'] / own['records'] * 1e6:,.0f}",
                f"{own['memory_mb']:.0f}",
                f"{own['requests'] / own['records']:.3f}",
                f"{own['other_cores']:.1f}",
                str(own["runs"]),
            ]
        )
    head = [
        "tool",
        "in flight",
        "records/s",
        "seconds (fastest to slowest)",
        "× naive SDK",
        "CPU µs/record",
        "memory MB",
        "requests/record",
        "other load, cores",
        "runs",
    ]
    return [f"### {part['title']}", "", f"Measured {part['machine']['when']}.", "", *table(head, rows), ""]


# Goals


def ratio(group: str, own: str, other: str, key: str = "seconds") -> float | None:
    """Return how many times faster a tool was than another, at the medians of one run."""
    part = load(group)
    found = summaries(part["runs"]) if part else {}
    if own not in found or other not in found:
        return None
    return float(found[other][key] / found[own][key])


def goals() -> list[str]:
    """Return the table of goals, each with what was measured."""
    wanted = [
        (
            "Reading 10,000 at 50 ms, 8 in flight, against the naive SDK tap (1)",
            "read-50",
            TAP,
            SDK_TAP,
            6.0,
            "×",
        ),
        ("the same against the raw limit (8)", "read-50", TAP, RAW_LIMIT, 0.75, "%"),
        (
            "Reading 10,000 at 200 ms, 8 in flight, against the raw limit (8)",
            "read-200",
            TAP,
            RAW_LIMIT,
            0.85,
            "%",
        ),
        (
            "Reading 10,000 at 0 ms, 8 in flight, against the naive SDK tap (1)",
            "read-0",
            TAP,
            SDK_TAP,
            2.5,
            "×",
        ),
        ("the same against the requests loop (1)", "read-0", TAP, LOOP, 1.0, "×"),
        (
            "Reading 100,000 at 0 ms, 8 in flight, against the naive SDK tap (1)",
            "read-100k",
            TAP,
            SDK_TAP,
            4.0,
            "×",
        ),
        ("the same against the requests loop (1)", "read-100k", TAP, LOOP, 1.0, "×"),
        (
            "Writing 2,000 at 50 ms, 8 in flight, against the raw limit (8)",
            "write-50",
            TARGET,
            RAW_LIMIT,
            0.9,
            "%",
        ),
        (
            "Writing 2,000 at 0 ms, 8 in flight, against the requests loop (1)",
            "write-0",
            TARGET,
            LOOP,
            1.0,
            "×",
        ),
    ]
    rows = []
    for what, group, own, other, goal, unit in wanted:
        reached = ratio(group, own, other)
        shown = "not measured" if reached is None else amount(reached, unit)
        rows.append([what, f"≥ {amount(goal, unit)}", shown, verdict(reached, goal)])
    for what, group, own, other in (
        ("Start-up of the tap (one contact) against the naive SDK tap's", "start", TAP, SDK_TAP),
        (
            "Start-up of the target (one contact) against the naive SDK target's",
            "start-write",
            TARGET,
            SDK_TARGET,
        ),
    ):
        slower = ratio(group, other, own, "cpu_seconds")
        rows.append(
            [
                f"{what}, in CPU seconds",
                "≤ 1.10 ×",
                "not measured" if slower is None else f"{slower:.2f} ×",
                verdict(None if slower is None else -slower, -1.1),
            ]
        )
    return [
        *table(["goal (in flight)", "wanted", "measured", ""], [*rows, *memory_goal(), *request_goals()]),
        "",
    ]


def amount(value: float, unit: str) -> str:
    """Write a ratio as times or as percent."""
    return f"{value:.0%}" if unit == "%" else f"{value:.1f} ×"


def verdict(reached: float | None, goal: float) -> str:
    """Say whether a goal was reached."""
    if reached is None:
        return ""
    return "reached" if reached >= goal else "**missed**"


def memory_goal() -> list[list[str]]:
    """Return the rows on memory."""
    part = load("growth")
    rows = []
    for what, key, tool in (("reading", "reads", TAP), ("writing", "writes", TARGET)):
        own = {run["records"]: run["memory_mb"] for run in (part or {}).get(key, ()) if run["case"] == tool}
        if 10_000 not in own:
            continue
        largest = max(own)
        grown = own[largest] / own[10_000]
        shown = f"{own[10_000]:.0f} to {own[largest]:.0f} MB"
        rows.append(
            [
                f"Memory of {what}, 10,000 to {largest:,} contacts",
                "flat (≤ 1.5 ×)",
                shown,
                verdict(-grown, -1.5),
            ]
        )
    return rows


def request_goals() -> list[list[str]]:
    """Return the rows on requests."""
    part = load("requests")
    if part is None:
        return []
    reads, writes = cells(part["reads"]), cells(part["writes"])
    nothing = [reads[TAP, size, "nightly", 0] for size in SIZES if (TAP, size, "nightly", 0) in reads]
    rows = [
        [
            "Requests to read where nothing changed",
            "1",
            ", ".join(map(str, nothing)),
            verdict(-max(nothing), -1),
        ]
    ]
    own = writes.get((TARGET, 10_000, "all records", 100))
    other = writes.get((SDK_TARGET, 10_000, "all records", 100))
    if own and other:
        rows.append(
            [
                "Requests to write a night's 10,000 records of which 1 % changed, against a search and a write for each",
                "≤ 1/50",
                f"{own:,} against {other:,}: 1/{other / own:.0f}",
                verdict(other / own, 50),
            ]
        )
    return rows


# Requests


def cells(entries: list[dict[str, Any]]) -> dict[tuple[str, int, str, int | None], int]:
    """Return requests by tool, size, kind of run and number of changed contacts."""
    return {(e["tool"], e["size"], e["run"], e["changed"]): e["requests"] for e in entries}


def shown_requests(requests: int | None) -> str:
    """Write a number of requests and the minutes that they take."""
    if requests is None:
        return ""
    minutes = requests / PER_MINUTE
    time = f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
    return f"{requests:,} ({time})"


def requests_tables() -> list[str]:
    """Return the section on requests."""
    part = load("requests")
    if part is None:
        return []
    reads, writes = cells(part["reads"]), cells(part["writes"])
    lines = ["## Requests", "", INTRODUCTION_OF_REQUESTS, ""]
    head = ["contacts", "tool", "first load", *(f"{percent} % changed" for percent in PERCENTS)]
    tools = list(dict.fromkeys(e["tool"] for e in part["reads"]))
    rows = []
    for size in SIZES:
        for tool in tools:
            nights = [
                shown_requests(reads.get((tool, size, "nightly", round(size * p / 100)))) for p in PERCENTS
            ]
            rows.append([f"{size:,}", tool, shown_requests(reads.get((tool, size, "first", None))), *nights])
    lines += [
        "### Reading: the first load, and a night after so many contacts changed",
        "",
        *table(head, rows, left=2),
        "",
    ]
    for run, title in (
        ("all records", "### Writing: the first load into an empty CRM, and a night that sends all records"),
        ("changed records", "### Writing: a night that sends the changed records alone"),
    ):
        rows = []
        for size in SIZES:
            for tool in (TARGET, SDK_TARGET):
                first = [] if run == "changed records" else [writes.get((tool, size, "first", None))]
                found = [*first, *(night(writes, tool, size, run, percent) for percent in PERCENTS)]
                if not first:
                    found[0] = None
                if tool == SDK_TARGET:
                    found = computed(found, size, run)
                rows.append([f"{size:,}", TOOLS_THAT_WRITE.get(tool, tool), *map(shown_requests, found)])
        columns = head if run == "all records" else [head[0], head[1], *head[3:]]
        lines += [title, "", *table(columns, rows, left=2), ""]
    return [*lines, "![Requests](results/requests.svg)", ""]


TOOLS_THAT_WRITE = {SDK_TARGET: "a search and a write for each record (any peer)"}
INTRODUCTION_OF_REQUESTS = (
    "The API allows about 90 requests a minute, so in daily use this is what a run costs; minutes at that rate are in "
    "brackets. Counted at the simulator. A tool without an incremental mode reads everything each night. dlt reads "
    "the newest first and stops at its last bookmark: as few requests, but a contact that is touched while it pages "
    "can push others out of sight, which the tap's walk makes impossible. Hotglue's, dlt's and drt's targets create "
    "for each record (one request) and leave matching to their user; the same outcome takes them a search and a "
    "write for each record, which was counted with the naive SDK target up to 10,000 records and is two a record "
    "beyond."
)


def night(writes: dict[Any, int], tool: str, size: int, run: str, percent: float) -> int | None:
    """Return the requests of a night's writing."""
    return writes.get((tool, size, run, round(size * percent / 100)))


def computed(found: list[int | None], size: int, run: str) -> list[int | None]:
    """Fill in what a search and a write for each record come to where that was not counted."""
    records = [size] * 6 if run == "all records" else [round(size * percent / 100) for percent in PERCENTS]
    return [2 * count if own is None and count else own for own, count in zip(found, records, strict=True)]


# Growth


def growth() -> list[str]:
    """Return the section on how cost grows."""
    part = load("growth")
    if part is None:
        return []
    rows = []
    for key, verb in (("reads", "reads"), ("writes", "writes")):
        for run in part[key]:
            count = run["records"]
            if run["error"]:
                continue
            rows.append(
                [
                    f"{run['case']} {verb}",
                    f"{count:,}",
                    str(run["in_flight"]),
                    f"{run['seconds']:.2f}",
                    f"{run['cpu_seconds']:.2f}",
                    f"{run['cpu_seconds'] / count * 1e6:,.0f}",
                    f"{run['memory_mb']:.0f}",
                    f"{run['requests']:,}",
                ]
            )
    head = ["", "contacts", "in flight", "seconds", "CPU seconds", "CPU µs/record", "memory MB", "requests"]
    return [
        "## How cost grows",
        "",
        f"At 0 ms, one run each, measured {part['machine']['when']}.",
        "",
        *table(head, rows),
        "",
        "![How cost grows](results/growth.svg)",
        "",
    ]


def main() -> None:
    """Write the page."""
    parts = {name: part for name in GROUPS if (part := load(name))}
    machine = next(iter(parts.values()))["machine"] if parts else {}
    notes = (HERE / "notes.md").read_text()
    introduction, _, tried = notes.partition("<!-- tried -->\n")
    lines = [
        "# Results",
        "",
        "<!-- Written by `make bench` from results/*.json and notes.md; do not edit by hand. -->",
        "",
        f"{machine.get('system', '')}, {machine.get('cores', '?')} cores, Python {machine.get('python', '')}. {introduction.strip()}",
        "",
        "## Goals",
        "",
        *goals(),
        "## Side by side",
        "",
        "![Records a second](results/rates.svg)",
        "",
        "![CPU and memory](results/costs.svg)",
        "",
    ]
    for name in GROUPS:
        lines += side_by_side(name)
    lines += [*requests_tables(), *growth(), tried.strip(), ""]
    (HERE / "RESULTS.md").write_text("\n".join(lines))
    plots.draw_groups({name: summaries(part["runs"]) for name, part in parts.items()}, RESULTS)
    if part := load("requests"):
        plots.draw_requests(cells(part["writes"]), cells(part["reads"]), RESULTS)
    if part := load("growth"):
        plots.draw_growth(part, RESULTS)


if __name__ == "__main__":
    main()
