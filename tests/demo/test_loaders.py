"""The DuckDB loader of meltano.yml keeps every row, and the DuckDB example leads back into the CRM."""

from __future__ import annotations

import json
import subprocess

import pytest

MAKE_MODEL = """
connection.execute("attach '{model}' as model")
connection.execute('''
    create table model.main.contacts as
    select email, first_name, [{{'number': '+55 11 ' || id, 'type': 'work'}}] as phones, ['duck'] as tags,
        1.5 as cf_lifetime_value, timestamp '2026-01-01' + to_minutes(id::bigint) as changed_at
    from appcrm.contacts where email is not null order by id limit 20''')
"""
CHANGE_MODEL = """
connection.execute("update contacts set first_name = 'Ana', changed_at = timestamp '2027-01-01' "
    "where email = (select min(email) from contacts)")
"""


def counted(in_duckdb, database, table, column):
    query = f"select count(*), count(distinct {column}) from {table}"
    return in_duckdb(database, f"print(json.dumps(connection.execute({query!r}).fetchone()))")


def test_the_duckdb_loader_of_meltano_yml_keeps_every_row_and_leads_back_into_a_crm(
    meltano, address, appcrm_sandbox_factory, in_duckdb, tmp_path
):
    crm, other = appcrm_sandbox_factory(contacts=250), appcrm_sandbox_factory(contacts=0)
    database, model = tmp_path / "warehouse.duckdb", tmp_path / "model.duckdb"
    meltano("run", "tap-appcrm", "target-duckdb", **address("TAP", crm), TARGET_DUCKDB_PATH=str(database))
    assert counted(in_duckdb, database, "appcrm.contacts", "id") == [len(crm.contacts())] * 2

    in_duckdb(database, MAKE_MODEL.format(model=model))
    back = {
        **address("TARGET", other),
        "TAP_DUCKDB_PATH": str(model),
        "TARGET_APPCRM_REJECTS_PATH": str(tmp_path / "rejects.jsonl"),
        "TARGET_APPCRM_RECEIPTS_PATH": str(tmp_path / "receipts.jsonl"),
    }
    meltano("run", "tap-duckdb", "target-appcrm", **back)
    assert len(other.contacts()) == 20
    contact = other.contacts()[0]
    assert contact["tags"] == ["duck"]
    assert float(contact["cf_lifetime_value"]) == 1.5
    assert contact["phones"][0]["number"].startswith("+55 11 ")

    in_duckdb(model, CHANGE_MODEL)
    other.reset_log()
    meltano("run", "tap-duckdb", "target-appcrm", **back)
    assert other.counts()["operations"].get("update") == 1
    assert "create" not in other.counts()["operations"]


@pytest.mark.parametrize("rows", [1, 2, 250])
def test_the_duckdb_loader_keeps_rows_that_are_all_text_in_every_batch(plugins, in_duckdb, tmp_path, rows):
    columns = {name: {"type": ["string", "null"]} for name in ("id", "name", "email")}
    lines = [
        {"type": "SCHEMA", "stream": "people", "schema": {"properties": columns}, "key_properties": ["id"]}
    ]
    lines += [
        {
            "type": "RECORD",
            "stream": "people",
            "record": {"id": f"k{n}", "name": f"Name {n}", "email": "a@b.c"},
        }
        for n in range(rows)
    ]
    database, config = tmp_path / "people.duckdb", tmp_path / "config.json"
    config.write_text(
        json.dumps({"path": str(database), "default_target_schema": "main", "batch_size_rows": 100})
    )
    subprocess.run(
        [
            str(plugins / "loaders" / "target-duckdb" / "venv" / "bin" / "target-duckdb"),
            "--config",
            str(config),
        ],
        input="\n".join(map(json.dumps, lines)),
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert counted(in_duckdb, database, "people", "id") == [rows, rows]
