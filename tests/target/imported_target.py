"""Runs target-appcrm in processes that begin with its modules imported: importing takes longer than most runs.

What the command itself does, from its first line on, test_command.py and the tests of signals see.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["target_appcrm.target"])


def run_imported(arguments, lines, folder, *, environment, timeout):
    """Run the target on lines, which come through a pipe; returns a CompletedProcess."""
    out, err = Path(folder, "stdout"), Path(folder, "stderr")
    reader, writer = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_main, args=(arguments, environment, reader, str(out), str(err)))
    process.start()
    reader.close()
    feeding = threading.Thread(target=_feed, args=(writer, lines), daemon=True)
    feeding.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        raise subprocess.TimeoutExpired(arguments, timeout, stderr=err.read_bytes())
    feeding.join(timeout)
    return subprocess.CompletedProcess(arguments, process.exitcode, out.read_bytes(), err.read_bytes())


def _feed(writer, lines):
    view = memoryview(lines)
    try:
        while view:
            view = view[os.write(writer.fileno(), view) :]
    except BrokenPipeError:
        pass  # the target ended early, which its exit code tells
    finally:
        writer.close()


def _main(arguments, environment, reader, out, err):
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(reader.fileno(), 0)
    reader.close()
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  the same
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115  the same
    sys.argv = ["target-appcrm", *arguments]
    from target_appcrm.target import TargetAppcrm  # noqa: PLC0415  imported before the fork

    TargetAppcrm.cli()
