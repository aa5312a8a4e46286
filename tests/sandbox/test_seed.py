"""The people that a new sandbox is filled with."""

import contextlib
import json
import sqlite3

import pytest

from appcrm_sandbox.clock import Clock
from appcrm_sandbox.custom_fields import SQL_TYPES
from appcrm_sandbox.seed import seed
from appcrm_sandbox.store import Store

# What nobody has filled in, so that no row tells its type.
EMPTY = {
    "cf_lifetime_value": "decimal",
    "cf_last_order_at": "date-time",
    "cf_chinook_id": "integer",
    "cf_member_since": "date",
    "cf_tier": "select",
    "cf_channels": "multi-select",
}


def _dump(path, contacts, number):
    store = Store(path, Clock())
    seed(store, contacts, number)
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return "\n".join(line for line in connection.iterdump() if "sqlite_stat" not in line)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first = _dump(tmp_path / "a.sqlite3", 300, 7)
    assert first == _dump(tmp_path / "b.sqlite3", 300, 7)
    assert first != _dump(tmp_path / "c.sqlite3", 300, 8)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """The rows of two thousand contacts."""
    path = tmp_path_factory.mktemp("people") / "people.sqlite3"
    store = Store(path, Clock())
    seed(store, 2000, 1)
    yield store
    store.close()


def test_addresses_and_phones_are_unique_so_that_every_row_could_be_written(people):
    emails = [row[0].lower() for row in people.rows("SELECT email FROM contacts WHERE email IS NOT NULL")]
    numbers = [row[0] for row in people.rows("SELECT number FROM phones")]
    assert len(set(emails)) == len(emails) > 1500
    assert len(set(numbers)) == len(numbers) > 1500
    assert any(
        email[0].isupper()
        for email in (row[0] for row in people.rows("SELECT email FROM contacts WHERE email > ''"))
    )


def test_an_import_left_hundreds_of_contacts_in_one_second(people):
    largest = people.value("SELECT max(n) FROM (SELECT count(*) AS n FROM contacts GROUP BY updated_at)")
    assert largest >= 800


def test_every_type_of_custom_field_is_there_and_filled(people):
    kinds = {field.kind: field.name for field in people.fields.values() if field.name not in EMPTY}
    assert set(kinds) == set(SQL_TYPES)
    for name in kinds.values():
        filled = people.value(f"SELECT count(*) FROM contacts WHERE {name} IS NOT NULL")
        assert 0 < filled < 2000, name
    for chosen in people.rows("SELECT cf_interests FROM contacts WHERE cf_interests IS NOT NULL"):
        assert set(json.loads(chosen[0])) <= {number for number, _ in people.fields["cf_interests"].options}


def test_some_fields_are_empty_everywhere(people):
    for name, kind in EMPTY.items():
        assert people.fields[name].kind == kind
        assert people.value(f"SELECT count({name}) FROM contacts") == 0


def test_people_of_several_countries_are_mostly_brazilian(people):
    countries = dict(map(tuple, people.rows("SELECT country_id, count(*) FROM contacts GROUP BY country_id")))
    assert len(countries) >= 5
    assert max(countries, key=countries.get) == 1


def test_no_row_was_made_after_the_seed_was_written(people):
    assert people.value("SELECT max(updated_at) FROM contacts") < "2026-06"
