"""The main job, as `make demo` runs it: what its table says is what happened."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from meltano_plugins import link_plugins
from pipelines import fingerprint

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo" / "run.py"


def play(folder):
    system = folder / "files" / "meltano"
    link_plugins(system)
    (system / "installed").write_text(fingerprint(), encoding="utf-8")
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


PAGES = 4 + 3  # contacts, companies, deals and users; the first three have lists of fields
LOOK_UPS = 3 + 10  # contacts, fields, users, and a company in each search for a name


def test_a_plan_writes_nothing_and_is_applied_in_a_request_a_person(steps):
    assert steps[1]["operations"] == steps[2]["operations"] == {"create": 59}
    assert steps[1]["requests"] <= LOOK_UPS
    assert steps[2]["requests"] <= 59 + LOOK_UPS


def test_the_page_of_the_plan_lies_where_it_says(told):
    [line] = [line for line in told[1].splitlines() if "in a browser" in line]
    assert "<title>" in Path(line.rpartition(": ")[2].rstrip(".")).read_text(encoding="utf-8")


def test_a_mistake_is_undone_so_that_the_right_rows_find_nothing_to_do(steps):
    assert steps[3]["operations"]["update"] == 5
    assert steps[4]["operations"] == {"update": 5}
    assert steps[6]["operations"] == {"update": 2, "unchanged": 5}


def test_the_first_read_takes_a_page_of_each_stream_and_what_discovery_asks(steps):
    assert steps[5]["operations"]["contacts"] == 59
    assert steps[5]["requests"] <= PAGES


def test_the_second_runs_move_only_what_changed(steps):
    assert steps[6]["rows"] == 2 + 5
    assert steps[6]["requests"] <= 2 + 5
    assert steps[7]["operations"]["contacts"] <= 4 + 1
    assert steps[7]["requests"] <= PAGES


def test_the_receipts_arrive_in_the_warehouse(steps):
    written = sum(steps[step]["rows"] for step in (2, 3, 4, 6))
    assert steps[8]["operations"] == {"receipts": written, "runs": 4}


def test_it_ends_with_contacts_companies_deals_and_owners_by_their_names(told):
    row = next(
        line.split("  ")
        for line in told[1].splitlines()
        if "A stage for Woodstock" in line and line[0] == " "
    )
    cells = [cell.strip() for cell in row if cell.strip()]
    assert cells == ["Eduardo Martins", "Woodstock Discos", "A stage for Woodstock", "Bruno Lima"]


def test_nothing_that_it_prints_is_wider_than_a_screen(told):
    assert max(len(line) for line in told[1].splitlines() if line.startswith("  ")) <= 120
