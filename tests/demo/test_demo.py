"""The main job, as `make demo` runs it: what its table says is what happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo" / "run.py"


def play(folder):
    done = subprocess.run(
        [
            sys.executable,
            str(DEMO),
            "--folder",
            str(folder / "files"),
            "--report",
            str(folder / "report.json"),
        ],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (folder / "said").write_text(done.stdout, encoding="utf-8")


@pytest.fixture(scope="module")
def told(once):
    """The demo, run once: its report, and what it printed."""
    before = (ROOT / "meltano.yml").read_bytes()
    folder = once("demo", play)
    assert (ROOT / "meltano.yml").read_bytes() == before, "Meltano rewrote meltano.yml"
    return (
        json.loads((folder / "report.json").read_text(encoding="utf-8")),
        (folder / "said").read_text(encoding="utf-8"),
    )


@pytest.fixture(scope="module")
def steps(told):
    return {int(step["name"].partition(" ")[0]): step for step in told[0]["steps"]}


def test_both_sides_hold_the_same_59_people(told):
    assert told[0]["holds"] is True
    assert "59 people in the model, 59 in the CRM by its own API, 59 in the table loaded back" in told[1]
    assert "\n0 differences" in told[1]


def test_it_says_why_a_second_run_reads_one_row_more_than_changed(told, steps):
    assert "so steps 3 and 4 each read one row more than had changed" in told[1]
    assert [steps[step]["rows"] for step in (3, 4)] == [2 + 1, 4 + 1]


def test_the_first_run_creates_each_person_once_in_little_more_than_a_request_each(steps):
    assert steps[1]["operations"] == {"create": 59}
    assert steps[1]["requests"] <= 59 + 3


def test_the_first_read_takes_a_page_and_what_discovery_samples(steps):
    assert steps[2]["rows"] == 59
    assert steps[2]["requests"] <= 3


def test_the_second_runs_move_only_what_changed(steps):
    assert steps[3]["operations"]["update"] == 2
    assert steps[3]["rows"] <= 3
    assert steps[3]["requests"] <= 5
    assert steps[4]["rows"] <= 6
    assert steps[4]["requests"] <= 3


def test_the_receipts_arrive_in_the_warehouse(steps):
    assert steps[5]["rows"] == steps[1]["rows"] + steps[3]["rows"]
