"""A DAG for each schedule of the Meltano project; its tasks are the blocks of the schedule's job, one after another."""

from __future__ import annotations

import os
from datetime import datetime, timezone

from airflow.sdk import DAG
from meltano_project import Project, reads_receipts, schedules
from meltano_run import MeltanoRun

project = Project.from_environment(os.environ)

for schedule in schedules(project):
    with DAG(
        dag_id=schedule.name,
        description=f"Meltano: {' -> '.join(schedule.blocks)}",
        schedule=schedule.cron,
        start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
        # One run reads all that is new since the last, so missed hours need no runs of their own.
        catchup=False,
        max_active_runs=1,
        tags=["meltano"],
    ) as dag:
        before = None
        for block in schedule.blocks:
            task = MeltanoRun(project=project, block=block, environment=schedule.environment)
            if before is not None:
                before >> task
                if reads_receipts(block):
                    # Runs after a failure too, and the task before it decides whether the run is green.
                    task.as_teardown()
            before = task
    globals()[dag.dag_id] = dag
