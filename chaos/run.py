"""Runs what CHAOS names, at the sizes that it gives, and writes what was tried and what was wrong into the docs.

CHAOS="kills=20 faults=0.1 moving=200 writes=50 limit=1 load=1000000,100000" python chaos/run.py
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

from commands import FORKS
from faulty import fault_matrix
from judge import SINS, Verdict
from kills import TAP_CONTACTS, kill_mirrors, kill_taps, kill_targets
from load import LIMIT, load_tap, load_target, share_the_limit
from moving import moving_reads, moving_writes
from served_crm import sandbox

from appcrm.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos -->", "<!-- /chaos -->"
WHOLE = "kills=17 faults=1 moving=3500 writes=500 limit=1 load=1000000,100000"
"""200 moments each of tap and target take 17 turns of the kinds of each; moving counts for each stream."""
VERSIONS = ("1.1", "1.5", "1.6", "1.7")
STREAMS = ("contacts", "companies", "deals")


def play(part: str, size: str, seed: int, folder: Path) -> Verdict:
    """Run one part."""
    chance = random.Random(f"{part} {seed}")  # noqa: S311  not for secrets
    verdict = Verdict()

    def place(name: str) -> Path:
        made = folder / f"{part}-{name}"
        made.mkdir()
        return made

    if part == "kills":
        for name, kill, contacts in (
            ("taps", kill_taps, TAP_CONTACTS),
            ("targets", kill_targets, 20),
            ("mirrors", kill_mirrors, 0),
        ):
            at = place(name)
            with sandbox(at, contacts) as crm:
                kill(crm, at, int(size), chance, verdict)
    elif part == "faults":
        for app_version in VERSIONS:
            at = place(app_version)
            with sandbox(at, 60, app_version=app_version) as crm:
                fault_matrix(crm, at, float(size), chance, verdict, app_version)
    elif part == "moving":
        at = place("reads")
        with sandbox(at, 30) as crm:
            moving_reads(crm, at, int(size), chance, verdict, STREAMS)
    elif part == "writes":
        at = place("writes")
        with sandbox(at, 20) as crm:
            moving_writes(crm, at, int(size), chance, verdict)
    elif part == "limit":
        at = place("limit")
        with sandbox(at, 0, rate_limit=LIMIT) as crm:
            share_the_limit(crm, at, chance, verdict)
    elif part == "load":
        contacts, records = map(int, size.split(","))
        load_tap(place("tap"), contacts, verdict)
        load_target(place("target"), records, verdict)
    else:
        sys.exit(f"CHAOS names {part}; there are kills, faults, moving, writes, limit and load")
    return verdict


def table(parts: dict[str, tuple[str, Verdict, float]], seed: int) -> str:
    """Return what was tried as a page's table."""
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    sizes = '"' + " ".join(f"{part}={size}" for part, (size, _, _) in parts.items()) + '"'
    lines = [
        f"{today}, appcrm-connectors {VERSION}, Python {platform.python_version()}, seed {seed}, `CHAOS={sizes}`:",
        "",
        f"| part | tried | {' | '.join(SINS)} |",
        f"|---|---|{'---|' * len(SINS)}",
    ]
    for part, (_, verdict, _) in parts.items():
        for name, count in sorted(verdict.tried.items()):
            lines.append(f"| {part}: {name} | {count:,} |{' |' * len(SINS)}")
        wrong = " | ".join(str(verdict.wrong[sin]) for sin in SINS)
        lines.append(f"| **{part}: in all** | | {wrong} |")
    return "\n".join(lines)


def publish(text: str) -> None:
    """Put the table between its marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> int:
    """Run, print, publish; the exit code is 1 if anything was wrong."""
    wanted = dict(word.partition("=")[::2] for word in os.environ.get("CHAOS", WHOLE).split())
    seed = int(os.environ.get("SEED", "1"))
    print(f"CHAOS={wanted} SEED={seed}", flush=True)
    parts = {}
    with tempfile.TemporaryDirectory() as name:
        for part, size in wanted.items():
            began = time.monotonic()
            verdict = play(part, size, seed, Path(name))
            parts[part] = (size, verdict, time.monotonic() - began)
            seconds = time.monotonic() - began
            print(f"{part}: {seconds:.0f} s, {dict(verdict.tried)}, wrong: {dict(verdict.wrong)}", flush=True)
            for told in verdict.cases[:40]:
                print(f"  {told}", flush=True)
    if os.environ.get("PUBLISH", "1") != "0":
        publish(table(parts, seed))
    return 1 if any(verdict.wrong.total() for _, verdict, _ in parts.values()) else 0


if __name__ == "__main__":
    assert FORKS  # noqa: S101  its server begins here, before any thread
    sys.exit(main())
