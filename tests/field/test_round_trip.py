"""The hourly DAG for real: `airflow dags test` on Meltano, PostgreSQL and the sandbox."""

from __future__ import annotations

import uuid

import psycopg
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


def test_the_hourly_dag_moves_everything_once_tells_what_was_refused_and_then_moves_only_that(
    project_of, airflow_of, warehouse, sandbox, postgres, alerts
):
    warehouse.execute("CREATE DATABASE meltano")
    load_shop(warehouse)
    warehouse.execute("UPDATE shop.customers SET first_name = '' WHERE customer_id = 7")
    system = f"postgresql+psycopg://warehouse:any@127.0.0.1:{postgres.port}/meltano"
    project = project_of(
        **account(sandbox),
        MELTANO_DATABASE_URI=system,
        APPCRM_ALERT_WEBHOOK=alerts.address,
        TARGET_APPCRM_UNKNOWN_NAMES="create",
    )
    airflow = airflow_of(project)
    airflow.prepare(project)
    assert airflow.pools()["appcrm"] == 1

    state, tasks, said = airflow.test_dag(DAG, "2026-01-01T00:00:00+00:00")
    # The receipts come home although the task before them failed, and the run is red all the same.
    assert (state, tasks) == (
        "failed",
        {
            "tap-appcrm-target-postgres": ("success", 1),
            "model-build": ("success", 1),
            "tap-postgres-target-appcrm": ("failed", 1),
            "tap-receipts-target-postgres": ("success", 1),
        },
    ), said[-6000:]
    assert len(sandbox.contacts()) == 25 + CUSTOMERS - 1
    assert one(warehouse, "SELECT count(*) FROM appcrm.contacts") == (25,)
    assert one(warehouse, "SELECT count(*), count(contact_id) FROM report.customers") == (CUSTOMERS, 0)
    assert dict(
        warehouse.execute("SELECT operation, count(*) FROM appcrm.appcrm_receipts GROUP BY 1").fetchall()
    ) == {"create": CUSTOMERS - 1, "reject": 1}
    [rejects] = (project.root / "output").glob("rejects-*.singer.jsonl")
    [told] = alerts.texts
    assert "1 record was refused" in told
    assert rejects.name in told
    assert "astrid" not in told.lower()

    sandbox.reset_log()
    warehouse.execute(
        "UPDATE shop.customers SET first_name = 'Astrid', updated_at = clock_timestamp() WHERE customer_id = 7"
    )
    # What Meltano would install anew, a scheduled run leaves as it is.
    file = project.root / "meltano.yml"
    file.write_text(file.read_text(encoding="utf-8").replace(f"-e {ROOT}", f"-e {ROOT}/."), encoding="utf-8")
    state, tasks, said = airflow.test_dag(DAG, "2026-01-01T01:00:00+00:00")
    assert (state, set(tasks.values())) == ("success", {("success", 1)}), said[-6000:]
    assert "Installing" not in said

    assert len(sandbox.contacts()) == 25 + CUSTOMERS
    writes = [entry["operation"] for entry in sandbox.log() if entry["method"] != "GET"]
    assert writes == ["create"]
    loaded = 25 + CUSTOMERS - 1
    assert one(warehouse, "SELECT count(*), count(DISTINCT id) FROM appcrm.contacts") == (loaded, loaded)

    states, runs = system_tables(postgres)
    assert states == {
        "prod:tap-appcrm-to-target-postgres",
        "prod:tap-postgres-to-target-appcrm",
        "prod:tap-receipts-to-target-postgres",
    }
    assert len(runs) == 6
    assert len({uuid.UUID(str(run)) for run in runs}) == 6
    assert not (project.root / ".meltano" / "meltano.db").exists()


def system_tables(postgres):
    with psycopg.connect(postgres.dsn.replace("dbname=postgres", "dbname=meltano")) as connection:
        states = {row[0] for row in connection.execute("SELECT state_id FROM state")}
        return states, [row[0] for row in connection.execute("SELECT run_id FROM runs")]
