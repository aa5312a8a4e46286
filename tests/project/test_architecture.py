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


BOTTOM = {"id_set", "shrink_limit"}
"""Plain data of the tap that knows nothing of it."""
ROOMS = {
    "tap_appcrm": {
        "id_set": set(),
        "shrink_limit": set(),
        "state": BOTTOM,
        "settings": {"state", *BOTTOM},
        "source": {"settings"},
        "discovery": {"settings", "source"},
        "replication": {"source", "settings", "state", *BOTTOM},
        "output": {"replication", "source", "settings", "state", *BOTTOM},
        "command": {"source"},
        "input_files": {"command"},
        "streams": {"output", "replication", "source", "settings", "state", "discovery", "tap"},
        "tap": {
            "streams",
            "command",
            "input_files",
            "output",
            "replication",
            "source",
            "settings",
            "state",
            "discovery",
        },
        "cli": {"command", "tap"},
        "__main__": {"cli"},
    },
}
"""Room, or file beside the rooms, to those of the same package that it may import."""
CIRCLES_OF_THE_SDK = [
    {"tap_appcrm.streams", "tap_appcrm.tap"},
    {"target_appcrm.sinks", "target_appcrm.target"},
]
"""A tap makes its streams, and each of them knows its tap; so do target and sinks."""
CIRCLES_TO_BREAK = [
    {
        "target_appcrm.write.records_by_contact",
        "target_appcrm.report.rejects",
        "target_appcrm.report.open_rejects",
    }
]
"""For types alone."""


def modules_of(package):
    for path in (ROOT / package).rglob("*.py"):
        if path.stem != "__init__":
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imports_within(package):
    """Module to the modules of the same package that it imports, also those for types alone."""
    known = dict(modules_of(package))
    edges = {module: set() for module in known}
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                named = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
                edges[module] |= named & known.keys() - {module}
    return edges


def reached_from(edges, start):
    found, waiting = set(), [start]
    while waiting:
        for following in edges[waiting.pop()] - found:
            found.add(following)
            waiting.append(following)
    return found


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


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_rooms_that_it_may_know(package):
    rooms = ROOMS[package]
    edges = imports_within(package)
    assert {module.split(".")[1] for module in edges} == rooms.keys()
    wrong = {
        (module, imported)
        for module, others in edges.items()
        for imported in others
        if imported.split(".")[1] not in rooms[module.split(".")[1]] | {module.split(".")[1]}
    }
    assert wrong == set()


@pytest.mark.parametrize("package", sorted(OURS))
def test_modules_import_one_another_in_no_circle_but_the_sdks_own(package):
    edges = imports_within(package)
    reached = {module: reached_from(edges, module) for module in edges}
    circles = [
        {other for other in reached[module] if module in reached[other]}
        for module in edges
        if module in reached[module]
    ]
    known = [*CIRCLES_OF_THE_SDK, *CIRCLES_TO_BREAK]
    assert [circle for circle in circles if circle not in known] == []


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
