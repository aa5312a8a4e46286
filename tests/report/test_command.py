"""The command: bad input is one sentence, exit codes, help, and the tap's receipts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from receipt_files import AT, a_run, many, receipt, write_runs

TAP = {
    "stream": "contacts", "mode": "incremental", "started_at": AT, "ended_at": AT, "requests": 3, "records": 120,
    "distinct_ids": 120, "total": 120, "complete": True, "repaired": 2, "bookmark_before": None, "bookmark_after": AT,
}  # fmt: skip
COMMANDS = [["html", "-o", "out.html"], ["markdown"], ["undo", "-o", "out"]]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written_files():
    return sorted(path.name for path in Path().rglob("*") if path.name != "in.jsonl")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"hello\n", "line 1 is broken"),
        (b"\x00\xff" * 100, "line 1 is broken"),
        (b'{"type":"RECORD","stream":"contacts","record":{}}\n', "'contacts'"),
        (b'{"type":"RECORD","stream":"appcrm_receipts","record":{"operation":"update"}}\n', "older version"),
        (json.dumps({**TAP, "complete": "yes"}).encode(), "no receipt"),
        (b"[" * 100_000 + b"\n", "broken"),
    ],
    ids=["missing", "empty", "text", "bytes", "foreign", "old", "odd tap", "deep"],
)
def test_a_file_that_cannot_be_used_is_one_sentence_and_nothing_is_written(report, command, content, word):
    if content is not None:
        Path("in.jsonl").write_bytes(content)
    code, said, complaint = report(command[0], "in.jsonl", *command[1:])
    assert (code, said, written_files()) == (1, "", [])
    assert complaint.startswith("appcrm-report: in.jsonl")
    assert word in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("change", ["edit", "cut", "swap"])
def test_an_edited_cut_or_reordered_run_is_refused(report, command, change):
    path = write_runs(
        Path("in.jsonl"), (a_run(), [receipt("update", n, changes={"city": ["a", "b"]}) for n in (1, 2)])
    )
    lines = path.read_bytes().splitlines(keepends=True)
    if change == "edit":
        lines[3] = lines[3].replace(b'"b"', b'"c"')
    elif change == "cut":
        del lines[3]
    else:
        lines[3], lines[4] = lines[4], lines[3]
    path.write_bytes(b"".join(lines))
    code, said, complaint = report(command[0], "in.jsonl", *command[1:])
    assert (code, said, written_files()) == (1, "", [])
    assert "does not fit its seal" in complaint


def test_receipts_of_the_tap_are_shown_by_both(report):
    Path("tap.json").write_text(
        json.dumps(TAP) + "\n" + json.dumps({**TAP, "stream": "deals", "complete": False})
    )
    assert report("html", "tap.json", "-o", "out.html")[0] == 0
    page = Path("out.html").read_text(encoding="utf-8")
    assert "What was read on 2026-06-01" in page
    assert "120 (2 repaired)" in page
    assert "NOT COMPLETE" in page
    code, said, _ = report("markdown", "tap.json")
    assert code == 0
    assert "| `deals` | incremental | **no** | 120 of 120 |" in said
    code, _, complaint = report("undo", "tap.json", "-o", "out")
    assert (code, "changes nothing" in complaint) == (1, True)


def test_a_run_that_is_not_there_is_named_with_those_that_are(report):
    write_runs(Path("in.jsonl"), (a_run("a"), []), (a_run("b"), []))
    for command in COMMANDS:
        code, _, complaint = report(command[0], "in.jsonl", "--run", "z", *command[1:])
        assert code == 1
        assert "a, b" in complaint


@pytest.mark.parametrize("place", ["link", "folder"])
def test_a_page_never_replaces_what_it_should_not(report, place):
    write_runs(Path("in.jsonl"), (a_run(), []))
    Path("folder").mkdir()
    Path("victim").write_text("safe")
    Path("link").symlink_to("victim")
    code, _, complaint = report("html", "in.jsonl", "-o", place)
    assert (code, complaint.count("\n")) == (1, 1)
    assert Path("victim").read_text() == "safe"


def test_help_shows_examples_and_exit_codes():
    for arguments in (["--help"], ["html", "--help"], ["markdown", "--help"], ["undo", "--help"]):
        done = subprocess.run([_command(), *arguments], capture_output=True, text=True, check=True)
        assert done.stderr == ""
    done = subprocess.run([_command(), "--help"], capture_output=True, text=True, check=True)
    assert "appcrm-report html plan.singer.jsonl -o plan.html" in done.stdout
    assert "Exit code 0" in done.stdout


def test_wrong_usage_ends_with_2():
    for arguments in ([], ["html"], ["html", "x"], ["frobnicate"]):
        done = subprocess.run([_command(), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly():
    write_runs(Path("in.jsonl"), (a_run(), list(many(3000))))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{_command()} markdown --values in.jsonl | head -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("## Run of")
    assert done.stderr == ""


def test_unchanged_records_are_not_held_in_memory():
    """The page of a night that changed little costs what it shows, not what the file holds."""
    write_runs(Path("in.jsonl"), (a_run(), [receipt("unchanged", n) for n in range(60_000)]))
    program = (
        "from appcrm_report.cli import main; main(['html', 'in.jsonl', '-o', 'out.html']);"
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert Path("in.jsonl").stat().st_size > 15_000_000
    assert int(done.stdout.split()[-1]) < 80_000


def _command():
    return str(Path(sys.executable).parent / "appcrm-report")
