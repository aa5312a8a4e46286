"""The results page's section on requests."""

from __future__ import annotations

from typing import Any

from cases import SDK_TARGET, TARGET
from counting import PERCENTS, SIZES
from figures import cells, load, table

PER_MINUTE = 90


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
