"""Measures everything and writes the results page.

``run.py quick`` times the tools side by side; ``run.py limit`` at the API's own limit; ``run.py requests`` counts; ``run.py growth`` times from 1,000
contacts up; ``run.py full`` does all of it, with more rounds. ``run.py report`` only writes the page anew.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from at_the_limit import measure_at_the_limit
from cases import GROUPS
from counting import count_requests
from growing import measure_growth
from measuring import ENVIRONMENTS, HERE, WORK, measure, simulator, wait_for_quiet
from singer_input import write_input

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cases import Group
    from measuring import Case, Measurement, Simulator

RESULTS = HERE / "results"
ROUNDS = {"quick": 3, "full": 5}
PATIENCE_SECONDS = 1.5


def machine() -> dict[str, str]:
    """Describe where the figures come from."""
    cores = len(
        [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")]
    )
    return {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "system": platform.platform(terse=True),
        "cores": str(cores),
        "python": platform.python_version(),
    }


def measure_group(name: str, rounds: int) -> list[dict[str, Any]]:
    """Measure the cases of a group in turns, each round beginning with another one."""
    group = GROUPS[name]
    source = write_input(name, range(1, group.contacts + 1)) if group.writes else None
    found: list[Measurement] = []

    def once(case: Case, crm: Simulator) -> None:
        result = measure(case, crm, source=source, expected=group.contacts)
        found.append(result)
        print(
            f"{time.strftime('%H:%M:%S')} {name:12} {case.name:30} {result.seconds:8.2f} s  CPU {result.cpu_seconds:6.2f} s"
            f"  other {result.other_cores:.1f}  {'FAILED ' + result.error if result.error else ''}",
            flush=True,
        )

    busy, waiting = split(group)
    with ExitStack() as stack:
        count = 0 if group.writes else group.contacts
        crms = [
            stack.enter_context(simulator(count, group.latency_ms, str(lane)))
            for lane in range(max(1, len(waiting)))
        ]
        for case in busy if rounds > 1 else ():
            if group.contacts == 1:
                once(case, crms[0])
        found.clear()
        for turn in range(rounds + group.more_rounds):
            shift = turn * len(busy) // (rounds + group.more_rounds)
            for case in busy[shift:] + busy[:shift]:
                wait_for_quiet(PATIENCE_SECONDS)
                once(case, crms[0])
        if waiting:
            with ThreadPoolExecutor(len(waiting)) as lanes:
                for _ in range(1 if group.writes else 2):
                    list(lanes.map(once, waiting, crms))
    return [result.dump() for result in found]


def split(group: Group) -> tuple[list[Case], list[Case]]:
    """Part the cases into those that are run alone and those that mostly wait, which are run side by side."""
    if not group.latency_ms:
        return group.cases, []
    waiting = [case for case in group.cases if case.in_flight == 1]
    return [case for case in group.cases if case not in waiting], waiting


def keep(name: str, content: dict[str, Any]) -> None:
    """Write a part of the results, one run a line."""
    lines = [f"{json.dumps(key)}: {_lines(value)}" for key, value in content.items()]
    (RESULTS / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _lines(value: object) -> str:
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
    return json.dumps(value)


@contextmanager
def alone() -> Iterator[None]:
    """Refuse to run beside another one: they would share a folder, and each would be the other's load."""
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("Another benchmark is running in this checkout: wait until it has ended")
        yield


def main() -> int:
    """Measure what the command line names; the exit code is 1 if any tool failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["quick", "full", "limit", "requests", "growth", "report"])
    parser.add_argument("--groups", default=",".join(GROUPS), help="of the tools side by side")
    parser.add_argument("--rounds", type=int)
    given = parser.parse_args()
    with alone():
        return run(given)


def run(given: argparse.Namespace) -> int:
    """Measure what was asked for, and write the page; returns the exit code."""
    RESULTS.mkdir(exist_ok=True)
    failed: list[dict[str, Any]] = []
    if given.part in ROUNDS:
        for name in given.groups.split(","):
            runs = measure_group(name, given.rounds or ROUNDS[given.part])
            failed += [run for run in runs if run["error"]]
            keep(name, {"machine": machine(), "title": GROUPS[name].title, "runs": runs})
    if given.part in ("full", "limit"):
        keep("limit", {"machine": machine(), **measure_at_the_limit()})
    if given.part in ("full", "requests"):
        keep("requests", {"machine": machine(), **count_requests()})
    if given.part in ("full", "growth"):
        keep("growth", {"machine": machine(), **measure_growth()})
    report = [str(ENVIRONMENTS / "limit" / "bin" / "python"), str(HERE / "report.py")]
    subprocess.run(report, check=True)
    for run in failed:
        print(f"FAILED: {run['case']}: {run['error']}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
