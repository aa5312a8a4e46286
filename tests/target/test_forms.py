"""A warehouse's columns have fewer types than the CRM's custom fields: what can only mean one thing is sent as it."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal

import pytest

from target_appcrm.write.custom_fields import in_form_of, other_form

FIELD = "cf_given"


@pytest.fixture
def written(crm, run, singer):
    """Create one contact and update another with a value; return what both hold, as the file has it."""

    def write(value):
        schema = {"type": "object", "properties": {"first_name": {}, "email": {}, FIELD: {}}}
        run(crm, singer({"first_name": "Old", "email": "old@x.io"}, schema=schema))
        both = [
            {"first_name": name, "email": f"{name.lower()}@x.io", FIELD: value} for name in ("Old", "New")
        ]
        first = run(crm, singer(*both, schema=schema))
        again = run(crm, singer(*both, schema=schema))
        assert first.code == 0, first.errors
        assert again.operations == {"unchanged": 2}
        return [row[FIELD] for row in crm.contacts()], first

    return write


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        ("boolean", "True", 1),
        ("boolean", "false", 0),
        ("integer", "12.0", 12),
        ("date", "2026-01-02T00:00:00Z", "2026-01-02T00:00:00.000000Z"),
        ("date-time", "2026-01-02T03:04:05.123456+02:00", "2026-01-02T01:04:05.000000Z"),
        ("text", 12, "12"),
        ("text", "[1,3]", "[1,3]"),
        ("text", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
    ],
)
def test_a_create_and_an_update_send_what_the_crm_holds(crm, written, kind, value, held):
    crm.declare_field(FIELD, kind)
    assert written(value)[0] == [held, held]


def test_the_json_of_a_list_is_sent_as_the_list_that_a_multi_select_holds(crm, written):
    crm.declare_field(FIELD, "multi-select", ("a", "b", "c"))
    with sqlite3.connect(crm.database) as database:
        ids = [row[0] for row in database.execute("SELECT id FROM field_options ORDER BY id DESC LIMIT 3")]
    rows, first = written(json.dumps(ids))
    assert [sorted(json.loads(row)) for row in rows] == [sorted(ids), sorted(ids)]
    assert first.operations == {"create": 1, "update": 1}


def test_the_form_that_a_field_takes_is_found_out_once(crm, run, singer):
    crm.declare_field(FIELD, "integer")
    schema = {"type": "object", "properties": {"first_name": {}, "email": {}, FIELD: {}}}
    people = [{"first_name": "P", "email": f"p{n}@x.io", FIELD: f"{n}.0"} for n in range(50)]
    ran = run(crm, singer(*people, schema=schema), concurrency=1)
    assert ran.code == 0
    assert ran.requests["create"] == len(people)


def test_what_is_refused_in_both_forms_is_told_in_the_words_about_the_first(crm, run, singer):
    crm.declare_field(FIELD, "integer")
    schema = {"type": "object", "properties": {"first_name": {}, "email": {}, FIELD: {}}}
    ran = run(crm, singer({"first_name": "P", "email": "p@x.io", FIELD: "[1]"}, schema=schema))
    assert ran.operations == {"reject": 1}
    assert FIELD in ran.receipts[0]["reason"]
    assert crm.contacts() == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "word",
        True,
        "2026-01-02",
        "7",
        "2026-01-02T00:00:00-03:00",
        "1990-05-01T22:30:00-03:00",
        "{}",
        "[1",
    ],
)
def test_a_value_of_one_reading_has_no_other_form(value):
    assert other_form(value) is None


def test_a_large_number_is_written_out():
    assert other_form(Decimal("1E+22")) == "1" + 22 * "0"


def test_a_text_becomes_a_list_only_where_a_list_is_held():
    assert in_form_of("[1,3]", [2]) == [1, 3]
    assert in_form_of("[1,3]", "[2]") == "[1,3]"
    assert in_form_of("1", [2]) == "1"
    assert in_form_of("false", True) is False  # noqa: FBT003  what is held
