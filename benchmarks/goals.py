"""The goals, each beside what was measured."""

from __future__ import annotations

from cases import LOOP, RAW_LIMIT, SDK_TAP, SDK_TARGET, TAP, TARGET
from counting import SIZES
from figures import cells, load, summaries, table


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
    return f"{value:.1%}" if unit == "%" else f"{value:.1f} ×"


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
