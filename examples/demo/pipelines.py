"""Runs Meltano as a user would, its files below `.demo/` and its words in a log file for each command."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
EXECUTABLE = PROJECT / ".venv-meltano" / "bin" / "meltano"
# Whoever has a real account in their shell must not see it used by a demo.
_FOREIGN = ("MELTANO", "TAP_", "TARGET_", "SINGER", "PG")
_LAST_LINES = 25
_STOP_SECONDS = 20


class PipelineError(RuntimeError):
    """Meltano ended with anything but 0."""


class Meltano:
    """The project's own meltano.yml, with its system folder and its state below `folder`."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._system = (folder / "meltano").resolve()
        self._logs = (folder / "logs").resolve()
        self._count = 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self._environment = {
            **kept,
            "PATH": f"{EXECUTABLE.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "NO_COLOR": "1",
            "MELTANO_SYS_DIR_ROOT": str(self._system),
            **settings,
        }

    def begin_anew(self) -> None:
        """Forget state and catalogs of earlier runs, but not the plugins that they installed."""
        shutil.rmtree(self._logs, ignore_errors=True)
        self._logs.mkdir(parents=True)
        for leftover in (*self._system.glob("meltano.db*"), self._system / "run"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)

    def install(self, plugins: list[str]) -> bool:
        """Install plugins, unless that was done from the same files; says whether it had to be done."""
        marker, installed = self._system / "installed", fingerprint()
        if marker.is_file() and marker.read_text(encoding="utf-8") == installed:
            return False
        self.command("install", *plugins)
        marker.write_text(installed, encoding="utf-8")
        return True

    def run(self, *plugins: str, **settings: str) -> float:
        """`meltano run PLUGINS` with further settings; returns its seconds, raises PipelineError."""
        began = time.monotonic()
        # Installed once, by install(); a run should not look again.
        self.command("run", "--no-install", *plugins, **settings)
        return time.monotonic() - began

    def command(self, *arguments: str, **settings: str) -> None:
        """One command of Meltano; raises PipelineError with its last lines."""
        self._count += 1
        log = self._logs / f"{self._count:02}-{'-'.join(arguments)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  the command that the Makefile installed
                [str(EXECUTABLE), *arguments],
                cwd=PROJECT,
                env=self._environment | settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                status = process.wait()
            except BaseException:
                _stop(process)
                raise
        if status:
            last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:])
            raise PipelineError(
                f"`meltano {' '.join(arguments)}` ended with {status}; all of it is in {log}\n{last}"
            )


def fingerprint() -> str:
    """Of the files that say what is to be installed."""
    files = [PROJECT / "meltano.yml", PROJECT / "pyproject.toml", PROJECT / "requirements-meltano.txt"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def own_command(name: str, *arguments: str, stdin: Path | None = None) -> None:
    """One command of this package, without settings of the shell; raises PipelineError with what it said."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    with contextlib.ExitStack() as files:
        done = subprocess.run(  # noqa: S603  this package's own commands
            [str(Path(sys.executable).parent / name), *arguments],
            env=environment,
            stdin=files.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise PipelineError(f"`{name}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a command together with the plugins that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
            return
