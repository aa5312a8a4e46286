"""Writes RESULTS.md and its plots from the results in ``results/``."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import plots
from cases import GROUPS, SDK_TAP, SDK_TARGET, TAP, TARGET
from figures import HERE, RESULTS, cells, load, rate, summaries, table
from goals import goals
from request_tables import requests_tables

if TYPE_CHECKING:
    from typing import Any


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
    told = f"Measured {part['machine']['when']}; the simulator took {simulator_cost(part['runs']):,.0f} µs of CPU a request."
    return [f"### {part['title']}", "", told, "", *table(head, rows), ""]


def simulator_cost(runs: list[dict[str, Any]]) -> float:
    """Return the CPU microseconds that the simulator took for a request, at the median of all runs."""
    return statistics.median(
        run["simulator_cpu_seconds"] / run["requests"] * 1e6 for run in runs if run["requests"]
    )


def limited() -> list[str]:
    """Return the section on the API's own limit."""
    part = load("limit")
    if part is None:
        return []
    rows = [
        [
            f"**{run['case']}**" if run["case"] in (TAP, TARGET) else run["case"],
            run["job"],
            f"{run['seconds']:.0f}",
            f"{run['least_seconds']:.0f}",
            f"{run['requests']:,}",
            str(run["refused"]),
            f"{run['records']:,} of {run['expected']:,}" + (", gave up" if run["error"] else ""),
        ]
        for run in sorted(part["runs"], key=lambda run: (run["job"], run["seconds"]))
    ]
    head = ["tool", "job", "seconds", "least for its requests", "requests", "answered 429", "contacts"]
    return [
        "## At 90 requests a minute",
        "",
        f"The limit of the vendor's cloud, switched on. One run each, side by side, measured {part['machine']['when']}.",
        "",
        *table(head, rows, left=2),
        "",
    ]


def growth(explanation: str) -> list[str]:
    """Return the section on how cost grows, and why so."""
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
        explanation.strip(),
        "",
    ]


def main() -> None:
    """Write the page."""
    parts = {name: part for name in GROUPS if (part := load(name))}
    machine = next(iter(parts.values()))["machine"] if parts else {}
    notes = (HERE / "notes.md").read_text()
    introduction, _, rest = notes.partition("<!-- growth -->\n")
    explanation, _, tried = rest.partition("<!-- tried -->\n")
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
    lines += [*limited(), *requests_tables(), *growth(explanation), tried.strip(), ""]
    (HERE / "RESULTS.md").write_text("\n".join(lines))
    plots.draw_groups({name: summaries(part["runs"]) for name, part in parts.items()}, RESULTS)
    if part := load("requests"):
        plots.draw_requests(cells(part["writes"]), cells(part["reads"]), RESULTS)
    if part := load("growth"):
        plots.draw_growth(part, RESULTS)


if __name__ == "__main__":
    main()
