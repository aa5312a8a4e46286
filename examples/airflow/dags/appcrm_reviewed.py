"""Warehouse -> CRM with a person between: plan, report, approval, and nothing written but what the plan holds."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, task
from meltano_project import Project, run_id
from meltano_run import MeltanoRun

BLOCK = os.environ.get("APPCRM_REVIEWED_BLOCK", "tap-postgres target-appcrm")
# An older plan is refused: target-appcrm's plan_max_age_hours.
MAX_AGE = timedelta(hours=24)
# Airflow keeps the report in its database; the whole plan, with everybody's values, stays in its file.
MAX_REPORT_SIGNS = 20_000

project = Project.from_environment(os.environ)
# The target's package brings the command, into the environment that Meltano made for the target.
REPORT = os.environ.get(
    "APPCRM_REPORT_EXECUTABLE", str(project.root / ".meltano/loaders/target-appcrm/venv/bin/appcrm-report")
)


def plan_path(dag_id: str, dag_run_id: str) -> str:
    """The file of one DAG run's plan."""
    return str(project.root / "output" / f"plan-{run_id(dag_id, dag_run_id)}.singer.jsonl")


@task(task_id="report")
def report(plan: str) -> str:
    """What the plan would do, as Markdown: counts and fields, nobody's values."""
    done = subprocess.run(  # noqa: S603  the target's own command
        [REPORT, "markdown", plan], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    cut = "" if len(done.stdout) <= MAX_REPORT_SIGNS else f"\n\nCut here; all of it is in {Path(plan).name}."
    return done.stdout[:MAX_REPORT_SIGNS] + cut


with DAG(
    dag_id="appcrm-reviewed-write",
    description=f"{BLOCK}: plan, report, approval, apply",
    # Started by hand; with a schedule, whoever approves finds a plan each morning.
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    user_defined_macros={"plan_path": plan_path},
    tags=["meltano"],
) as dag:
    plan_file = "{{ plan_path(dag.dag_id, run_id) }}"
    plan = MeltanoRun(
        task_id="plan",
        project=project,
        block=BLOCK,
        environment={"TARGET_APPCRM_DRY_RUN": "true", "TARGET_APPCRM_RECEIPTS_PATH": plan_file},
    )
    approve = ApprovalOperator(
        task_id="approve",
        subject="Write this plan to the CRM?",
        body="{{ ti.xcom_pull(task_ids='report') }}",
        # Whoever does not answer has not approved: the task fails, and nothing is written.
        response_timeout=MAX_AGE,
    )
    apply_ = MeltanoRun(
        task_id="apply", project=project, block=BLOCK, environment={"TARGET_APPCRM_PLAN_PATH": plan_file}
    )
    plan >> report(plan_file) >> approve >> apply_
