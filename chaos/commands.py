"""Runs tap and target, and ends them at a moment that is told by what the CRM is being asked.

Processes are forked from one that has imported the connectors: importing takes longer than most runs. What is forked
runs the command from its first line on, and is killed as any process is.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from served_crm import TOKEN, Crm

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["target_appcrm.cli", "tap_appcrm.cli"])
LONGEST_RUN_SECONDS = 900
LOOKS_EVERY_SECONDS = 0.01


@dataclass(frozen=True)
class Moment:
    """When a run is ended, and by what.

    Args:
        by: the signal.
        after_seconds: since the start, or since the rule fired.
        rule: a fault rule that holds a request back; the run is ended once it fired. None: by the clock alone.
    """

    by: signal.Signals
    after_seconds: float
    rule: dict[str, Any] | None = None


@dataclass
class Ran:
    """What a run left: whole messages of standard output, its exit code, standard error."""

    code: int
    messages: list[dict[str, Any]]
    errors: str
    seconds: float
    left: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> dict[str, Any] | None:
        """The last STATE that a loader would have stored."""
        states = [message["value"] for message in self.messages if message["type"] == "STATE"]
        return states[-1] if states else None


def tap(
    crm: Crm,
    folder: Path,
    catalog: dict[str, Any] | None,
    state: dict[str, Any] | None,
    moment: Moment | None = None,
    **settings: object,
) -> Ran:
    """Run the tap; without a catalog it discovers."""
    arguments = _config(folder, "tap", crm, settings)
    if catalog is None:
        arguments.append("--discover")
    else:
        (folder / "catalog.json").write_text(json.dumps(catalog))
        arguments += ["--catalog", str(folder / "catalog.json")]
    if state:
        (folder / "state.json").write_text(json.dumps(state))
        arguments += ["--state", str(folder / "state.json")]
    return _run("tap-appcrm", arguments, b"", crm, folder, moment)


def target(crm: Crm, folder: Path, lines: bytes, moment: Moment | None = None, **settings: object) -> Ran:
    """Run the target on Singer lines."""
    settings = {"rejects_path": str(folder / "rejects.singer.jsonl"), **settings}
    return _run("target-appcrm", _config(folder, "target", crm, settings), lines, crm, folder, moment)


def catalog_of(
    crm: Crm, folder: Path, *streams: str, method: str = "INCREMENTAL", **settings: object
) -> dict[str, Any]:
    """Discover, and select streams."""
    ran = tap(crm, folder, None, None, None, **settings)
    if ran.code:
        raise RuntimeError(ran.errors)
    # Discovery writes one document, which `messages` holds as it is.
    (catalog,) = ran.messages
    for entry in catalog["streams"]:
        entry["replication_method"] = method
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return catalog


def _config(folder: Path, name: str, crm: Crm, settings: dict[str, object]) -> list[str]:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"api_url": crm.url, "auth_token": TOKEN, "max_retry_wait": 1, **settings}))
    path.chmod(0o600)
    return ["--config", str(path)]


def _run(
    command: str, arguments: list[str], lines: bytes, crm: Crm, folder: Path, moment: Moment | None
) -> Ran:
    out, err, left = folder / "out", folder / "err", folder / "left.json"
    left.unlink(missing_ok=True)
    out.write_bytes(b"")
    err.write_bytes(b"")
    reader, writer = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_child, args=(command, arguments, reader, out, err, left))
    if moment and moment.rule:
        crm.faults(moment.rule)
    began = time.monotonic()
    process.start()
    reader.close()
    feeding = threading.Thread(target=_feed, args=(writer, lines), daemon=True)
    feeding.start()
    if moment is not None and process.pid is not None:
        if moment.rule is not None:
            _wait_until(lambda: crm.fired() > 0 or not process.is_alive())
        time.sleep(moment.after_seconds)
        if process.is_alive():
            os.kill(process.pid, moment.by)
    process.join(LONGEST_RUN_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        raise RuntimeError(f"{command} did not end: {err.read_text()[-2000:]}")
    feeding.join(60)
    if moment and moment.rule:
        crm.faults()
    body, _, _torn = out.read_bytes().rpartition(b"\n")
    messages = (
        [json.loads(out.read_bytes())]
        if "--discover" in arguments
        else [json.loads(line) for line in body.splitlines()]
    )
    if command == "target-appcrm":
        messages = [{"type": "STATE", "value": value} for value in messages]  # a target writes bare states
    code = process.exitcode if process.exitcode is not None else -1
    told = json.loads(left.read_text()) if left.exists() else {}
    return Ran(code, messages, err.read_text(errors="replace"), time.monotonic() - began, told)


def _wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_RUN_SECONDS
    while not holds() and time.monotonic() < until:
        time.sleep(LOOKS_EVERY_SECONDS)


def _feed(writer: Any, lines: bytes) -> None:  # noqa: ANN401  a connection, whose class differs by system
    view = memoryview(lines)
    try:
        while view:
            view = view[os.write(writer.fileno(), view) :]
    except BrokenPipeError:
        pass  # the target ended early, which its exit code tells
    finally:
        writer.close()


def _child(command: str, arguments: list[str], reader: Any, out: Path, err: Path, left: Path) -> None:  # noqa: ANN401  one process
    os.environ["LOGLEVEL"] = "INFO"
    os.dup2(reader.fileno(), 0)
    reader.close()
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  the same
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115  the same
    sys.argv = [command, *arguments]
    handles = _handles()
    try:
        if command == "tap-appcrm":
            from tap_appcrm.cli import main  # noqa: PLC0415  imported before the fork
        else:
            from target_appcrm.cli import main  # noqa: PLC0415  the same
        main()
    finally:
        _tell_what_is_left(left, handles)


def _handles() -> set[str]:
    """What this process has open: numbers and what stands behind them; that of the listing itself is gone by then."""
    links = ((handle.name, handle) for handle in Path("/proc/self/fd").iterdir())
    return {f"{number} {link.readlink()}" for number, link in links if link.is_symlink()}


def _tell_what_is_left(path: Path, handles: set[str]) -> None:
    import gc  # noqa: PLC0415  only for what is left
    import resource  # noqa: PLC0415  the same

    gc.collect()
    opened = sorted(_handles() - handles)
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = {"threads": threads, "handles": opened, "memory_mb": peak}
    path.write_text(json.dumps(told))
