"""What README and docs tell a reader to type does what they say."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
sys.path.insert(0, str(ROOT / "tests"))

from documented_blocks import DOCUMENTS, blocks, type_in, with_account  # noqa: E402  lies above this folder

HERE = "tests/project/test_documented_commands.py"
INSTALLS = "tests/demo/test_documented_installs.py"
MELTANO = "tests/demo/test_documented_pipelines.py"
LOOK = "tests/report/test_look_before_you_write.py"
MAKE = "runs this very test suite; the demo has tests of its own in tests/demo"
READMES = ("README.md", "README.pt-BR.md")
TUTORIALS = ("docs/tutorial.md", "docs/pt-BR/tutorial.md")

RUN_BY = {
    **{
        (name, n): test
        for name in READMES
        for n, test in enumerate(
            (MAKE, INSTALLS, INSTALLS, INSTALLS, INSTALLS, MELTANO, MELTANO, HERE, HERE, HERE)
        )
    },
    **{(name, n): HERE for name in TUTORIALS for n in range(8)},
    **{("docs/look-before-you-write.md", n): LOOK for n in range(9)},
    **{("docs/operations.md", n): MELTANO for n in range(4)},
    ("examples/receipts/README.md", 0): MELTANO,
    ("examples/duckdb/README.md", 0): MELTANO,
    ("docs/airflow.md", 0): "a whole Airflow; tests/field runs what it sets up",
    ("docs/sandbox.md", 0): "a server in the foreground; the first hour starts it in the background",
    ("docs/schedulers.md", 0): "a script for cron, whose command the pipelines' tests type",
    ("CONTRIBUTING.md", 0): MAKE,
    ("CONTRIBUTING.md", 1): MAKE,
}
"""Document and number of its block to the test that types it, or to the reason why none does."""


def without_comments(text):
    return [re.sub(r"\s+# .*", "", line) for line in text.splitlines()]


@pytest.mark.parametrize(("english", "portuguese"), [READMES, TUTORIALS])
def test_both_languages_have_the_same_sections_and_commands(english, portuguese):
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in (english, portuguese)]
    depths = [
        re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE) for text in texts
    ]
    assert depths[0] == depths[1]
    typed = [[without_comments(block.text) for block in blocks(name)] for name in (english, portuguese)]
    assert typed[0] == typed[1]


def test_both_readmes_have_the_same_settings_with_the_same_defaults():
    words = {"obrigatório": "required", "obrigatório, secreto": "required, secret", "nenhum": "none"}
    rows = [
        re.findall(r"^\| (`\w+`) \| ([^|]*) \|", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        for name in READMES
    ]
    own = [(name, words.get(default, default)) for name, default in rows[1]]
    assert [row for row in own if row[0] != "`user_agent`"] == [
        row for row in rows[0] if row[0] != "`user_agent`"
    ]


def environment():
    """Of somebody who has installed the connectors and set nothing."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("TAP_", "TARGET_", "APPCRM"))
    }
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def test_every_block_is_run_by_a_test_or_says_why_not():
    there = {(name, n): block for name in DOCUMENTS for n, block in enumerate(blocks(name))}
    assert set(RUN_BY) == set(there)
    tests = {test for test in RUN_BY.values() if test.startswith("tests/")}
    assert {test for test in tests if not (ROOT / test).is_file()} == set()


def test_a_block_that_no_test_runs_is_marked_as_such_in_its_document():
    marked = {
        (name, n)
        for name in DOCUMENTS
        for n, block in enumerate(blocks(name))
        if block.mark.startswith("not run")
    }
    assert marked == {place for place, test in RUN_BY.items() if not test.startswith("tests/")}


@pytest.mark.parametrize("document", READMES)
def test_the_commands_without_meltano_copy_each_contact_once_however_often_they_are_typed(
    document, appcrm_sandbox_factory, tmp_path
):
    source, copy = appcrm_sandbox_factory(contacts=30), appcrm_sandbox_factory(contacts=0)
    *_, first, look, nightly = (with_account(block.text, source, copy) for block in blocks(document))
    type_in(first + look, tmp_path, environment())
    assert copy.contacts() == []
    assert (tmp_path / "plan.html").is_file()
    type_in(nightly, tmp_path, environment())
    with_address = [row["email"] for row in source.contacts() if row["email"]]
    assert len(with_address) < 30
    assert sorted(row["email"] for row in copy.contacts()) == sorted(with_address)
    type_in(nightly, tmp_path, environment())
    assert len(copy.contacts()) == len(with_address)
    assert copy.counts()["operations"]["create"] == len(with_address)
    told = json.loads((tmp_path / "state.json").read_text())["bookmarks"]["contacts"]["replication_key_value"]
    assert told == max(row["updated_at"] for row in source.contacts())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("document", TUTORIALS)
def test_the_first_hour_runs_from_top_to_bottom(document, tmp_path):
    typed = "".join(block.text for block in blocks(document)).replace("8765", str(free_port()))
    said = type_in(typed, tmp_path, environment())
    assert "2 records: 2 create" in said
    assert "2 records: 2 unchanged" in said
    assert "2 records: 2 delete" in said
    assert (tmp_path / "plan.html").is_file()
    assert (tmp_path / "night.html").is_file()
