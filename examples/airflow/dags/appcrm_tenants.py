"""CRM -> warehouse for many AppCRM accounts: one DAG a group of the tenants file, one task and one pool an account.

A loop and not `expand`: the instances of a mapped task share one pool, and here each account has its own.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone

from airflow.sdk import DAG
from meltano_project import Project, tenants
from meltano_run import MeltanoRun

# The groups that `annotations: {airflow: {group: …}}` in the tenants file may name. A large account whose first load
# takes hours belongs in `first-load` until it is done, so that nobody's hour waits for it.
GROUPS = {"hourly": "@hourly", "nightly": "0 3 * * *", "first-load": "@once"}

# As many tasks as the workers have room for. Airflow takes one that waits in Celery's queue for ten minutes for stuck,
# and fails it the third time; a task beyond this number waits in the scheduler, for as long as it takes.
AT_ONCE = int(os.environ.get("APPCRM_TENANTS_AT_ONCE", "16"))

project = Project.from_environment(os.environ)
everyone = tenants(project)

for group, interval in GROUPS.items():
    members = [tenant for tenant in everyone if tenant.group == group]
    if not members:
        continue
    with DAG(
        dag_id=f"appcrm-tenants-{group}",
        description=f"CRM -> warehouse for {len(members)} accounts",
        schedule=interval,
        start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=min(len(members), AT_ONCE),
        tags=["meltano", "appcrm-tenants"],
    ) as dag:
        for tenant in members:
            MeltanoRun(project=project, block=tenant.block, task_id=tenant.account)
    globals()[dag.dag_id] = dag

unknown = {tenant.account: tenant.group for tenant in everyone if tenant.group not in GROUPS}
if unknown:
    raise ValueError(
        f"Groups that GROUPS does not name, by account: {unknown}. Add them there or mend the tenants file."
    )
