"""The sandbox is a stranger to the connectors, so that a wrong client and a wrong server cannot agree."""

import ast
import pathlib

import appcrm_sandbox

ROOT = pathlib.Path(appcrm_sandbox.__file__).parent
CONNECTORS = {"appcrm", "tap_appcrm", "target_appcrm", "singer_sdk", "meltano"}


def _imported(path):
    """Every top-level package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "appcrm_sandbox" if node.level else node.module.partition(".")[0]


def test_the_sandbox_imports_nothing_of_the_connectors():
    files = list(ROOT.rglob("*.py"))
    assert len(files) > 10
    assert {name for path in files for name in _imported(path)} & CONNECTORS == set()


def test_the_connectors_import_nothing_of_the_sandbox():
    folders = [ROOT.parent / name for name in CONNECTORS if (ROOT.parent / name).is_dir()]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(folders) == 3
    assert "appcrm_sandbox" not in {name for path in files for name in _imported(path)}
