"""Requests, the scarce good: counted at the simulator for first loads and for nightly runs, tool by tool."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cases import CONFIG, READERS, SDK_TAP, SDK_TARGET, TAP, TARGET, WRITERS, peer
from measuring import PRODUCT, Case, measure, simulator
from singer_input import changed_among, write_input

if TYPE_CHECKING:
    from measuring import Simulator

SIZES = (1_000, 10_000, 100_000)
PERCENTS = (0, 0.1, 1, 10, 100)
LARGEST_OF_PEERS = 10_000
"""A peer that searches and writes each record by itself is counted up to here; beyond, two a record is a rule."""
DLT_NEWEST_FIRST = "dlt, newest first"


def named(cases: tuple[Case, ...], name: str) -> Case:
    """Return the case of that name."""
    return next(case for case in cases if case.name == name)


UPSERTING = replace(named(WRITERS, SDK_TARGET), environment={"UPSERT": "1"})


def count_requests() -> dict[str, Any]:
    """Count everything; one entry for each tool, size and share of changed contacts."""
    reads: list[dict[str, Any]] = []
    writes: list[dict[str, Any]] = []
    for size in SIZES:
        with simulator(size, 0) as crm:
            reads += count_reads(crm, size)
            writes += count_nights(crm, size)
        with simulator(0, 0) as crm:
            writes += count_first_load(crm, size)
    return {"reads": reads, "writes": writes}


def entry(
    tool: str, size: int, changed: int | None, run: str, requests: int, calls: dict[str, int]
) -> dict[str, Any]:
    """Return one cell of the tables; ``changed`` is None for a first load."""
    found = {"tool": tool, "size": size, "changed": changed, "run": run, "requests": requests, "calls": calls}
    print(json.dumps(found), flush=True)
    return found


def last_state(path: Path) -> str:
    """Return the value of the last STATE message."""
    state = "{}"
    with path.open() as lines:
        for line in lines:
            if line.startswith('{"type":"STATE"'):
                state = json.dumps(json.loads(line)["value"])
    return state


def count_reads(crm: Simulator, size: int) -> list[dict[str, Any]]:
    """Count a first load, and what a night's run takes after so many contacts changed."""
    tap = named(READERS, TAP)
    naive = named(READERS, SDK_TAP)
    dlt = Case(DLT_NEWEST_FIRST, peer("dlt", "read_dlt.py", "{address}", "incremental"), counts_itself=True)
    found = []
    state = crm.folder / "state.json"
    nightly = replace(tap, command=(*tap.command, "--state", str(state)))
    for case in (tap, naive, dlt):
        first = measure(case, crm, expected=size)
        found.append(entry(case.name, size, None, "first", first.requests, first.calls))
        if case is tap:
            state.write_text(last_state(crm.folder / "run" / "out"))
        # dlt keeps its state among its own files, so each night begins with those of the first load.
        kept = shutil.copytree(crm.folder / "run", crm.folder / "kept", dirs_exist_ok=False)
        for percent in PERCENTS:
            count = round(size * percent / 100)
            shutil.rmtree(crm.folder / "run")
            shutil.copytree(kept, crm.folder / "run")
            crm.control("reset")
            if count:
                crm.control(f"touch?count={count}")
            again = nightly if case is tap else case
            result = measure(again, crm, fresh=False)
            if result.error or result.records < count:
                raise SystemExit(f"{case.name}: {result.records} of {count} changed contacts; {result.error}")
            found.append(entry(case.name, size, count, "nightly", result.requests, result.calls))
        shutil.rmtree(kept)
    return found


def count_first_load(crm: Simulator, size: int) -> list[dict[str, Any]]:
    """Count the writing of new contacts into a CRM that has none."""
    source = write_input("first", range(1, size + 1))
    return [_write(case, crm, source, size, None, "first") for case in _writers(size)]


def count_nights(crm: Simulator, size: int) -> list[dict[str, Any]]:
    """Count a night's writing: of all contacts, some of them changed, and of the changed ones alone."""
    found = []
    for percent in PERCENTS:
        changed = changed_among(size, percent)
        for run, numbers in (("all records", range(1, size + 1)), ("changed records", changed)):
            if not numbers:
                continue
            source = write_input("night", numbers, changed)
            found += [
                _write(case, crm, source, len(numbers), len(changed), run) for case in _writers(len(numbers))
            ]
            for cell in found[-2:]:
                cell["size"] = size
    return found


def _writers(records: int) -> list[Case]:
    target = Case(TARGET, (str(PRODUCT / "target-appcrm"), *CONFIG), in_flight=8)
    return [target, UPSERTING] if records <= LARGEST_OF_PEERS else [target]


def _write(
    case: Case, crm: Simulator, source: Path, records: int, changed: int | None, run: str
) -> dict[str, Any]:
    result = measure(case, crm, source=source, expected=records if changed is None else 0)
    written = result.calls.get("create", 0) + result.calls.get("update", 0)
    wanted = records if changed is None else changed
    if result.error or (case.name == TARGET and written != wanted):
        raise SystemExit(f"{case.name}: {written} writes instead of {wanted}; {result.error}")
    return entry(case.name, records, changed, run, result.requests, result.calls)
