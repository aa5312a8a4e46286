"""CRM -> warehouse by the real loaders of meltano.yml: in full, then what changed, then what is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from postgres import DATABASE, HOST, USER

TAP = Path(sys.executable).with_name("tap-appcrm")
CONTACTS = 120
GONE = [7, 8]
CHANGE = {
    "set": {"3": {"city": "Olinda"}, "4": {"city": None}},
    "touch": [3, 4],
    "insert": [{"first_name": "Nova", "email": "nova@example.com", "city": "Recife"}],
    "delete": GONE,
}
FULL_TABLE = json.dumps({"contacts": {"replication-method": "FULL_TABLE"}})


class InPostgres:
    """Rows as a query in PostgreSQL sees them."""

    plugin = "target-postgres"

    def __init__(self, server):
        self._server = server
        self.settings = {
            "TARGET_POSTGRES_HOST": HOST,
            "TARGET_POSTGRES_PORT": str(server.port),
            "TARGET_POSTGRES_USER": USER,
            "TARGET_POSTGRES_PASSWORD": "any",
            "TARGET_POSTGRES_DATABASE": DATABASE,
        }

    def __call__(self, query):
        with self._server.connect() as connection:
            return [list(row) for row in connection.execute(query).fetchall()]

    def contacts(self):
        return self("SELECT id, email, city FROM appcrm.contacts WHERE _sdc_deleted_at IS NULL ORDER BY id")

    def gone(self):
        return self("SELECT id FROM appcrm.contacts WHERE _sdc_deleted_at IS NOT NULL ORDER BY id")


class InDuckDB:
    """Rows as a query in DuckDB sees them, with the loader that removes what is gone."""

    plugin = "target-duckdb"

    def __init__(self, in_duckdb, database):
        self._ask = lambda query: in_duckdb(
            database, f"print(json.dumps(connection.execute({query!r}).fetchall()))"
        )
        self.settings = {"TARGET_DUCKDB_PATH": str(database), "TARGET_DUCKDB_HARD_DELETE": "true"}

    def contacts(self):
        return self._ask("select id, email, city from appcrm.contacts order by id")

    def gone(self):
        left = {contact_id for contact_id, *_ in self.contacts()}
        return [[contact_id] for contact_id in GONE if contact_id not in left]


class InJsonLines:
    """The last line of each id, which is how a file that only grows is read."""

    plugin = "target-jsonl"

    def __init__(self, folder):
        self._path = folder / "contacts.jsonl"
        self.settings = {"TARGET_JSONL_DESTINATION_PATH": str(folder)}

    def _last(self):
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return sorted({row["id"]: row for row in map(json.loads, lines)}.items())

    def contacts(self):
        return [[n, row["email"], row["city"]] for n, row in self._last() if not row["_sdc_deleted_at"]]

    def gone(self):
        return [[n] for n, row in self._last() if row["_sdc_deleted_at"]]


@pytest.fixture
def warehouse_of(request, tmp_path):
    """`warehouse_of(name)`: an empty one, with its loader's settings."""

    def make(name):
        if name == "postgres":
            return InPostgres(request.getfixturevalue("postgres"))
        if name == "duckdb":
            return InDuckDB(request.getfixturevalue("in_duckdb"), tmp_path / "warehouse.duckdb")
        return InJsonLines(tmp_path)

    return make


def held(crm):
    return [[contact["id"], contact["email"], contact["city"]] for contact in crm.contacts()]


@pytest.mark.parametrize("name", ["postgres", "duckdb", "jsonl"])
def test_a_warehouse_follows_the_crm_in_full_in_part_and_in_deletes(
    meltano, address, appcrm_sandbox_factory, warehouse_of, name
):
    crm, warehouse = appcrm_sandbox_factory(contacts=CONTACTS), warehouse_of(name)
    settings = {**address("TAP", crm), **warehouse.settings, "TAP_APPCRM_DETECT_DELETES": "true"}
    meltano("run", "tap-appcrm", warehouse.plugin, **settings)
    assert warehouse.contacts() == held(crm)
    assert len(held(crm)) == CONTACTS

    crm.mutate(**CHANGE)
    meltano("run", "tap-appcrm", warehouse.plugin, **settings)
    assert warehouse.contacts() == held(crm)
    assert warehouse.gone() == [[contact_id] for contact_id in GONE]


def test_a_read_in_full_marks_what_is_gone_in_postgresql_or_removes_it_as_the_loader_is_told(
    meltano, address, appcrm_sandbox_factory, warehouse_of
):
    crm, warehouse = appcrm_sandbox_factory(contacts=30), warehouse_of("postgres")
    settings = {**address("TAP", crm), **warehouse.settings, "TAP_APPCRM__METADATA": FULL_TABLE}
    meltano("run", "tap-appcrm", warehouse.plugin, **settings)
    before = warehouse.contacts()

    crm.mutate(**CHANGE)
    meltano("run", "tap-appcrm", warehouse.plugin, **settings)
    assert warehouse.contacts() == held(crm)
    # A mark leaves the rest of the row as it was; a tombstone, which knows the id alone, empties it.
    marked = warehouse("SELECT id, email, city FROM appcrm.contacts WHERE _sdc_deleted_at IS NOT NULL")
    assert sorted(marked) == [row for row in before if row[0] in GONE]

    meltano("run", "tap-appcrm", warehouse.plugin, **settings, TARGET_POSTGRES_HARD_DELETE="true")
    assert warehouse.contacts() == held(crm)
    assert warehouse.gone() == []


