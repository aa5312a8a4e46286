"""`airflow standalone` on loopback: Meltano's schedule runs by itself, and a plan waits for its approval."""

from __future__ import annotations

import pytest
import yaml
from clusters import wait_until
from warehouse import load_shop

DAG = "hourly-crm-to-warehouse"
REVIEWED = "appcrm-reviewed-write"
CONTACTS, CUSTOMERS = 30, 59


@pytest.mark.field
@pytest.mark.timeout(1500)
def test_standalone_runs_the_schedule_by_itself_and_writes_what_was_approved_alone(
    project_of, airflow_of, warehouse, appcrm_sandbox_factory, tmp_path
):
    sandbox = appcrm_sandbox_factory(contacts=CONTACTS)
    secrets = tmp_path / "connections.yaml"
    secrets.write_text(
        yaml.safe_dump({"appcrm": {"conn_type": "generic", "password": sandbox.token}}), encoding="utf-8"
    )
    load_shop(warehouse)
    # Ten customers' companies are nobody's here: a name that the CRM does not have is left out.
    project = project_of(
        TAP_APPCRM_API_URL=sandbox.url,
        TARGET_APPCRM_API_URL=sandbox.url,
        TARGET_APPCRM_UNKNOWN_NAMES="skip",
        MELTANO_STATE_BACKEND_URI=f"file://{tmp_path / 'state'}",
    )
    file = project.root / "meltano.yml"
    hourly = file.read_text(encoding="utf-8")
    assert hourly.count("'@hourly'") == 1
    file.write_text(hourly.replace("'@hourly'", "'* * * * *'"), encoding="utf-8")
    airflow = airflow_of(
        project,
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
        AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS=f'{{"connections_file_path": "{secrets}"}}',
    )
    airflow.prepare(project)
    airflow.start("standalone", "standalone")

    wait_until(lambda: airflow.knows(DAG), 300, "the DAG")
    airflow.command("dags", "unpause", DAG, "--yes")

    def finished():
        return [
            run
            for run, state in airflow.runs(DAG).items()
            if run.startswith("scheduled") and state == "success"
        ]

    first = wait_until(finished, 800, "a scheduled run")[0]
    assert {state for state, _ in airflow.tasks(DAG, first).values()} == {"success"}
    loaded = warehouse.execute("SELECT count(*), count(DISTINCT id) FROM appcrm.contacts").fetchone()
    assert loaded == (CONTACTS, CONTACTS)
    assert list((tmp_path / "state").rglob("*.json"))
    airflow.call("PATCH", f"dags/{DAG}", {"is_paused": True})

    is_written_alone_what_was_approved(airflow, warehouse, sandbox)
    assert sandbox.token not in airflow.said("standalone")
    assert not [
        log for log in airflow.folder.rglob("*.log") if sandbox.token in log.read_text(errors="replace")
    ]


def is_written_alone_what_was_approved(airflow, warehouse, sandbox):
    wait_until(lambda: airflow.knows(REVIEWED), 300, "the DAG with the approval")
    airflow.call("PATCH", f"dags/{REVIEWED}", {"is_paused": False})
    run = airflow.call("POST", f"dags/{REVIEWED}/dagRuns", {"logical_date": None})["dag_run_id"]
    waits = wait_until(lambda: waiting(airflow, run), 600, "the question")
    assert "59" in waits["body"]
    assert "luisg@" not in waits["body"]
    assert len(sandbox.contacts()) == CONTACTS

    # Whoever approves saw neither of these.
    warehouse.execute("UPDATE shop.customers SET city = 'Elsewhere' WHERE customer_id = 1")
    warehouse.execute("UPDATE shop.customers SET email = 'new@example.com' WHERE customer_id = 2")
    answer = f"dags/{REVIEWED}/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"
    airflow.call("PATCH", answer, {"chosen_options": ["Approve"]})
    wait_until(lambda: airflow.runs(REVIEWED)[run] in {"success", "failed"}, 600, "the end of the run")

    assert airflow.tasks(REVIEWED, run)["apply"] == ("failed", 1)
    assert len(sandbox.contacts()) == CONTACTS + CUSTOMERS - 2
    for email in ("luisg@embraer.com.br", "leonekohler@surfeu.de", "new@example.com"):
        assert sandbox.find(email) is None


def waiting(airflow, run):
    """The question of the approval, once it is asked."""
    state, _ = airflow.tasks(REVIEWED, run).get("approve", (None, 0))
    assert airflow.runs(REVIEWED)[run] != "failed", airflow.tasks(REVIEWED, run)
    if state not in {"awaiting_input", "deferred"}:
        return None
    return airflow.call("GET", f"dags/{REVIEWED}/dagRuns/{run}/taskInstances/approve/-1/hitlDetails")
