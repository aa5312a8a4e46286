"""What the Airflow example decides, on plain data."""

from __future__ import annotations

import json
import subprocess
import uuid
from dataclasses import replace

import pytest
from clusters import AIRFLOW
from meltano_command import MELTANO, ROOT, own_environment
from meltano_project import (
    Project,
    ProjectError,
    Summary,
    Tenant,
    Verdict,
    account_of,
    gist,
    judge,
    parse_schedules,
    pools,
    reads_receipts,
    run_id,
    schedules,
    task_id,
    tenants,
    writes_to_crm,
)

from appcrm.receipts import Run, as_record, encode_line, no_counts

FAILED_LOADER = ["... [info ] target-appcrm  summary", "... [error    ] meltano      Loader failed"]


TOO_MANY = "3 records were refused, more than max_rejects allows"
TOO_BIG = "stopped before 5 deletes; max_deletes allows 4"


@pytest.mark.parametrize(
    ("exit_code", "output", "rejected", "error", "verdict"),
    [
        (0, [], 0, None, Verdict.DONE),
        (0, [], 3, None, Verdict.DONE_WITH_REJECTS),
        (1, FAILED_LOADER, 3, TOO_MANY, Verdict.STOPPED),
        (1, FAILED_LOADER, 0, TOO_BIG, Verdict.STOPPED),
        (1, FAILED_LOADER, 3, "401: check auth_token", Verdict.RETRY),
        (1, ["... [error    ] meltano      Extractor failed"], 3, None, Verdict.RETRY),
        (1, ["... [error    ] meltano      Extractor and loader failed"], 3, TOO_MANY, Verdict.RETRY),
        (143, [], 3, "Signal received", Verdict.RETRY),
    ],
)
def test_only_a_limit_that_a_loader_passed_alone_makes_a_retry_pointless(
    exit_code, output, rejected, error, verdict
):
    assert judge(exit_code, output, Summary("r", rejected, error)) is verdict


@pytest.mark.parametrize(
    ("exit_code", "output", "verdict"),
    [(0, [], Verdict.DONE), (1, FAILED_LOADER, Verdict.RETRY), (-9, [], Verdict.RETRY)],
)
def test_a_run_whose_target_says_nothing_of_itself_is_judged_by_its_exit_code(exit_code, output, verdict):
    assert judge(exit_code, output, None) is verdict


def test_the_summary_is_what_the_target_itself_writes(tmp_path):
    path = tmp_path / "summary.json"
    assert Summary.read(path) is None
    run = Run("r1", "2026-06-01T08:00:00.000000Z", "https://acme.example/api", error=TOO_MANY)
    path.write_bytes(encode_line(as_record(replace(run, counts={**no_counts(), "reject": 1}))))
    assert Summary.read(path) == Summary("r1", 1, TOO_MANY)
    assert Summary.read(path).refusals.startswith("1 record was refused by run r1")


@pytest.mark.parametrize(
    ("block", "account"),
    [
        ("tap-appcrm target-postgres", ""),
        ("tap-postgres target-appcrm", ""),
        ("tap-appcrm--acme target-postgres--tenants", "acme"),
        ("tap-postgres mapper target-appcrm--acme", "acme"),
        ("tap-appcrm--acme target-appcrm--acme", "acme"),
        ("model:build", None),
        ("tap-receipts target-postgres", None),
        ("tap-appcrmish target-postgres", None),
    ],
)
def test_a_block_belongs_to_the_account_that_its_plugins_name(block, account):
    assert account_of(block) == account


def test_a_block_on_two_accounts_is_refused_because_no_pool_could_hold_it_back():
    with pytest.raises(ProjectError, match="two blocks"):
        account_of("tap-appcrm--acme target-appcrm--globex")


def test_each_account_has_one_slot():
    made = pools(["", "acme", "acme"])
    assert {name: pool["slots"] for name, pool in made.items()} == {"appcrm": 1, "appcrm_acme": 1}


def test_a_run_has_the_same_id_in_every_try_and_no_other_run_has_it():
    first = run_id("dag", "scheduled__2026-01-01", "task")
    assert first == run_id("dag", "scheduled__2026-01-01", "task")
    assert first != run_id("dag", "scheduled__2026-01-02", "task")
    assert uuid.UUID(first).version == 5


