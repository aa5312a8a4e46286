"""The example queries over receipts and runs, in a real PostgreSQL, on rows as target-postgres loads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appcrm.receipts import RECEIPTS, RUNS, Receipt, Run, as_record, no_counts, schema_message

QUERIES = Path(__file__).parents[2] / "examples" / "receipts"
TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "double precision",
    "boolean": "boolean",
    "object": "jsonb",
}


def moment(day, hour=3):
    return f"2026-06-{day:02}T{hour:02}:00:00.000000Z"


def receipt(n, run_id, operation, email, day, **facts):
    key = {"email": email}
    return Receipt("contacts", operation, moment(day), key=key, run_id=run_id, n=n, record_number=n, **facts)


@pytest.fixture
def warehouse(postgres):
    """A warehouse to which `load` adds rows: objects as jsonb, and the null of JSON where an object is null."""
    with postgres.connect() as connection:
        connection.execute("CREATE SCHEMA appcrm")
        for stream in (RECEIPTS, RUNS):
            columns = []
            for name, schema in schema_message(stream)["schema"]["properties"].items():
                kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
                kind = "timestamp" if schema.get("format") == "date-time" else TYPES[kinds[0]]
                columns.append(f'"{name}" {kind}')
            connection.execute(f"CREATE TABLE appcrm.{stream} ({', '.join(columns)})")

        def load(*items):
            for item in items:
                stream = RUNS if isinstance(item, Run) else RECEIPTS
                properties = schema_message(stream)["schema"]["properties"]
                row = as_record(item)
                values = [
                    json.dumps(value) if "object" in properties[name]["type"] else value
                    for name, value in row.items()
                ]
                columns = ", ".join(f'"{name}"' for name in row)
                marks = ", ".join("%s" for _ in row)
                connection.execute(f"INSERT INTO appcrm.{stream} ({columns}) VALUES ({marks})", values)

        def ask(query):
            return connection.execute((QUERIES / query).read_text(encoding="utf-8")).fetchall()

        yield load, ask


def test_rejects_skips_and_dry_runs_stand_among_the_changes(warehouse):
    load, ask = warehouse
    load(
        receipt(1, "r1", "update", "a@x", 1, changes={"city": ["Recife", "Olinda"], "tags": [[], ["x"]]}),
        receipt(2, "r1", "reject", "b@x", 1, reason="b is taken", cause="status 422 on email"),
        receipt(3, "r1", "skipped", "c@x", 1, reason="contact is gone"),
        receipt(4, "r1", "unchanged", "d@x", 1),
        receipt(5, "r1", "create", "e@x", 1, changes={"email": [None, "e@x"], "city": [None, "Natal"]}),
        receipt(1, "p1", "delete", "f@x", 2, changes={"email": ["f@x", None]}, planned=True),
    )
    rows = ask("receipts.sql")
    assert [(row[1], row[2], row[4], row[5], row[6], row[8], row[9]) for row in rows] == [
        ("delete", "f@x", "email", "f@x", None, True, "p1"),
        ("create", "e@x", None, None, None, False, "r1"),
        ("skipped", "c@x", None, None, None, False, "r1"),
        ("reject", "b@x", None, None, None, False, "r1"),
        ("update", "a@x", "city", "Recife", "Olinda", False, "r1"),
        ("update", "a@x", "tags", [], ["x"], False, "r1"),
    ]


def test_success_by_night_counts_runs_that_wrote_and_names_those_that_never_ended(warehouse):
    load, ask = warehouse

    def run(run_id, day, records=0, rejects=0, **facts):
        counts = {**no_counts(), "reject": rejects}
        facts = {"ended_at": moment(day, 4), "exit_code": 0, "waited_seconds": 90.0, **facts}
        return Run(run_id, moment(day), "https://acme.example/api", records=records, counts=counts, **facts)

    load(
        run("a", 1, 200, 3, exit_code=1),
        run("b", 1, 100),
        run("c", 1, 500, 500, planned=True),
        run("d", 2, ended_at=None, exit_code=None),
    )
    assert [(str(row[0]), *row[1:6], float(row[6] or 0)) for row in ask("nights.sql")] == [
        ("2026-06-02", 1, 0, 1, 0, 0, 0.0),
        ("2026-06-01", 2, 1, 0, 300, 3, 99.0),
    ]


def test_a_reject_is_open_until_its_record_is_accepted(warehouse):
    load, ask = warehouse
    taken = {"cause": "status 422 on email", "reason": "taken"}
    load(
        receipt(1, "r1", "reject", "open@x", 1, **taken),
        receipt(2, "r1", "reject", "mended@x", 1, **taken),
        receipt(3, "r1", "reject", "again@x", 1, **taken),
        receipt(1, "r2", "reject", "open@x", 2, **taken),
        receipt(2, "r2", "update", "mended@x", 2),
        receipt(3, "r2", "create", "again@x", 2),
        receipt(1, "p3", "create", "open@x", 3, planned=True),
        receipt(1, "r4", "reject", "again@x", 4, **taken),
        receipt(2, "r4", "update", "half@x", 4),
    )
    # An update that went through before its attach call was refused: the record is refused.
    load(Receipt("contacts", "reject", moment(4), key={"email": "half@x"}, run_id="r4", n=3, record_number=2))
    rows = [(row[1], f"{row[5]:%d}", row[6], row[7]) for row in ask("open_rejects.sql")]
    assert rows == [("open@x", "01", 2, "r2"), ("again@x", "04", 1, "r4"), ("half@x", "04", 1, "r4")]
