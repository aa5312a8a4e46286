"""What users of the vendor's cloud feel: the API's own limit switched on, 90 requests a minute.

Each tool has a simulator of its own and nearly always waits, so all of them run side by side. A tool that gives up is
shown with what it lost.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from cases import READERS, TAP, TARGET, WRITERS
from counting import last_state, named
from measuring import Case, Measurement, measure, simulator
from singer_input import write_input

PER_MINUTE = 90
CONTACTS = 20_000
NEW_CONTACTS = 500
CHANGED = CONTACTS // 100
LATENCY_MS = 50
START_SECONDS = 2
"""Of a run, beside what the limit makes it wait."""


def least_seconds(requests: int) -> float:
    """Return the least that the limit allows, with two seconds to start and one a window for whole ``Retry-After``."""
    windows = (requests - 1) // PER_MINUTE
    return 60 * windows + START_SECONDS + windows + 1


def is_ceiling(case: Case) -> bool:
    """Tell whether a case only shows what a machine can do: it knows no limit."""
    return case.name.startswith("limit:")


def measure_at_the_limit() -> dict[str, Any]:
    """Measure a first load, the night after it, and a first write; one entry for each tool and job."""
    source = write_input("limited", range(1, NEW_CONTACTS + 1))
    jobs = [(_read, case) for case in READERS if not is_ceiling(case)]
    jobs += [(_write, case) for case in WRITERS if not is_ceiling(case)]
    with ThreadPoolExecutor(len(jobs)) as lanes:
        futures = [
            lanes.submit(job, case, f"limited-{lane}", source) for lane, (job, case) in enumerate(jobs)
        ]
        return {"runs": [entry for future in futures for entry in future.result()]}


def _entry(job: str, result: Measurement, expected: int) -> dict[str, Any]:
    refused = result.calls.get("refused by the limit", 0)
    sent = result.requests
    print(
        f"{job:12} {result.case:30} {result.seconds:8.1f} s  {sent} requests, {refused} refused", flush=True
    )
    return {
        **result.dump(),
        "job": job,
        "expected": expected,
        "refused": refused,
        "least_seconds": least_seconds(sent - refused),
    }


def _read(case: Case, lane: str, _: object) -> list[dict[str, Any]]:
    with simulator(CONTACTS, LATENCY_MS, lane, rate_limit=PER_MINUTE) as crm:
        found = [_entry("first load", measure(case, crm, expected=CONTACTS), CONTACTS)]
        if case.name == TAP:
            state = crm.folder / "state.json"
            state.write_text(last_state(crm.folder / "run" / "out"))
            shutil.rmtree(crm.folder / "run")
            crm.control("reset")
            crm.control(f"touch?count={CHANGED}")
            again = replace(named(READERS, TAP), command=(*case.command, "--state", str(state)))
            found.append(_entry("night", measure(again, crm, fresh=False), CHANGED))
        return found


def _write(case: Case, lane: str, source: Any) -> list[dict[str, Any]]:  # noqa: ANN401  a path
    with simulator(0, LATENCY_MS, lane, rate_limit=PER_MINUTE) as crm:
        found = [
            _entry("first write", measure(case, crm, source=source, expected=NEW_CONTACTS), NEW_CONTACTS)
        ]
    if case.name == TARGET:
        with simulator(CONTACTS, LATENCY_MS, lane, rate_limit=PER_MINUTE) as crm:
            changed = range(1, CHANGED + 1)
            night = write_input("limited-night", changed, changed)
            result = measure(case, crm, source=night)
            result.records = result.calls.get("update", 0)
            found.append(_entry("night", result, CHANGED))
    return found
