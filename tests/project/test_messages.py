"""docs/messages.md holds every sentence that a user can meet, and none that is gone.

Sentences are found in the code by its syntax: every text of four words and more that is neither a docstring nor the
description of a setting or flag. A row of the table stands for all that hold its text; `…` stands for whatever varies.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/messages.md", "docs/pt-BR/messages.md")
PACKAGES = ("appcrm", "tap_appcrm", "target_appcrm", "appcrm_report")
PAGES_FOR_PEOPLE = {"html.py", "markdown.py", "figures.py", "advice.py"}
"""Of the report: they write its pages, which explain themselves."""
OF_THE_SANDBOX = ("cli.py", "running.py", "server.py", "fault_rules.py", "settings.py", "background.py")
"""Of the sandbox, what its command says; what its API answers is the CRM's."""
NO_SENTENCE = re.compile(
    r"\s*(SELECT|INSERT|DELETE FROM|CREATE|PRAGMA|UPDATE)\b"  # SQL
    r"|^[^a-zA-Z]*$"  # only what varies
    r"|^examples:"  # a command's help
    r"|^(Skipping parse|Parsing env var)",  # of the SDK, left out of the log
)
DESCRIBES = {"description", "help", "title", "epilog", "usage"}

PARTS = {
    "(it does not know …)",
    ", and not while the trash holds its address",
    ", or names, or objects with one of them",
    "Tell what address, token and CRM are and can do, in a few requests; nothing is written.",
    "a chunk has the wrong size or place",
    "a field that was not sent",
    "a list with one filter for each value",
    "a number is too long",
    "a record of …",
    "a row without an id",
    "a search for each value",
    "a search for many values",
    "a signal ended the run",
    "about … left for these",
    "an id that no row can have",
    "an unknown number of contacts",
    "as fast as the CRM answers",
    "as they were; --contacts and --seed are for a new file",
    "brackets without their other half",
    "broken off, because the run ends",
    "does not say how many there are",
    "fields that the CRM does not empty",
    "fields that the CRM reads as 0 where they are empty",
    "for more than ten years",
    "ids that the CRM does not show",
    "it holds what is not deleted",
    "it is cut off, or unpacks to more than a set of ids needs",
    "it is not an object",
    "its key … has …, and this tap writes …",
    "its key … is damaged (…)",
    "its keys … are not of this tap",
    "its list of fields",
    "its replication_key is not …",
    "its replication_key_value is no timestamp",
    "its rows come in another order",
    "less than a minute",
    "line … of the input",
    "more ids than a CRM can have",
    "neither a count nor a share",
    "nested too deeply to be written",
    "no contact shows it",
    "not a set of ids",
    "of a version that it does not tell",
    "order by several fields",
    "query, search_fields or search_match changed",
    "records without a match key",
    "start_date changed while the first read was under way",
    "start_date is earlier than before",
    "the CRM's trash keeps them for 30 days",
    "the run was ended",
    "the target is not set up yet",
    "until is no timestamp",
    "with an HTML page",
    "with the newest contact it may …",
    "… at … a minute",
    "…, a … message,",
    "…, and not …",
    "…, the SCHEMA of …,",
    "…, … of them custom",
    "…; requests_per_minute lowers it to …",
}
"""Names, and parts of sentences that have a row: they stand behind a colon or in brackets there."""


class Sentences(ast.NodeVisitor):
    """Collects the texts of a module, with `…` for what varies."""

    def __init__(self):
        self.found = set()

    def visit(self, node):
        described = isinstance(node, ast.keyword) and node.arg in DESCRIBES
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not described and not docstring:
            super().visit(node)

    def visit_Dict(self, node):
        for key, value in zip(node.keys, node.values, strict=True):
            if not (isinstance(key, ast.Constant) and key.value in DESCRIBES):
                self.visit(value)

    def visit_JoinedStr(self, node):
        self.add("".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values))
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                self.visit(value.value)

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.add(node.value)

    def add(self, text):
        text = re.sub(r"%(?:\.\d+)?[sdf]|\{\w+(?::[^}]*)?\}", "…", text)
        text = " ".join(text.split())
        if text.count(" ") >= 3 and not NO_SENTENCE.search(text):
            self.found.add(text)


def said_by_the_code():
    files = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not (package == "appcrm_report" and path.name in PAGES_FOR_PEOPLE)
    ]
    files += [ROOT / "appcrm_sandbox" / name for name in OF_THE_SANDBOX]
    sentences = Sentences()
    for path in files:
        sentences.visit(ast.parse(path.read_text(encoding="utf-8")))
    return sentences.found


def rows(page):
    """Sentences of a page's tables."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \|.*\|.*\|$", text, re.MULTILINE)


def pattern(row):
    return re.compile(".*?".join(re.escape(part) for part in " ".join(row.split()).split("…")))


def test_every_sentence_of_the_code_stands_in_the_table():
    told = [pattern(row) for row in rows(PAGES[0])]
    said = said_by_the_code() - PARTS
    missing = sorted(text for text in said if not any(each.search(text) for each in told))
    assert missing == [], "\n".join(["not in docs/messages.md:", *missing])


def test_every_row_is_a_sentence_of_the_code():
    said = said_by_the_code()
    gone = [row for row in rows(PAGES[0]) if not any(pattern(row).search(text) for text in said)]
    gone += sorted(PARTS - said)
    assert gone == [], "\n".join(["no longer said:", *gone])


def test_a_row_is_no_net_that_catches_everything():
    assert [row for row in rows(PAGES[0]) if len(row.replace("…", "").strip()) < 7] == []


@pytest.mark.parametrize("page", PAGES[1:])
def test_the_other_language_explains_the_same_sentences(page):
    assert rows(page) == rows(PAGES[0])
