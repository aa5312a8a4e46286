"""`airflow standalone` on loopback runs what Meltano's schedule says, when it says so."""

from __future__ import annotations

import pytest
import yaml
from clusters import wait_until

DAG = "hourly-crm-to-warehouse"


@pytest.mark.field
@pytest.mark.timeout(1500)
def test_standalone_runs_the_schedule_by_itself(
    project_of, airflow_of, warehouse, appcrm_sandbox_factory, tmp_path
):
    sandbox = appcrm_sandbox_factory(contacts=30)
    secrets = tmp_path / "connections.yaml"
    secrets.write_text(
        yaml.safe_dump({"appcrm": {"conn_type": "generic", "password": sandbox.token}}), encoding="utf-8"
    )
    project = project_of(TAP_APPCRM_API_URL=sandbox.url)
    file = project.root / "meltano.yml"
    hourly = file.read_text(encoding="utf-8")
    assert hourly.count("'@hourly'") == 1
    file.write_text(hourly.replace("'@hourly'", "'* * * * *'"), encoding="utf-8")
    airflow = airflow_of(
        project,
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
    assert loaded == (30, 30)
    assert sandbox.token not in airflow.said("standalone")
    assert not [
        log for log in airflow.folder.rglob("*.log") if sandbox.token in log.read_text(errors="replace")
    ]
