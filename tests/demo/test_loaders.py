"""Other loaders of meltano.yml keep every row, and the DuckDB example leads back into the CRM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MELTANO = ROOT / ".venv-meltano" / "bin" / "meltano"
PLUGINS = ("tap-appcrm", "target-appcrm", "tap-duckdb", "target-jsonl", "target-duckdb")

FIND = """
schema, = connection.execute(
    "select table_schema from information_schema.tables where table_name = 'contacts'").fetchone()
"""
COUNT = f"""
connection = duckdb.connect({{path!r}})
{FIND}
print(json.dumps(connection.execute(
    f"select count(*), count(distinct id), max(id) from {{{{schema}}}}.contacts").fetchone()))
"""
MODEL = f"""
connection = duckdb.connect({{raw!r}})
{FIND}
connection.execute("attach '{{path}}' as model")
connection.execute("create table model.main.contacts as select email, first_name, last_name, city, "
    f"now() as changed_at from {{{{schema}}}}.contacts where email is not null limit 20")
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """Meltano's folder for plugins and state, away from the checkout."""
    return tmp_path_factory.mktemp("meltano")


@pytest.fixture(scope="module")
def installed(system):
    meltano(system, {}, "install", *PLUGINS)
    return system


def meltano(system, settings, *arguments):
    done = subprocess.run(
        [str(MELTANO), *arguments],
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(("TAP_", "TARGET_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MELTANO_SYS_DIR_ROOT": str(system),
            "MELTANO_ENVIRONMENT": "prod",
            **settings,
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]


def address(plugin, sandbox):
    return {f"{plugin}_APPCRM_API_URL": sandbox.url, f"{plugin}_APPCRM_AUTH_TOKEN": sandbox.token}


def in_duckdb(system, program):
    """Run a program with the DuckDB that meltano.yml pins for its loader."""
    (python,) = system.glob("loaders/target-duckdb/venv/bin/python")
    return subprocess.run(
        [str(python), "-c", f"import duckdb, json\n{program}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_the_duckdb_loader_of_meltano_yml_keeps_every_row_and_leads_back_into_a_crm(
    installed, appcrm_sandbox_factory, tmp_path
):
    crm = appcrm_sandbox_factory(contacts=250)
    database = tmp_path / "warehouse.duckdb"
    loader = {"TARGET_DUCKDB_PATH": str(database), "TARGET_DUCKDB_DEFAULT_TARGET_SCHEMA": "raw"}
    meltano(installed, {**address("TAP", crm), **loader}, "run", "tap-appcrm", "target-duckdb")
    counted = in_duckdb(installed, COUNT.format(path=str(database)))
    ids = [contact["id"] for contact in crm.contacts()]
    assert json.loads(counted) == [len(ids), len(ids), max(ids)]

    model = tmp_path / "model.duckdb"
    in_duckdb(installed, MODEL.format(path=str(model), raw=str(database)))
    other = appcrm_sandbox_factory(contacts=0)
    back = {"TAP_DUCKDB_PATH": str(model), "TARGET_APPCRM_REJECTS_PATH": str(tmp_path / "rejects.jsonl")}
    meltano(installed, {**address("TARGET", other), **back}, "run", "tap-duckdb", "target-appcrm")
    assert len(other.contacts()) == 20


def test_the_jsonl_loader_keeps_every_row(installed, appcrm_sandbox_factory, tmp_path):
    crm = appcrm_sandbox_factory(contacts=120)
    settings = {**address("TAP", crm), "TARGET_JSONL_DESTINATION_PATH": str(tmp_path)}
    meltano(installed, settings, "run", "--full-refresh", "tap-appcrm", "target-jsonl")
    rows = [
        json.loads(line) for line in (tmp_path / "contacts.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert sorted(row["id"] for row in rows) == [contact["id"] for contact in crm.contacts()]