@pytest.fixture
def load(into_postgres, appcrm_sandbox_factory, tmp_path):
    """`load(catalog, odd, **settings)`: tap-appcrm into target-postgres; the sandbox, and what the tap wrote."""

    def run(catalog=None, odd=None, **settings):
        crm = appcrm_sandbox_factory(contacts=CONTACTS)
        crm.mutate(set=odd or {})
        reads = tmp_path / "tap.json"
        reads.write_text(json.dumps({"api_url": crm.url, "auth_token": crm.token, **settings}))
        chosen = [] if catalog is None else ["--catalog", str(catalog)]
        read = subprocess.run(
            [str(TAP), "--config", str(reads), *chosen],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        into_postgres(read.stdout)
        return crm, read.stdout

    return run


def test_batches_of_the_tap_fill_a_table_of_postgresql(load, postgres, tmp_path):
    storage = {"root": f"file://{tmp_path}"}
    encoding = {"format": "jsonl", "compression": "gzip"}
    crm, said = load(batch_config={"encoding": encoding, "storage": storage, "batch_size": 50})
    assert '"type":"RECORD"' not in said
    assert InPostgres(postgres).contacts() == held(crm)


def test_flattened_contacts_have_their_owner_in_columns_of_postgresql(load, postgres):
    crm, _ = load(flattening_enabled=True, flattening_max_depth=1)
    assert InPostgres(postgres).contacts() == held(crm)
    [[owners]] = InPostgres(postgres)("SELECT count(user__name) FROM appcrm.contacts")
    assert owners == sum(contact["user_id"] is not None for contact in crm.contacts()) > 0


def test_a_stream_map_of_the_tap_names_the_table_and_leaves_out_what_is_nobody_elses(load, postgres):
    maps = {"contacts": {"__alias__": "people", "domain": "email.split('@')[-1] if email else None"}}
    maps["contacts"] |= dict.fromkeys(("email", "phones", "street"), "__NULL__")
    crm, _ = load(stream_maps=maps)
    rows = InPostgres(postgres)("SELECT id, domain FROM appcrm.people ORDER BY id")
    assert rows == [
        [contact["id"], contact["email"] and contact["email"].rpartition("@")[2]]
        for contact in crm.contacts()
    ]
    columns = InPostgres(postgres)(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'people'"
    )
    assert not {"email", "phones", "street"} & {name for [name] in columns}


ODD_VALUES = {
    "street": {"type": ["integer", "null"]},
    "city": {"type": ["string", "null"], "format": "date-time"},
    "state": {"type": ["number", "null"]},
}


def mistyped(tmp_path, crm):
    """A catalog in which some columns have types that the CRM's values do not fit."""
    settings = tmp_path / "discovery.json"
    settings.write_text(json.dumps({"api_url": crm.url, "auth_token": crm.token}))
    found = subprocess.run(
        [str(TAP), "--config", str(settings), "--discover"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    catalog = json.loads(found.stdout)
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] == "contacts":
            entry["schema"]["properties"] |= ODD_VALUES
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(catalog))
    return path


def test_values_of_a_wrong_type_stop_no_load_into_an_empty_table_or_one_that_exists(
    load, postgres, tmp_path, appcrm_sandbox_factory
):
    catalog = mistyped(tmp_path, appcrm_sandbox_factory(contacts=1))
    odd = {
        "3": {"street": "3.5", "city": "-0001-11-30T00:00:00.000000Z", "state": "abc"},
        "4": {"street": "12", "city": "0000-00-00", "state": "1.5"},
        "5": {"street": "Rua\0 A", "city": "2026-01-05", "state": None},
    }
    warehouse = InPostgres(postgres)
    for _ in ("empty", "there already"):
        crm, said = load(catalog=catalog, odd=odd)
        assert said.count('"type":"SCHEMA"') == 1
        assert warehouse("SELECT count(*) FROM appcrm.contacts") == [[CONTACTS]]
        rows = warehouse(
            "SELECT id, street, city::text, state::float, _appcrm_misfits FROM appcrm.contacts WHERE id IN (3, 4, 5)"
            " ORDER BY id"
        )
        assert rows == [
            [3, None, None, None, {"street": "3.5", "city": odd["3"]["city"], "state": "abc"}],
            [4, 12, None, 1.5, {"city": "0000-00-00"}],
            [5, None, "2026-01-05 00:00:00", None, {"street": "Rua A"}],
        ]
        assert {contact["id"] for contact in crm.contacts()} == {
            contact_id for [contact_id] in warehouse("SELECT id FROM appcrm.contacts")
        }
