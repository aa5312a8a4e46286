"""The goals, each beside what was measured: what users feel, every ratio out of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from at_the_limit import CONTACTS, NEW_CONTACTS
from cases import RAW_LIMIT, SDK_TAP, SDK_TARGET, TAP, TARGET
from counting import SIZES
from figures import cells, load, summaries, table


@dataclass(frozen=True)
class Marginal:
    """What one more record costs, between two groups, against another tool.

    Args:
        key: ``seconds``, where more records in the same time are wanted, or ``cpu_seconds``, where less is.
    """

    what: str
    smaller: str
    larger: str
    own: str
    other: str
    key: str
    wanted: float


MARGINALS = (
    Marginal(
        "Reading without a limit, 50 ms, 8 in flight, from 10,000 to 100,000: records a second against the raw limit's",
        "read-50",
        "read-50-100k",
        TAP,
        RAW_LIMIT,
        "seconds",
        0.9,
    ),
    Marginal(
        "Writing without a limit, 50 ms, 8 in flight, from 500 to 2,500: records a second against the raw limit's",
        "write-50-500",
        "write-50",
        TARGET,
        RAW_LIMIT,
        "seconds",
        0.9,
    ),
    Marginal(
        "CPU of one more record read, against the naive SDK tap's",
        "read-0",
        "read-100k",
        TAP,
        SDK_TAP,
        "cpu_seconds",
        0.25,
    ),
    Marginal(
        "CPU of one more record written, against the naive SDK target's",
        "write-0-500",
        "write-0",
        TARGET,
        SDK_TARGET,
        "cpu_seconds",
        2 / 3,
    ),
)
START_WANTED = 1.15


def of_group(group: str, tool: str) -> dict[str, Any] | None:
    """Return a tool's medians in a group."""
    part = load(group)
    return summaries(part["runs"]).get(tool) if part else None


def one_more(smaller: str, larger: str, tool: str, key: str) -> float | None:
    """Return what one more record takes, in seconds."""
    few, many = of_group(smaller, tool), of_group(larger, tool)
    if few is None or many is None:
        return None
    return float((many[key] - few[key]) / (many["records"] - few["records"]))


def goals() -> list[str]:
    """Return the table of goals, each with what was measured."""
    rows = [*request_goals(), *limit_goals(), *map(marginal_goal, MARGINALS)]
    rows += [
        start_goal("tap", "start", TAP, SDK_TAP),
        start_goal("target", "start-write", TARGET, SDK_TARGET),
    ]
    return [*table(["goal", "wanted", "measured", ""], [*rows, *memory_goal()]), ""]


def marginal_goal(goal: Marginal) -> list[str]:
    """Return the row of one."""
    own = one_more(goal.smaller, goal.larger, goal.own, goal.key)
    other = one_more(goal.smaller, goal.larger, goal.other, goal.key)
    is_rate = goal.key == "seconds"
    wanted = f"{'≥' if is_rate else '≤'} {goal.wanted:.0%}"
    if own is None or other is None:
        return [goal.what, wanted, "not measured", ""]
    reached = other / own if is_rate else own / other
    shown = f"{reached:.1%} ({own * 1e6:,.0f} against {other * 1e6:,.0f} µs a record)"
    return [
        goal.what,
        wanted,
        shown,
        verdict(reached, goal.wanted) if is_rate else verdict(-reached, -goal.wanted),
    ]


def start_goal(what: str, group: str, own: str, other: str) -> list[str]:
    """Return the row of a start-up."""
    mine, naive = of_group(group, own), of_group(group, other)
    title = f"Start-up of the {what} (one contact) against the naive SDK {what}'s, in CPU seconds"
    if mine is None or naive is None:
        return [title, f"≤ {START_WANTED} ×", "not measured", ""]
    times = mine["cpu_seconds"] / naive["cpu_seconds"]
    shown = f"{times:.2f} × ({mine['cpu_seconds']:.2f} against {naive['cpu_seconds']:.2f} s)"
    return [title, f"≤ {START_WANTED} ×", shown, verdict(-times, -START_WANTED)]


def limit_goals() -> list[list[str]]:
    """Return the rows at the API's own limit."""
    runs = (load("limit") or {}).get("runs", ())
    own = {(run["case"], run["job"]): run for run in runs}
    rows = []
    for tool, job, what in (
        (
            TAP,
            "first load",
            f"A first load of {CONTACTS:,} at 90 requests a minute, over the least the limit allows",
        ),
        (
            TARGET,
            "first write",
            f"Writing {NEW_CONTACTS} new contacts at 90 requests a minute, over the least",
        ),
    ):
        run = own.get((tool, job))
        if run is None:
            rows.append([what, "≤ 1.0", "not measured", ""])
            continue
        times = run["seconds"] / run["least_seconds"]
        shown = (
            f"{times:.2f} ({run['seconds']:.0f} of {run['least_seconds']:.0f} s, {run['refused']} refused)"
        )
        rows.append([what, "≤ 1.0", run["error"] or shown, verdict(-times, -1.0)])
    for tool in (TAP, TARGET):
        if run := own.get((tool, "night")):
            what = f"The night after, 1 % of {CONTACTS:,} changed: {tool}"
            rows.append([what, "", f"{run['seconds']:.1f} s, {run['requests']} requests", ""])
    return rows


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
