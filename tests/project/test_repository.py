"""What a stranger sees of the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAYS_NOTHING = re.compile(r"(^|/)(utils?|helpers?|common|misc)(\.py$|/)")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work|opt)/[\w-]+")
NAMES_A_REGISTRY = re.compile(
    r"\b(?:pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org)\b"
)


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607  git is wherever the user has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def texts():
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8")


def test_every_file_name_says_what_the_file_is_for():
    assert [path for path in tracked() if SAYS_NOTHING.search(path.relative_to(ROOT).as_posix())] == []


def test_no_file_names_a_machine_path_or_a_registry_host():
    found = [
        (name, hit.group())
        for name, text in texts()
        if name != "tests/project/test_repository.py"
        for hit in [*MACHINE_PATH.finditer(text), *NAMES_A_REGISTRY.finditer(text)]
    ]
    assert found == []


def test_every_lint_exception_in_the_code_has_its_reason_beside_it():
    exception = re.compile(r"#\s*(?:noqa|type:\s*ignore).*")
    explained = re.compile(r"# (?:noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*  \S|type: ignore\[[\w, -]+\]  # \S)")
    bare = [
        (name, hit.group())
        for name, text in texts()
        if name.endswith(".py") and name != "tests/project/test_repository.py"
        for hit in exception.finditer(text)
        if not explained.match(hit.group())
    ]
    assert bare == []


def test_documents_link_only_to_files_that_exist():
    link = re.compile(r"\]\((?!https?:|#|mailto:)(?P<target>[^)#\s]+)")
    broken = [
        (name, hit["target"])
        for name, text in texts()
        if name.endswith(".md")
        for hit in link.finditer(text)
        if not (ROOT / name).parent.joinpath(hit["target"]).exists()
    ]
    assert broken == []
