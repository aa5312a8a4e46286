"""The blocks of README, docs and examples that need Meltano, typed as they stand on real warehouses."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from documented_blocks import ROOT, blocks, type_in, with_account
from meltano_command import own_environment

BIN = Path(sys.executable).parent
MODEL = """
CREATE SCHEMA model;
CREATE TABLE model.contacts (email text PRIMARY KEY, first_name text, changed_at timestamp);
INSERT INTO model.contacts VALUES ('ana@example.com', 'Ana', now()), ('caio@example.com', 'Caio', now());
"""


@pytest.fixture
def project(plugins, postgres, tmp_path):
    """`project(text)` types into a shell in a copy of the repository's project, whose warehouse is a PostgreSQL."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "meltano.yml", folder)
    (folder / "output").mkdir()
    system = tmp_path / "meltano"
    system.mkdir()
    for kind in ("extractors", "loaders"):
        (system / kind).symlink_to(plugins / kind)
    with postgres.connect() as connection:
        connection.execute(MODEL)
    warehouse = {
        f"{plugin}_POSTGRES_{name}": value
        for plugin in ("TAP", "TARGET")
        for name, value in {
            "HOST": "127.0.0.1",
            "PORT": str(postgres.port),
            "USER": "warehouse",
            "PASSWORD": "any",
            "DATABASE": "postgres",
        }.items()
    }
    environment = own_environment(MELTANO_SYS_DIR_ROOT=str(system), MELTANO_ENVIRONMENT="prod", **warehouse)
    environment["PATH"] = f"{environment['PATH']}{os.pathsep}{BIN}"

    def typed(text, **more):
        # Meltano 4.4 ignores MELTANO_AUTO_INSTALL=false, and a run that installs plugins is none of a test's.
        text = re.sub(r"\bmeltano (run|invoke|config test) ", r"meltano \1 --no-install ", text)
        return type_in(text, folder, environment | more)

    typed.folder = folder
    return typed


@pytest.fixture
def account(address, appcrm_sandbox):
    return address("TAP", appcrm_sandbox) | address("TARGET", appcrm_sandbox)


@pytest.mark.parametrize("document", ["README.md", "README.pt-BR.md"])
def test_the_readme_reads_into_the_warehouse_and_writes_what_was_planned(
    document, project, postgres, appcrm_sandbox
):
    there, back = blocks(document)[5:7]
    before = len(appcrm_sandbox.contacts())
    project(with_account(there.text + back.text, appcrm_sandbox))
    with postgres.connect() as connection:
        [count] = connection.execute("SELECT count(*) FROM appcrm.contacts").fetchone()
    assert count == before
    assert len(appcrm_sandbox.contacts()) == before + 2
    assert (project.folder / "plan.html").is_file()


def test_operations_looks_at_states_moves_a_bookmark_and_reads_in_full(
    project, account, appcrm_sandbox, postgres
):
    look, move, in_full, _ = blocks("docs/operations.md")
    project("meltano run tap-appcrm target-postgres\n" + look.text, **account)
    [state] = [json.loads((project.folder / "state.json").read_text(encoding="utf-8"))]
    newest = max(row["updated_at"] for row in appcrm_sandbox.contacts())
    assert state["singer_state"]["bookmarks"]["contacts"]["replication_key_value"] == newest
    project(move.text + look.text, **account)
    moved = json.loads((project.folder / "state.json").read_text(encoding="utf-8"))
    assert moved["singer_state"]["bookmarks"]["contacts"]["replication_key_value"].startswith("2026-11-01")
    appcrm_sandbox.mutate(delete=[appcrm_sandbox.contacts()[0]["id"]])
    project(in_full.text, **account)
    with postgres.connect() as connection:
        [gone] = connection.execute(
            "SELECT count(*) FROM appcrm.contacts WHERE _sdc_deleted_at IS NOT NULL"
        ).fetchone()
    assert gone == 1


def test_operations_replays_what_was_refused(project, account, appcrm_sandbox):
    *_, replay = blocks("docs/operations.md")
    name = re.search(r"output/rejects-\w+\.singer\.jsonl", replay.text)[0]
    record = {"email": "zoe@example.com", "first_name": "Zoe"}
    properties = {field: {"type": ["string", "null"]} for field in record}
    schema = {
        "type": "SCHEMA",
        "stream": "contacts",
        "key_properties": ["email"],
        "schema": {"properties": properties},
    }
    lines = [schema, {"type": "RECORD", "stream": "contacts", "record": record}]
    (project.folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    receipt = '{"type": "RECORD", "stream": "appcrm_receipts", "record": {"operation": "reject"}}\n'
    (project.folder / "output" / "receipts.singer.jsonl").write_text(receipt, encoding="utf-8")
    project(replay.text, **account)
    assert appcrm_sandbox.find("zoe@example.com")


def test_receipts_come_into_the_warehouse(project, account, postgres):
    [block] = blocks("examples/receipts/README.md")
    project(block.text, **account)
    with postgres.connect() as connection:
        [count] = connection.execute("SELECT count(*) FROM appcrm.appcrm_receipts").fetchone()
    assert count == 2


def test_duckdb_is_a_loader_and_a_source(project, account, appcrm_sandbox, in_duckdb):
    [block] = blocks("examples/duckdb/README.md")
    into, back = block.text.splitlines()
    project(into, **account)
    in_duckdb(
        project.folder / "output" / "warehouse.duckdb",
        "connection.execute(\"CREATE TABLE main.contacts AS SELECT 'ana@example.com' AS email, 'Ana' AS first_name, "
        "TIMESTAMP '2026-01-01' AS changed_at\")",
    )
    project(back, **account)
    assert appcrm_sandbox.find("ana@example.com")
