"""A CRM that changes between any two requests, while the tap reads, and while the target writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from commands import catalog_of, tap
from judge import Verdict, Warehouse, judge_warehouse
from scenarios import NEW, SAME, UPDATED, Writing, write

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from served_crm import Crm

PAGE = 4
SETTINGS: dict[str, Any] = {"page_size": PAGE, "lookback_seconds": 0, "max_shrink": "100%", "concurrency": 3}
MOST_REQUESTS = 24
FEWEST_ROWS = 12


class Schedules:
    """Schedules of one stream: what happens before each request of two reads; then a quiet read is judged."""

    def __init__(self, crm: Crm, folder: Path, stream: str, chance: random.Random) -> None:
        self._crm = crm
        self._folder = folder
        self._stream = stream
        self._chance = chance
        self._catalog = catalog_of(crm, folder, stream)
        self._born = 0

    def run(self, verdict: Verdict, number: int) -> None:
        """Try one schedule."""
        case = f"{self._stream}, schedule {number}"
        # A clock that stands still makes every change of a read a tie; one that moves makes some.
        now = self._crm.control("GET", "/__control/clock")["now"] if self._chance.random() < 0.5 else None
        self._crm.control("POST", "/__control/clock", {"now": now})
        warehouse = Warehouse()
        settings = {**SETTINGS, **({"detect_deletes": True} if self._stream == "contacts" else {})}
        for moves in (True, True, False):
            self._crm.faults(*(self._rules() if moves else ()))
            ran = tap(self._crm, self._folder, self._catalog, warehouse.state, **settings)
            warehouse.load(ran.messages, self._stream)
            # A read that cannot prove itself in such a CRM says so, and leaves the rest to the next.
            if "Traceback" in ran.errors or (ran.code and not moves):
                verdict.blame("other", case, f"exit {ran.code}: {ran.errors[-700:]}")
            verdict.tried["reads that could not prove themselves while the CRM moved"] += bool(ran.code)
            self._crm.control("POST", "/__control/clock", {"advance_seconds": self._chance.randint(0, 2)})
        self._crm.faults()
        self._crm.control("POST", "/__control/clock", {"now": None})
        judge_warehouse(
            verdict, case, warehouse, self._crm, stream=self._stream, deletes=self._stream == "contacts"
        )
        verdict.tried[f"schedules of {self._stream}"] += 1

    def _rules(self) -> list[dict[str, Any]]:
        rules = []
        rows = sorted(self._crm.rows(self._stream))
        trash = sorted(self._crm.rows(self._stream, trashed=True).keys() - set(rows))
        self._chance.shuffle(rows)
        self._chance.shuffle(trash)
        touched = self._chance.sample(rows, min(len(rows), FEWEST_ROWS))
        for turn in range(1, MOST_REQUESTS):
            if self._chance.random() < 0.4:
                continue
            script: dict[str, Any] = {}
            kind = self._chance.choice(("insert", "delete", "touch", "restore"))
            if kind == "insert":
                self._born += 1
                script["insert"] = [self._newborn()]
            elif kind == "touch":
                script["touch"] = self._chance.sample(touched, 2)
            elif kind == "delete" and len(rows) > FEWEST_ROWS:
                script["delete"] = [rows.pop()]
            elif kind == "restore" and trash:
                script["restore"] = [trash.pop()]
            if script:
                mutation = script if self._stream == "contacts" else {self._stream: script}
                rules.append({"operation": "*", "resource": self._stream, "nth": turn, "mutate": mutation})
        return rules

    def _newborn(self) -> dict[str, Any]:
        name = f"Born{self._born}"
        if self._stream == "contacts":
            return {
                "first_name": name,
                "email": f"{name.lower()}-{self._chance.getrandbits(40):x}@example.com",
            }
        return {"name": name, **({"stage_id": 1} if self._stream == "deals" else {})}


def moving_reads(
    crm: Crm, folder: Path, schedules: int, chance: random.Random, verdict: Verdict, streams: tuple[str, ...]
) -> None:
    """Try so many schedules of each stream."""
    for stream in streams:
        tried = Schedules(crm, folder, stream, chance)
        for number in range(schedules):
            tried.run(verdict, number)


def moving_writes(crm: Crm, folder: Path, schedules: int, chance: random.Random, verdict: Verdict) -> None:
    """People change other fields of the contacts that the target is writing: theirs stay, and so do ours."""
    for number in range(schedules):
        writing = Writing(crm, f"m{number}")
        held = crm.by_address()
        ours = [held[record["email"]][0]["id"] for record in writing.records[: UPDATED + SAME]]
        rules: list[dict[str, Any]] = []
        for turn in range(1, UPDATED + SAME):
            contact_id = chance.choice(ours)
            edit = {"edit": {str(contact_id): {"job_title": f"Person {turn}"}}}
            operation = chance.choice(("update", "create", "list", "search"))
            nth = chance.randint(1, 6)
            rules.append({"name": str(contact_id), "operation": operation, "nth": nth, "mutate": edit})
        # Somebody creates one of our new people by hand, a moment before we do.
        taken = writing.records[UPDATED + SAME + chance.randrange(NEW)]
        insert = {"insert": [{"first_name": "ByHand", "email": taken["email"].upper()}]}
        rules.append({"operation": "create", "nth": 1, "mutate": insert})
        crm.faults(*rules)
        ran = write(writing, folder, writing.lines)
        edited = {int(rule["name"]) for rule in crm.rules() if rule["fired"] and rule["name"].isdigit()}
        crm.faults()
        if ran.code or "Traceback" in ran.errors:
            verdict.blame("other", writing.case, f"exit {ran.code}: {ran.errors[-700:]}")
        writing.judge_end(verdict)
        after = crm.rows()
        for contact_id in edited:
            if not str(after.get(contact_id, {}).get("job_title")).startswith("Person "):
                verdict.blame("lost", writing.case, f"what a person wrote into contact {contact_id}")
        verdict.tried["edits by people that fell into the writing"] += len(edited)
        verdict.tried["inputs written while people edit and create"] += 1