def test_a_retry_comes_after_meltano_has_let_go_of_a_killed_run(tmp_path):
    """The constants of both, each read from the program that it belongs to."""
    lock = printed(
        MELTANO, "from meltano.core.job.job import HEARTBEAT_VALID_MINUTES as m; print(m * 60)", tmp_path
    )
    dags = ROOT / "examples" / "airflow" / "dags"
    delay = printed(
        AIRFLOW,
        f"import sys; sys.path.insert(0, {str(dags)!r}); import meltano_run;"
        " print(int(meltano_run.RETRY_DELAY.total_seconds()))",
        tmp_path,
    )
    assert lock < delay < 2 * lock


def printed(command, program, folder):
    done = subprocess.run(
        [str(command.with_name("python")), "-c", program],
        env=own_environment() | {"AIRFLOW_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return int(done.stdout.splitlines()[-1])


def test_only_blocks_that_load_into_the_crm_tell_of_their_runs_and_only_receipts_run_after_a_failure():
    assert writes_to_crm("tap-postgres target-appcrm")
    assert writes_to_crm("tap-postgres target-appcrm--acme")
    assert not writes_to_crm("tap-appcrm target-postgres")
    assert reads_receipts("tap-receipts target-postgres")
    assert not reads_receipts("tap-postgres target-appcrm")


def test_task_names_are_what_airflow_takes():
    assert task_id("tap-appcrm--acme target-postgres") == "tap-appcrm--acme-target-postgres"
    assert task_id("model:build") == "model-build"


def test_an_alert_holds_the_errors_and_not_what_came_between():
    lines = [
        *(f"line {number}" for number in range(20)),
        "t [error    ] tap-appcrm Check auth_token",
        "t [info ] done",
    ]
    assert gist(lines) == "t [error    ] tap-appcrm Check auth_token"
    assert gist(["a", "b"]) == "a\nb"


def test_a_schedule_carries_its_blocks_and_its_environment():
    listed = {
        "schedules": {
            "job": [
                {
                    "name": "nightly",
                    "interval": "@daily",
                    "cron_interval": "0 0 * * *",
                    "env": {"TAP_APPCRM_DETECT_DELETES": True},
                    "job": {"name": "j", "tasks": ["tap-appcrm target-postgres", "model:build"]},
                }
            ],
            "elt": [],
        }
    }
    [schedule] = parse_schedules(listed)
    assert schedule.cron == "0 0 * * *"
    assert schedule.blocks == ("tap-appcrm target-postgres", "model:build")
    assert schedule.environment == {"TAP_APPCRM_DETECT_DELETES": "True"}


@pytest.fixture
def project(tmp_path):
    """A project whose Meltano is a script that counts how often it is asked."""
    (tmp_path / "meltano.yml").write_text("include_paths: ['./*.meltano.yml']\n", encoding="utf-8")
    (tmp_path / "tenants.meltano.yml").write_text(
        "plugins:\n  extractors:\n  - {name: tap-appcrm--b}\n  - {name: tap-other}\n"
        "  - {name: tap-appcrm--a, annotations: {airflow: {group: nightly}}}\n",
        encoding="utf-8",
    )
    answer = json.dumps({"schedules": {"job": [], "elt": []}})
    script = tmp_path / "meltano"
    script.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\necho '{answer}'\n", encoding="utf-8")
    script.chmod(0o755)
    return Project(tmp_path, str(script))


def asked(project):
    return len((project.root / "asked").read_text(encoding="utf-8").splitlines())


def test_meltano_is_asked_for_its_schedules_once_for_each_state_of_its_files(project):
    schedules(project)
    schedules(project)
    assert asked(project) == 1
    with (project.root / "tenants.meltano.yml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    schedules(project)
    assert asked(project) == 2


def test_the_tenants_file_is_what_meltano_itself_reads(project):
    assert tenants(project) == [Tenant("a", "nightly"), Tenant("b", "hourly")]


def test_a_missing_project_folder_is_named_with_what_to_set(tmp_path):
    with pytest.raises(ProjectError, match="MELTANO_PROJECT_ROOT"):
        Project.from_environment({"MELTANO_PROJECT_ROOT": str(tmp_path)})
