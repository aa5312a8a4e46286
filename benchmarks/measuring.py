"""Runs one command against one simulator and says what it took: seconds, CPU, memory, requests, records."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = ROOT / ".cache" / "bench"
ENVIRONMENTS = ROOT / ".venv-bench"
PRODUCT = ROOT / ".venv" / "bin"
LONGEST_RUN_SECONDS = 3_600
QUIET_CORES = 0.25
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """One tool doing one job.

    Args:
        name: in tables.
        command: with ``{address}``, ``{folder}`` (of the simulator), ``{source}`` (Singer input) and ``{contacts}``.
        in_flight: requests at most at a time, as the tool is set up; None where nothing is asked for.
        environment: variables beside the usual ones.
        counts_itself: whether it prints ``COUNT n`` instead of Singer or Airbyte records.
        prepare: a command to run beforehand, unmeasured.
        home: whether the simulator's folder is the tool's home and working folder.
    """

    name: str
    command: tuple[str, ...]
    in_flight: int | None = 1
    environment: dict[str, str] = field(default_factory=dict)
    counts_itself: bool = False
    prepare: tuple[str, ...] = ()
    home: bool = False


@dataclass
class Measurement:
    """What one run took; ``error`` is the end of standard error where it failed."""

    case: str
    in_flight: int | None
    records: int
    seconds: float
    cpu_seconds: float
    memory_mb: float
    requests: int
    calls: dict[str, int]
    most_in_flight: int
    connections: int
    simulator_cpu_seconds: float
    other_cores: float
    error: str = ""

    def dump(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class Simulator:
    """A simulator in a process of its own, with a folder for the files of those that talk to it."""

    def __init__(self, process: subprocess.Popen[str], port: int, folder: Path) -> None:
        self._process = process
        self._port = port
        self.folder = folder
        self.address = f"http://127.0.0.1:{port}/api"

    def control(self, call: str) -> dict[str, Any]:
        """Send a call of the benchmark's own, such as ``reset``; return what was counted."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/_bench/{call}", timeout=120) as response:
            content: dict[str, Any] = json.load(response)
        return content

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def simulator(
    contacts: int, latency_ms: float, name: str = "0", *, rate_limit: int | None = None
) -> Iterator[Simulator]:
    """Start a simulator and write the files that the tools need to talk to it."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [ENVIRONMENTS / "limit" / "bin" / "python", HERE / "simulator.py"]
    options = ["--contacts", str(contacts), "--latency-ms", str(latency_ms)]
    options += ["--rate-limit", str(rate_limit)] if rate_limit else []
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101  as was asked for
    running = Simulator(process, int(process.stdout.readline()), folder)
    try:
        (folder / "config.json").write_text(json.dumps({"api_url": running.address, "auth_token": "token"}))
        peers = [str(ENVIRONMENTS / "limit" / "bin" / "python"), str(HERE / "peers" / "airbyte_files.py")]
        subprocess.run([*peers, str(folder), running.address, str(contacts)], check=True)
        with (folder / "catalog.json").open("w") as catalog, (folder / "discovery.log").open("w") as log:
            discover = [str(PRODUCT / "tap-appcrm"), "--config", str(folder / "config.json"), "--discover"]
            subprocess.run(discover, check=True, stdout=catalog, stderr=log)
        yield running
    finally:
        running.close()


def machine_seconds() -> float:
    """Return the CPU seconds that the whole machine has used."""
    with Path("/proc/stat").open() as file:
        ticks = [int(part) for part in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS


def wait_for_quiet(patience_seconds: float) -> None:
    """Wait until little else runs on the machine, but no longer than so many seconds."""
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        used, began = machine_seconds(), time.monotonic()
        time.sleep(0.2)
        if (machine_seconds() - used) / (time.monotonic() - began) < QUIET_CORES:
            return


def usual_environment() -> dict[str, str]:
    """Return the environment without settings of Python's own: unbuffered output alone costs a script half its speed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def measure(
    case: Case, crm: Simulator, *, source: Path | None = None, expected: int | None = None, fresh: bool = True
) -> Measurement:
    """Run a case once.

    Args:
        case: the tool and its job.
        crm: what it talks to.
        source: Singer input for a target.
        expected: records that must come out, or contacts that must have been created; None for any.
        fresh: whether the simulator goes back to its beginning and the tool begins with an empty folder.
    """
    words = {"address": crm.address, "folder": str(crm.folder), "source": str(source or "")}
    folder = crm.folder / "run"
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        crm.control("reset")
    folder.mkdir(exist_ok=True)
    if case.prepare:
        subprocess.run([part.format(**words) for part in case.prepare], check=True)
    before = crm.control("stats")
    environment = {**usual_environment(), **case.environment, "DO_NOT_TRACK": "1"}
    if case.home:
        environment["HOME"] = str(crm.folder)
    machine_before = machine_seconds()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err, _opened(source) as given:
        began = time.perf_counter()
        process = subprocess.Popen(
            [part.format(**words) for part in case.command],
            stdin=given,
            stdout=out,
            stderr=err,
            env=environment,
            cwd=crm.folder if case.home else folder,
            start_new_session=True,
        )
        guard = threading.Timer(LONGEST_RUN_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        guard.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        guard.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    machine = machine_seconds() - machine_before
    after = crm.control("stats")
    calls = {name: count - before["calls"].get(name, 0) for name, count in after["calls"].items()}
    cpu = usage.ru_utime + usage.ru_stime
    own_cpu = after["cpu_seconds"] - before["cpu_seconds"]
    records = (
        after["created"] - before["created"]
        if source
        else _records(folder / "out", itself=case.counts_itself)
    )
    result = Measurement(
        case=case.name,
        in_flight=case.in_flight,
        records=records,
        seconds=round(seconds, 4),
        cpu_seconds=round(cpu, 4),
        memory_mb=round(usage.ru_maxrss / 1024, 1),
        requests=after["requests"] - before["requests"],
        calls={name: count for name, count in calls.items() if count},
        most_in_flight=after["most_in_flight"],
        connections=after["connections"],
        simulator_cpu_seconds=round(own_cpu, 4),
        other_cores=round(max(0.0, (machine - cpu - own_cpu) / max(seconds, 0.05)), 2),
    )
    if process.returncode or (expected is not None and records != expected):
        tail = (folder / "err").read_bytes()[-600:].decode(errors="replace")
        result.error = f"exit code {process.returncode}, {records} of {expected}: {tail}"
    return result


@contextmanager
def _opened(source: Path | None) -> Iterator[Any]:
    if source is None:
        yield subprocess.DEVNULL
        return
    with source.open("rb") as file:
        yield file


def _records(path: Path, *, itself: bool) -> int:
    """Count the records that came out; a contact that came twice counts against the run.

    Bit by bit, because the harness's own size would be counted as that of the tools that it starts.
    """
    count, seen = 0, bytearray()
    with path.open("rb") as lines:
        for line in lines:
            if itself:
                count = int(line.split()[-1]) if line.startswith(b"COUNT") else count
            elif b'"RECORD"' in line[:200] or b'"type":"RECORD"' in line:
                number = int(line.partition(b'"id":')[2].lstrip().partition(b",")[0])
                if number >= len(seen):
                    seen.extend(bytes(max(number + 1 - len(seen), 100_000)))
                count += 1 if not seen[number] else -1
                seen[number] = 1
    return count
