"""The short form of `make chaos`, with a fixed seed: nothing is lost, doubled, stale or wrongly deleted."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "chaos"))

from faulty import fault_matrix
from judge import Verdict, Warehouse, judge_progress, judge_warehouse
from kills import kill_mirrors, kill_taps, kill_targets
from moving import moving_reads, moving_writes
from scenarios import DELETED, NEW, UPDATED, Writing
from served_crm import sandbox

pytestmark = pytest.mark.chaos


@pytest.fixture
def verdict():
    return Verdict()


def assert_nothing_wrong(verdict):
    assert verdict.tried
    assert not verdict.wrong, "\n".join(verdict.cases[:5])


@pytest.mark.parametrize(
    ("kill", "contacts"),
    [(kill_taps, 40), (kill_targets, 5), (kill_mirrors, 0)],
    ids=["tap", "target", "mirror"],
)
def test_ended_at_any_moment_and_run_again_all_is_there_once(tmp_path, verdict, kill, contacts):
    with sandbox(tmp_path, contacts) as crm:
        kill(crm, tmp_path, 1, random.Random(1), verdict)  # noqa: S311  not for secrets
    assert_nothing_wrong(verdict)


def test_faults_of_the_server_lose_and_double_nothing(tmp_path, verdict):
    with sandbox(tmp_path, 40) as crm:
        chance = random.Random(1)  # noqa: S311  the same
        fault_matrix(crm, tmp_path, 0.01, chance, verdict, "1.7", rates=(0.2,))
    assert_nothing_wrong(verdict)


def test_a_crm_that_moves_is_read_whole_and_keeps_what_people_write(tmp_path, verdict):
    chance = random.Random(1)  # noqa: S311  the same
    with sandbox(tmp_path, 20) as crm:
        moving_reads(crm, tmp_path, 2, chance, verdict, ("contacts", "companies"))
        moving_writes(crm, tmp_path, 1, chance, verdict)
    assert_nothing_wrong(verdict)


def test_the_judge_sees_what_is_lost_stale_undeleted_and_ahead(tmp_path, verdict):
    with sandbox(tmp_path, 4) as crm:
        warehouse = Warehouse()
        rows = [{**row, "updated_at": row["updated_at"]} for row in crm.rows().values()]
        state = {"bookmarks": {"contacts": {"replication_key_value": "2999-01-01T00:00:00Z"}}}
        records = [{"type": "RECORD", "stream": "contacts", "record": row} for row in rows]
        warehouse.load([*records, {"type": "STATE", "value": state}])
        judge_warehouse(verdict, "whole", warehouse, crm)
        assert not verdict.wrong
        del warehouse.rows[1]
        warehouse.rows[2] = {**warehouse.rows[2], "city": "elsewhere"}
        warehouse.rows[99] = rows[0]
        judge_warehouse(verdict, "spoilt", warehouse, crm)
        judge_progress(verdict, "spoilt", warehouse, crm, set())
        assert verdict.wrong == {"lost": 1, "stale": 1, "not deleted": 1, "bookmark ahead": 2}
        warehouse.load(
            [{"type": "RECORD", "stream": "contacts", "record": {"id": 3, "_sdc_deleted_at": "now"}}]
        )
        judge_progress(verdict, "spoilt", warehouse, crm, set())
        assert verdict.wrong["wrongly deleted"] == 1


def test_the_judge_sees_a_write_that_is_doubled_lost_or_stale(tmp_path, verdict):
    with sandbox(tmp_path, 0) as crm:
        writing = Writing(crm, "judged")
        writing.judge_end(verdict)
        assert verdict.wrong == {"stale": UPDATED, "lost": NEW, "not deleted": DELETED}
        (first, *_), stranger = crm.rows(), next(iter(writing.strangers))
        crm.mutate(set={str(first): {"email": writing.records[UPDATED]["email"]}}, delete=[stranger])
        writing.judge_end(verdict)
        assert (verdict.wrong["doubled"], verdict.wrong["wrongly deleted"]) == (1, 1)
