"""Markdown for a merge request: nobody's data unless it is asked for, and no value that becomes markup."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from receipt_files import a_run, receipt, write_runs

from appcrm_report.advice import advice_for
from appcrm_report.markdown import code

SECRETS = ("Iracema", "iracema@secret.example", "+55 81 3333-1111", "Rua da Aurora")


@pytest.fixture
def markdown_of(tmp_path, report):
    def make(*runs, options=()):
        exit_code, said, complaint = report("markdown", write_runs(tmp_path / "in.jsonl", *runs), *options)
        assert (exit_code, complaint) == (0, "")
        return said

    return make


def a_night():
    key = {"email": SECRETS[1]}
    changes = {"first_name": [SECRETS[0], "Iara"], "street": [SECRETS[3], None]}
    return [
        receipt("delete", 5, key=key, changes={"phones": [[{"number": SECRETS[2], "type": "work"}], None]}),
        receipt("update", 7, key=key, changes=changes),
        receipt("create", 8, key=key, changes={"email": [None, SECRETS[1]]}),
        receipt("skipped", key=key, reason=f"{SECRETS[1]} is gone", cause="contact is gone"),
        receipt("reject", key=key, reason=f"email: {SECRETS[1]} taken", cause="status 422 on email"),
    ]


def test_values_keys_and_reasons_are_hidden_unless_asked_for(markdown_of):
    text = markdown_of((a_run(planned=True, requests=95), a_night()))
    assert [secret for secret in SECRETS if secret in text] == []
    assert "1 to delete, 1 to create, 1 to update" in text
    assert "| 7 | `i…a@s…t.e…e` | `first_name`, `street` |" in text
    assert "about 2 minutes at 90 a minute" in text
    assert "status 422 on email" in text
    assert "Another contact holds this address" in text
    shown = markdown_of(options=["--values"])
    assert [secret for secret in SECRETS if secret not in shown] == []
    assert "`first_name`: `Iracema` → `Iara`<br>`street`: `Rua da Aurora` → *empty*" in shown


def test_deletes_stand_first_and_open(markdown_of):
    text = markdown_of((a_run(planned=True), a_night()))
    titles = re.findall(r"<details( open)?><summary>(.*?)</summary>", text)
    assert titles == [(" open", "1 to delete"), ("", "1 to create"), ("", "1 to update")]


def test_of_many_rows_the_rest_is_counted(markdown_of):
    text = markdown_of((a_run(), [receipt("update", n, changes={"city": ["a", "b"]}) for n in range(75)]))
    assert text.count("`city` |") == 50
    assert "25 more are not shown." in text
    assert "Fields updated: `city` 75" in text


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.text(alphabet=st.sampled_from("`|\\<>*_[]()#!@&~-\n\r\t a1é\u202e\ud800"), max_size=12)
    | st.text(max_size=140)
)
def test_any_value_stays_one_code_span_in_one_cell(text):
    shown = code(text)
    assert "\n" not in shown
    assert "\r" not in shown
    if not shown:
        return
    fence = re.match(r"`+", shown)[0]
    inside = shown[len(fence) : -len(fence)]
    assert shown.endswith(fence)
    assert not re.search(rf"(?<!`){fence}(?!`)", inside)
    # Every bar is escaped, and no backslash escapes the one that does so.
    assert not re.search(r"(?<!\\)\||\\\\\|", inside)


def test_a_hostile_run_cannot_break_out_of_its_cells(markdown_of):
    hostile = "|x|\n# title <script> `code` @everyone [l](http://evil.example) | "
    row = receipt("update", 1, key={"email": hostile}, changes={hostile: [hostile, hostile]}, reason=hostile)
    text = markdown_of(
        (a_run(hostile, error=hostile), [row, receipt("reject", cause=hostile)]), options=["--values"]
    )
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert "evil" not in outside.replace("\\", "").replace("http://evil.example", "", 1)
    assert re.search(r"(?<!\\)<script", outside) is None
    assert [line for line in text.splitlines() if line.startswith("# ")] == []


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("not in the plan", "new plan"),
        ("changed since the plan", "their change was kept"),
        ("max_deletes", "raise max_deletes"),
        ("outcome unknown", "by hand"),
        ("more than one contact matches email, id", "Merge them"),
        ("its e-mail address belongs to another contact", "trash"),
        ("status 422 on phones", "phones.number"),
        ("status 422 on cf_score", "does not take a value"),
        ("update refused with status 403", "permission"),
        ("its stream map fails on it (ZeroDivisionError)", "Mend stream_maps"),
        ("its stream goes nowhere", "alias it"),
        ("_sdc_deleted_at is neither a moment nor true, false or null", "not of its field's kind"),
        ("a value that no CRM can hold", "not of its field's kind"),
        ("its contact carries another key in cf_key", "Two source records mean one contact"),
        ("email is no address", "so it was not sent"),
        ("something new", "Read the reason"),
    ],
)
def test_every_cause_has_its_advice(cause, words):
    assert words in advice_for(cause)
