"""The SDK's private names: each that is used stands in the architecture page, and each that stands there exists."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
IMPORT = re.compile(r"^\s*from (singer_sdk[\w.]*) import ([\w, ]+)", re.MULTILINE)
NAMED = re.findall(r"^\| `(singer_sdk\.[\w.]+)` \|", PAGE, re.MULTILINE)


def found(path):
    """The object of a dotted path: a module as far as there is one, then attributes."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            value = inspect.getattr_static(value, name)
        return value
    raise AssertionError(path)


@pytest.mark.parametrize("path", NAMED)
def test_a_private_name_of_the_sdk_that_is_used_is_still_there(path):
    assert found(path) is not None


def test_the_table_is_read():
    assert len(NAMED) >= 10


@pytest.mark.parametrize(
    ("package", "files"),
    [("tap_appcrm", {"tap.py", "streams.py"}), ("target_appcrm", {"target.py", "sinks.py"})],
)
def test_every_private_import_stands_in_the_table_and_in_one_of_two_files(package, files):
    for path in (ROOT / package).rglob("*.py"):
        for module, names in IMPORT.findall(path.read_text(encoding="utf-8")):
            for name in names.split(", "):
                full = f"{module}.{name.strip()}"
                if "._" in full:
                    assert path.name in files, (path.name, full)
                    assert full in NAMED, full
