"""The hourly DAG for real: `airflow dags test` on Meltano, PostgreSQL and the sandbox."""

from __future__ import annotations

import uuid

import pytest
from meltano_command import ROOT
from warehouse import load_shop

# Each of a DAG's tasks starts four programs, and every one of them loads for seconds; on a busy machine, for many.
pytestmark = pytest.mark.timeout(1500)

DAG = "hourly-crm-round-trip"
CUSTOMERS = 59  # in examples/data/chinook_customers.csv


def account(sandbox):
    """Settings of both connectors for one sandbox, the token left to the Airflow connection `appcrm`."""
    return {
        "TAP_APPCRM_API_URL": sandbox.url,
        "TARGET_APPCRM_API_URL": sandbox.url,
        "AIRFLOW_CONN_APPCRM": f'{{"conn_type": "generic", "password": "{sandbox.token}"}}',
    }


def one(connection, query):
    return connection.execute(query).fetchone()


@pytest.fixture
def sandbox(appcrm_sandbox_factory):
    return appcrm_sandbox_factory(contacts=25)


def test_the_hourly_dag_moves_everything_once_and_then_nothing(
    project_of, airflow_of, warehouse, sandbox, postgres
):
    warehouse.execute("CREATE DATABASE meltano")
    load_shop(warehouse)
    system = f"postgresql+psycopg://warehouse:any@127.0.0.1:{postgres.port}/meltano"
    project = project_of(**account(sandbox), MELTANO_DATABASE_URI=system)
    airflow = airflow_of(project)
    airflow.prepare(project)

    assert airflow.pools()["appcrm"] == 1
    state, tasks, said = airflow.test_dag(DAG, "2026-01-01T00:00:00+00:00")
    assert (state, set(tasks.values())) == ("success", {("success", 1)}), said[-6000:]

    assert len(sandbox.contacts()) == 25 + CUSTOMERS
    assert one(warehouse, "SELECT count(*) FROM appcrm.contacts") == (25,)
    assert one(warehouse, "SELECT count(*), count(contact_id) FROM report.customers") == (CUSTOMERS, 0)
    assert dict(
        warehouse.execute("SELECT operation, count(*) FROM appcrm.appcrm_receipts GROUP BY 1").fetchall()
    ) == {"create": CUSTOMERS}

    sandbox.reset_log()
    # What Meltano would install anew, a scheduled run leaves as it is.
    file = project.root / "meltano.yml"
    file.write_text(file.read_text(encoding="utf-8").replace(f"-e {ROOT}", f"-e {ROOT}/."), encoding="utf-8")
    state, tasks, said = airflow.test_dag(DAG, "2026-01-01T01:00:00+00:00")
    assert (state, set(tasks.values())) == ("success", {("success", 1)}), said[-6000:]
    assert "Installing" not in said

    assert one(warehouse, "SELECT count(*), count(DISTINCT id) FROM appcrm.contacts") == (84, 84)
    assert one(warehouse, "SELECT count(*), count(contact_id) FROM report.customers") == (
        CUSTOMERS,
        CUSTOMERS,
    )
    assert {entry["method"] for entry in sandbox.log()} == {"GET"}

    states, runs = system_tables(postgres)
    assert states == {
        "prod:tap-appcrm-to-target-postgres",
        "prod:tap-postgres-to-target-appcrm",
        "prod:tap-receipts-to-target-postgres",
    }
    named = {uuid.UUID(str(one)) for one in runs}
    assert len(runs) == 6
    assert len(named) == 6
    assert not (project.root / ".meltano" / "meltano.db").exists()


def system_tables(postgres):
    import psycopg  # noqa: PLC0415  needed here alone

    with psycopg.connect(postgres.dsn.replace("dbname=postgres", "dbname=meltano")) as connection:
        states = {row[0] for row in connection.execute("SELECT state_id FROM state")}
        return states, [row[0] for row in connection.execute("SELECT run_id FROM runs")]


def test_refused_records_are_told_at_once_and_not_tried_again(
    project_of, airflow_of, warehouse, sandbox, alerts
):
    load_shop(warehouse)
    warehouse.execute("UPDATE shop.customers SET first_name = '' WHERE customer_id = 7")
    project = project_of(
        **account(sandbox),
        MELTANO_STATE_BACKEND_URI=f"file://{project_state(sandbox)}",
        APPCRM_ALERT_WEBHOOK=alerts.address,
    )
    airflow = airflow_of(project)
    airflow.prepare(project)

    state, tasks, said = airflow.test_dag(DAG, "2026-01-01T00:00:00+00:00")

    assert (state, tasks) == (
        "failed",
        {
            "tap-appcrm-target-postgres": ("success", 1),
            "model-build": ("success", 1),
            "tap-postgres-target-appcrm": ("failed", 1),
            "tap-receipts-target-postgres": ("success", 1),
        },
    ), said[-6000:]
    [told] = alerts.texts
    assert "1 records were refused" in told
    [rejects] = (project.root / "output").glob("rejects-*.singer.jsonl")
    assert rejects.name in told
    assert '"customer_id"' not in told
    assert len(sandbox.contacts()) == 25 + CUSTOMERS - 1
    # The receipts come home although the task before them failed, and the run is red all the same.
    assert one(
        warehouse, "SELECT count(*), count(reason) FROM appcrm.appcrm_receipts WHERE operation = 'reject'"
    ) == (1, 1)
    assert list(project_state(sandbox).rglob("*.json"))


def project_state(sandbox):
    return sandbox.database.parent / "state"
