"""Meltano's command as tests run it: without the settings of whoever runs them, and installing nothing by itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MELTANO = ROOT / ".venv-meltano" / "bin" / "meltano"
# Whoever has an account of their own in their shell must not see it used by a test.
FOREIGN = ("MELTANO", "TAP_", "TARGET_", "SINGER", "PG", "AIRFLOW", "APPCRM")


def own_environment(**settings):
    """The environment of a test's processes: the path with Meltano on it, and nothing that sets up a connector."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(FOREIGN)}
    path = f"{MELTANO.parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "NO_COLOR": "1", **settings}


def run_meltano(folder, environment, command, *arguments, stdin=None, seconds=400):
    """Run one command in a project's folder; the finished process, whatever its status."""
    # Meltano 4.4 ignores MELTANO_AUTO_INSTALL=false, and a run that installs plugins is none of a test's.
    options = ["--no-install"] if command in {"run", "invoke"} else []
    return subprocess.run(
        [str(MELTANO), command, *options, *arguments],
        cwd=folder,
        env=environment,
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
