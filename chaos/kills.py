"""Ends tap and target at seeded moments, by SIGKILL and SIGTERM, and runs them again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from commands import Moment, Ran, catalog_of, tap, target
from judge import Verdict, Warehouse, judge_progress, judge_warehouse
from scenarios import Writing, singer, write

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from served_crm import Crm

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
PAGE = 10
TAP_CONTACTS = 150
TAP_SETTINGS: dict[str, Any] = {"page_size": PAGE, "detect_deletes": True, "lookback_seconds": 0}
# Where a run is ended → the operations one of which is then under way.
TAP_MOMENTS: dict[str, tuple[str, ...]] = {
    "tap: start": (),
    "tap: mid-page": ("list",),
    "tap: waiting on a 429": ("list",),
    "tap: detecting deletes": ("trash", "list", "retrieve"),
    "tap: FULL_TABLE": ("list",),
    "tap: at the end": (),
}
TARGET_MOMENTS: dict[str, tuple[str, ...]] = {
    "target: start": (),
    "target: mid-write": ("create", "update"),
    "target: waiting on a 429": ("create", "update", "list", "search"),
    "target: deleting": ("delete",),
    "target: mirror": ("delete", "create", "list"),
    "target: retrying rejects": ("create", "update"),
    "target: applying a plan": ("create", "update", "delete"),
    "target: at the end": (),
}


def moment_of(name: str, operations: tuple[str, ...], by: signal.Signals, chance: random.Random) -> Moment:
    """Draw a moment of a kind."""
    if name.endswith("start"):
        return Moment(by, chance.uniform(0, 0.4))
    if name.endswith("end"):
        return Moment(by, chance.uniform(0.4, 2.5))
    rule: dict[str, Any] = {"operation": list(operations), "nth": _turn(name, chance)}
    if "429" in name:
        rule |= {"status": 429, "retry_after": 1}
    else:
        rule[chance.choice(["delay_seconds", "delay_after_commit_seconds"])] = 0.5
    return Moment(by, chance.uniform(0, 0.4), rule)


def _turn(name: str, chance: random.Random) -> int:
    if "delet" in name:
        return chance.randint(1, 3)
    return chance.randint(1, 15 if name.startswith("tap") else 8)


def check_ending(verdict: Verdict, case: str, ran: Ran, by: signal.Signals | None) -> None:
    """A run that was ended tells so by its exit code, and no run shows a traceback."""
    right = {0}
    if by is not None:
        right |= {-by} | ({128 + by} if by == signal.SIGTERM else set())
    if ran.code not in right or "Traceback" in ran.errors:
        verdict.blame("other", case, f"exit {ran.code}: {ran.errors[-700:]}")


def kill_taps(crm: Crm, folder: Path, moments: int, chance: random.Random, verdict: Verdict) -> None:
    """So many moments for each kind and signal, in a CRM that goes on changing from case to case."""
    catalogs = {
        method: catalog_of(crm, folder, "contacts", method=method) for method in ("INCREMENTAL", "FULL_TABLE")
    }
    # One moment of one signal for each kind, then the next: a short run sees every kind.
    for turn in range(moments):
        for kind, (name, operations) in enumerate(TAP_MOMENTS.items()):
            by = SIGNALS[turn % 2]
            case = f"{name}, {by.name} {turn}"
            catalog = catalogs["FULL_TABLE" if "FULL" in name else "INCREMENTAL"]
            warehouse = Warehouse()
            ended = 0
            if "deletes" not in name:
                ended += _ended_read(
                    verdict, case, warehouse, crm, folder, catalog, moment_of(name, operations, by, chance)
                )
            _whole_read(verdict, case, warehouse, crm, folder, catalog)
            rows = sorted(crm.rows())
            some = chance.sample(rows, 16)
            crm.mutate(
                delete=some[:4],
                touch=some[4:],
                insert=[
                    {"first_name": f"Born{n}", "email": f"born{n}-{turn}-{kind}@example.com"}
                    for n in range(4)
                ],
            )
            ended += _ended_read(
                verdict, case, warehouse, crm, folder, catalog, moment_of(name, operations, by, chance)
            )
            _whole_read(verdict, case, warehouse, crm, folder, catalog)
            judge_warehouse(verdict, case, warehouse, crm)
            verdict.tried[f"{name}, {by.name}"] += 1
            verdict.tried["signals that came before the end"] += ended


def _ended_read(
    verdict: Verdict,
    case: str,
    warehouse: Warehouse,
    crm: Crm,
    folder: Path,
    catalog: dict[str, Any],
    moment: Moment | None,
) -> bool:
    """Run the tap and load what it wrote; returns whether a signal ended it."""
    ran = tap(crm, folder, catalog, warehouse.state, moment, **TAP_SETTINGS)
    warehouse.load(ran.messages)
    check_ending(verdict, case, ran, moment.by if moment else None)
    judge_progress(verdict, case, warehouse, crm, set())
    return ran.code != 0


def _whole_read(
    verdict: Verdict, case: str, warehouse: Warehouse, crm: Crm, folder: Path, catalog: dict[str, Any]
) -> None:
    _ended_read(verdict, case, warehouse, crm, folder, catalog, None)


def kill_targets(crm: Crm, folder: Path, moments: int, chance: random.Random, verdict: Verdict) -> None:
    """So many moments for each kind; the input is then sent again, whole or from the last STATE."""
    for turn in range(moments):
        for name, operations in TARGET_MOMENTS.items():
            if "mirror" in name:
                continue  # it takes away all that is not its own: a CRM for itself
            by = SIGNALS[turn % 2]
            case = f"{turn}-{list(TARGET_MOMENTS).index(name)}"
            (folder / "rejects.singer.jsonl").unlink(missing_ok=True)
            writing = Writing(crm, case)
            moment = moment_of(name, operations, by, chance)
            ended = _one_target(verdict, name, writing, folder, moment, resumes=chance.random() < 0.5)
            writing.judge_end(verdict)
            verdict.tried[f"{name}, {by.name}"] += 1
            verdict.tried["signals that came before the end"] += ended


def _one_target(
    verdict: Verdict, name: str, writing: Writing, folder: Path, moment: Moment, *, resumes: bool
) -> bool:
    settings: dict[str, Any] = {}
    if "plan" in name:
        plan = folder / f"plan-{writing.case}.singer.jsonl"
        plan.unlink(missing_ok=True)
        ran = write(writing, folder, writing.lines, dry_run=True, receipts_path=str(plan))
        check_ending(verdict, writing.case, ran, None)
        settings = {"plan_path": str(plan)}
    if "rejects" in name:
        refuse = {"status": 422, "body": {"message": "no", "errors": {"city": ["no"]}}}
        writing.crm.faults(
            {"operation": "create", "nth": [1, 3, 4], **refuse}, {"operation": "update", "nth": 2, **refuse}
        )
        ran = write(writing, folder, writing.lines, max_rejects=100)
        writing.crm.faults()
        if ran.code not in {0, 1}:
            verdict.blame("other", writing.case, ran.errors[-700:])
        settings = {"retry_rejects": True}
        ran = write(writing, folder, singer([]), moment, **settings)
        check_ending(verdict, writing.case, ran, moment.by)
        lines = singer([])
    else:
        ran = write(writing, folder, writing.lines, moment, **settings)
        check_ending(verdict, writing.case, ran, moment.by)
        writing.judge_state(verdict, ran)
        lines = writing.lines_after(ran.state) if resumes and "plan" not in name else writing.lines
    ended = ran.code != 0
    check_ending(verdict, writing.case, write(writing, folder, lines, **settings), None)
    if "rejects" in name and (folder / "rejects.singer.jsonl").read_bytes().count(b'"RECORD"'):
        verdict.blame("other", writing.case, "an accepted reject stands in the file")
    return ended


def kill_mirrors(crm: Crm, folder: Path, moments: int, chance: random.Random, verdict: Verdict) -> None:
    """Versions of people, each of which replaces the one before: nobody of the new one may go."""
    name = "target: mirror"
    for turn in range(moments):
        by = SIGNALS[turn % 2]
        case = f"{name}, {by.name} {turn}"
        # Half of the people stay from version to version.
        people = [
            {"first_name": f"M{n}", "email": f"mirror{n}@example.com", "city": f"City{turn}"}
            for n in range(turn * 6, turn * 6 + 12)
        ]
        before = {row["email"] for row in crm.rows().values()}
        lines = singer(people, version=turn + 1)
        moment = moment_of(name, TARGET_MOMENTS[name], by, chance)
        ours = {person["email"] for person in people}
        for end in (moment, None):
            settings = {"allow_deletes": True, "max_deletes": 1000}
            ran = target(crm, folder, lines, end, **settings)
            check_ending(verdict, case, ran, end.by if end else None)
            verdict.tried["signals that came before the end"] += bool(end and ran.code)
            held = {row["email"] for row in crm.rows().values()}
            for gone in (before & ours) - held:
                verdict.blame("wrongly deleted", case, gone)
        rows = crm.by_address()
        for person in people:
            found = rows.get(person["email"], [])
            if len(found) != 1:
                verdict.blame("lost" if not found else "doubled", case, person["email"])
            elif found[0]["city"] != person["city"]:
                verdict.blame("stale", case, person["email"])
        for address in rows.keys() - ours:
            verdict.blame("not deleted", case, address)
        verdict.tried[f"{name}, {by.name}"] += 1
