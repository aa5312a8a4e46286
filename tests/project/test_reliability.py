"""The pages on reliability and threats are held to the tests that they name."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
THREATS = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def names_of_tests():
    return {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"^\s*def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def threats():
    table = THREATS.partition("| from | could |")[2].partition("\n\n")[0]
    return [line for line in table.splitlines()[2:] if line.startswith("|")]


def test_every_line_of_the_threat_model_names_tests_that_exist():
    known = names_of_tests()
    lines = threats()
    assert {"token", "files", "logs", "input", "server", "proxy", "dependencies"} <= {
        line.split("|")[1].strip() for line in lines
    }
    for line in lines:
        named = re.findall(r"`(test_\w+)`", line)
        assert named, line
        assert set(named) <= known, line


def test_the_parts_of_chaos_are_those_that_the_page_tells():
    told = re.findall(r"^\| `(\w+)=", RELIABILITY, re.MULTILINE)
    script = (ROOT / "chaos" / "run.py").read_text(encoding="utf-8")
    assert told == re.findall(r'part == "(\w+)"', script)


def test_every_version_that_is_installed_is_pinned():
    for path in ROOT.glob("requirements-*.txt"):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"\w", line)]
        assert lines, path
        assert all("==" in line for line in lines), path
