"""Which package may know which."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SINGER = {"singer_sdk", "meltano"}
OURS = {"appcrm", "tap_appcrm", "target_appcrm", "appcrm_report", "appcrm_sandbox"}
FORBIDDEN = {
    "appcrm": (OURS - {"appcrm"}) | SINGER,
    "tap_appcrm": {"target_appcrm", "appcrm_report", "appcrm_sandbox", "requests", "urllib3"},
    "target_appcrm": {"tap_appcrm", "appcrm_report", "appcrm_sandbox", "requests", "urllib3"},
    "appcrm_report": (OURS - {"appcrm", "appcrm_report"}) | SINGER | {"requests", "urllib3"},
    "appcrm_sandbox": (OURS - {"appcrm_sandbox"}) | SINGER | {"requests"},
}


def imported_by(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.partition(".")[0]


@pytest.mark.parametrize("package", sorted(OURS))
def test_a_package_imports_only_what_it_may_know(package):
    found = list(imported_by(package))
    assert found, f"{package} imports nothing, so nothing was checked"
    assert [(path.name, name) for path, name in found if name in FORBIDDEN[package]] == []


@pytest.mark.parametrize("package", sorted(OURS))
def test_importing_a_package_does_no_work(package):
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / package).rglob("*.py")
        if path.stem != "__main__"
    ]
    program = f"""
import importlib, socket
socket.socket.connect = None
for module in {modules!r}:
    importlib.import_module(module)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
