"""Each fault on each call, at its first, middle and last request, on each version; then mixed by rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands import catalog_of, tap
from judge import Verdict, Warehouse, judge_progress, judge_warehouse
from kills import TAP_SETTINGS
from scenarios import Writing, write

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from served_crm import Crm

FAULTS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after": 1},
    "429 without Retry-After": {"status": 429},
    "500 with HTML": {"status": 500, "body": "html"},
    "502, empty, committed": {"status": 502, "body": "empty", "after_commit": True},
    "503": {"status": 503},
    "200 with HTML": {"status": 200, "body": "html"},
    "302": {"status": 302, "headers": {"Location": "/login"}, "body": "empty"},
    "401": {"status": 401},
    "403": {"status": 403},
    "reset": {"reset": "before_commit"},
    "reset, committed": {"reset": "after_commit"},
    "half a body": {"cut": "body"},
    "cut connection": {"cut": "connection"},
    "a tail behind JSON": {"cut": "malformed"},
    "other page size": {"per_page": 3},
}
MIXED = (
    "429",
    "500 with HTML",
    "502, empty, committed",
    "reset",
    "reset, committed",
    "half a body",
    "cut connection",
)
RATES = (0.01, 0.05, 0.2)
READS = ("list", "retrieve", "trash", "fields", "lookup", "search")
PLACES = ("first", "middle", "last")
TRIES = {"max_tries": 6}


class Reader:
    """A first read and one of changes, with deletes, through faults; then one without."""

    def __init__(self, crm: Crm, folder: Path, chance: random.Random) -> None:
        self._crm = crm
        self._folder = folder
        self._chance = chance
        self._catalog = catalog_of(crm, folder, "contacts")
        self._turn = 0

    def calls(self) -> dict[str, int]:
        """Requests by operation, where nothing fails."""
        self._crm.control("DELETE", "/__log")
        self.run(Verdict(), "rehearsal", ())
        return self._crm.requests()

    def run(self, verdict: Verdict, case: str, rules: tuple[dict[str, Any], ...]) -> None:
        """Run one case."""
        warehouse = Warehouse()
        self._crm.faults(*rules, seed=self._turn)
        self._read(verdict, case, warehouse, whole=False)
        self._turn += 1
        some = self._chance.sample(sorted(self._crm.rows()), 9)
        born = [{"first_name": "Born", "email": f"born{n}-{self._turn}@example.com"} for n in range(3)]
        self._crm.mutate(delete=some[:3], touch=some[3:], insert=born)
        self._read(verdict, case, warehouse, whole=False)
        self._crm.faults()
        self._read(verdict, case, warehouse, whole=True)
        judge_warehouse(verdict, case, warehouse, self._crm)

    def _read(self, verdict: Verdict, case: str, warehouse: Warehouse, *, whole: bool) -> None:
        ran = tap(self._crm, self._folder, self._catalog, warehouse.state, None, **TAP_SETTINGS, **TRIES)
        warehouse.load(ran.messages)
        judge_progress(verdict, case, warehouse, self._crm, set())
        if "Traceback" in ran.errors or (whole and ran.code):
            verdict.blame("other", case, f"exit {ran.code}: {ran.errors[-700:]}")


class Sender:
    """One input through faults, and once more without where the first run did not end with 0."""

    def __init__(self, crm: Crm, folder: Path) -> None:
        self._crm = crm
        self._folder = folder
        self._turn = 0

    def calls(self) -> dict[str, int]:
        """Requests by operation, where nothing fails."""
        self._crm.control("DELETE", "/__log")
        self.run(Verdict(), "rehearsal", ())
        return self._crm.requests()

    def run(self, verdict: Verdict, case: str, rules: tuple[dict[str, Any], ...]) -> None:
        """Run one case."""
        self._turn += 1
        writing = Writing(self._crm, f"f{self._turn}")
        (self._folder / "rejects.singer.jsonl").unlink(missing_ok=True)
        self._crm.faults(*rules, seed=self._turn)
        ran = write(writing, self._folder, writing.lines, None, **TRIES)
        self._crm.faults()
        found = Verdict()
        if "Traceback" in ran.errors or ran.code not in {0, 1}:
            found.blame("other", writing.case, f"exit {ran.code}: {ran.errors[-700:]}")
        rejects = self._folder / "rejects.singer.jsonl"
        refused = rejects.read_bytes() if rejects.exists() else b""
        if ran.code:
            if b'"RECORD"' not in refused:
                writing.judge_state(found, ran)
            ran = write(writing, self._folder, writing.lines, None, **TRIES)
            if ran.code:
                found.blame("other", writing.case, f"exit {ran.code}: {ran.errors[-700:]}")
        writing.judge_end(found)
        verdict.wrong += found.wrong
        verdict.cases += [f"{case}: {told}" for told in found.cases]


def cases_of(calls: dict[str, int], *, reads: bool) -> list[tuple[str, dict[str, Any]]]:
    """Return every fault at every place of every call, as names and rules."""
    found: list[tuple[str, dict[str, Any]]] = []
    for operation, count in sorted(calls.items()):
        for name, effects in FAULTS.items():
            if name == "other page size" and operation not in {"list", "trash"}:
                continue
            if reads and operation == "retrieve" and name in {"401", "403"}:
                continue  # tried, and only slow: what a retrieve confirms is told by the next run
            turns = {"first": 1, "middle": (count + 1) // 2, "last": count}
            for place in PLACES:
                if place == "first" or turns[place] != turns["first"]:
                    rule = {"operation": operation, "nth": turns[place], **effects}
                    found.append((f"{name} on {operation}, {place}", rule))
    return found


def mixed(rate: float) -> tuple[dict[str, Any], ...]:
    """Return rules that let so many of all requests fail, each by a fault of its own."""
    return tuple({"operation": "*", "rate": rate / len(MIXED), **FAULTS[name]} for name in MIXED)


def fault_matrix(
    crm: Crm,
    folder: Path,
    share: float,
    chance: random.Random,
    verdict: Verdict,
    app_version: str,
    *,
    rates: tuple[float, ...] = RATES,
) -> None:
    """Try a share of all cases of one version, drawn by chance, and each mixture."""
    for kind, worker in (("tap", Reader(crm, folder, chance)), ("target", Sender(crm, folder))):
        cases = cases_of(worker.calls(), reads=kind == "tap")
        for name, rule in chance.sample(cases, max(1, round(share * len(cases)))):
            worker.run(verdict, f"{kind} {app_version}: {name}", (rule,))
            verdict.tried[f"{kind}: one fault, AppCRM {app_version}"] += 1
        verdict.tried[f"{kind}: all such cases, AppCRM {app_version}"] = len(cases)
        for rate in rates:
            worker.run(verdict, f"{kind} {app_version}: {rate:.0%} mixed", mixed(rate))
            verdict.tried[f"{kind}: mixed at {rate:.0%}"] += 1
