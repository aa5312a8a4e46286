"""Many contacts through tap and target: memory and what is left open; and a limit shared with a second client."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import Ran, catalog_of, tap, target
from served_crm import TOKEN, Crm

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from judge import Verdict

ROOT = Path(__file__).resolve().parent.parent
SIMULATOR = (ROOT / ".venv-bench" / "limit" / "bin" / "python", ROOT / "benchmarks" / "simulator.py")
LIMIT = 90
MOST_REFUSED = 0.02
SECOND_CLIENT_EVERY_SECONDS = 2.5


@contextmanager
def simulator(contacts: int) -> Iterator[Crm]:
    """Serve the benchmarks' simulator, which renders its pages once."""
    command = [*map(str, SIMULATOR), "--contacts", str(contacts)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101  as was asked for
    try:
        yield Crm(f"http://127.0.0.1:{int(process.stdout.readline())}", Path("/nonexistent"))
    finally:
        process.terminate()
        process.wait()


def load_tap(folder: Path, contacts: int, verdict: Verdict) -> None:
    """Read so many contacts for the first time; each must come once."""
    with simulator(contacts) as crm:
        ran = tap(crm, folder, catalog_of(crm, folder, "contacts"), None)
    ids = [message["record"]["id"] for message in ran.messages if message["type"] == "RECORD"]
    _judge(verdict, f"tap, {contacts} contacts", ran, len(set(ids)), contacts)


def load_target(folder: Path, records: int, verdict: Verdict) -> None:
    """Create so many contacts."""
    text = {"type": ["string", "null"]}
    schema = {"type": "object", "properties": dict.fromkeys(("first_name", "email"), text)}
    head = {"type": "SCHEMA", "stream": "contacts", "schema": schema, "key_properties": ["email"]}
    lines = [json.dumps(head)]
    for number in range(records):
        record = {"first_name": f"First{number}", "email": f"load{number}@example.com"}
        lines.append(json.dumps({"type": "RECORD", "stream": "contacts", "record": record}))
    lines.append(json.dumps({"type": "STATE", "value": {"n": records}}))
    with simulator(0) as crm:
        ran = target(crm, folder, "\n".join([*lines, ""]).encode())
        with urllib.request.urlopen(f"{crm.origin}/_bench/stats", timeout=60) as answer:  # noqa: S310  loopback
            held = json.load(answer)["contacts"]
    _judge(verdict, f"target, {records} records", ran, held, records)


def _judge(verdict: Verdict, case: str, ran: Ran, found: int, wanted: int) -> None:
    if ran.code or found != wanted:
        verdict.blame("lost", case, f"exit {ran.code}, {found} of {wanted}: {ran.errors[-500:]}")
    left = [*ran.left.get("threads", ["untold"]), *ran.left.get("handles", ["untold"])]
    if left:
        verdict.blame("other", case, f"left open: {left}")
    verdict.tried[f"{case}: seconds"] = round(ran.seconds)
    verdict.tried[f"{case}: memory, MB"] = ran.left.get("memory_mb", 0)
    verdict.tried[f"{case}: threads, sockets and files left open"] = len(left)


class SecondClient(threading.Thread):
    """Somebody else on the same limit, who knows nothing of ours: a request every few seconds."""

    def __init__(self, crm: Crm, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._url = f"{crm.url}/users"
        self._chance = chance
        self._ended = threading.Event()

    def run(self) -> None:
        """Ask until told to end."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
        while not self._ended.wait(self._chance.uniform(0, 2 * SECOND_CLIENT_EVERY_SECONDS)):
            request = urllib.request.Request(self._url, headers=headers)  # noqa: S310  loopback
            try:
                urllib.request.urlopen(request, timeout=60).close()  # noqa: S310  the same
            except urllib.error.HTTPError:
                continue

    def end(self) -> None:
        """End it."""
        self._ended.set()
        self.join()


def share_the_limit(crm: Crm, folder: Path, chance: random.Random, verdict: Verdict) -> None:
    """Create contacts at 90 a minute beside a second client: few requests may be refused, none inside a Retry-After."""
    text = {"type": ["string", "null"]}
    head = {
        "type": "SCHEMA",
        "stream": "contacts",
        "schema": {"type": "object", "properties": dict.fromkeys(("first_name", "email"), text)},
        "key_properties": ["email"],
    }
    people = [{"first_name": "L", "email": f"limit{n}@example.com"} for n in range(3 * LIMIT)]
    messages = [head, *({"type": "RECORD", "stream": "contacts", "record": person} for person in people)]
    lines = "".join(json.dumps(message) + "\n" for message in messages).encode()
    other = SecondClient(crm, chance)
    other.start()
    began = time.monotonic()
    ran = target(crm, folder, lines, max_retry_wait=120)
    other.end()
    log: list[dict[str, Any]] = crm.control("GET", "/__log")
    ours = [asked for asked in log if asked["path"] != "/users"]
    refused = [asked for asked in ours if asked["status"] == 429]
    share = len(refused) / len(ours)
    if ran.code or len(crm.rows()) < len(people):
        verdict.blame("lost", "shared limit", ran.errors[-500:])
    if share > MOST_REFUSED:
        verdict.blame("other", "shared limit", f"{len(refused)} of {len(ours)} requests were refused")
    verdict.tried["shared limit: our requests"] = len(ours)
    verdict.tried["shared limit: of the second client"] = len(log) - len(ours)
    verdict.tried["shared limit: ours answered 429"] = len(refused)
    verdict.tried["shared limit: seconds"] = round(time.monotonic() - began)
    early = _sent_too_early(ours)
    if early:
        verdict.blame("other", "shared limit", f"{early} requests inside a Retry-After")
    verdict.tried["shared limit: sent inside a Retry-After"] = early


def _sent_too_early(ours: list[dict[str, Any]]) -> int:
    """Requests that were refused more than a second after one before them was, with none taken in between."""
    early, refused_at = 0, None
    for asked in ours:
        if asked["status"] != 429:
            refused_at = None
            continue
        at = datetime.fromisoformat(asked["at"].replace("Z", "+00:00"))
        early += refused_at is not None and (at - refused_at).total_seconds() > 1
        refused_at = refused_at or at
    return early
