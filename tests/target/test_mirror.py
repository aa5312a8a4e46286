"""A mirror deletes nothing that any record of the run means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_appcrm.write.id_pages import IdPages

GONE = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def people(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(20))))
    return crm


def held(crm):
    return {int(row["email"][6:-12]) for row in crm.contacts()}


def activated(stream, version):
    return json.dumps({"type": "ACTIVATE_VERSION", "stream": stream, "version": version}) + "\n"


ALIAS = {"b": {"__alias__": "contacts"}}


def test_what_another_stream_of_the_run_holds_stays(people, run, person, singer):
    lines = singer(*(person(n) for n in range(8)), version=7)
    lines += singer(*(person(n) for n in range(8, 15)), stream="b", version=8)
    ran = run(people, lines, allow_deletes=True, stream_maps=ALIAS)
    assert (ran.code, held(people)) == (0, set(range(15))), ran.errors


def test_while_another_stream_is_not_whole_nothing_is_deleted_and_the_run_says_so(
    people, run, person, singer
):
    other = singer(*(person(n) for n in range(8, 15)), stream="b", version=8)
    lines = singer(*(person(n) for n in range(8)), version=7) + other.replace(activated("b", 8), "")
    ran = run(people, lines, allow_deletes=True, stream_maps=ALIAS)
    assert (ran.code, held(people)) == (1, set(range(20)))
    assert "not whole" in ran.errors.strip().splitlines()[-1]


def test_a_record_without_a_version_and_one_of_associations_keep_their_contacts(people, run, person, singer):
    schema = {"type": "object", "properties": {"contact_id": {}, "email": {}, "companies": {}}}
    record = {"contact_id": 1, "email": "person18@example.com", "companies": []}
    lines = singer(*(person(n) for n in range(15, 18)))
    lines += singer(record, stream="contact_associations", schema=schema, keys=["contact_id"])
    lines += singer(*(person(n) for n in range(15)), version=7)
    ran = run(people, lines, allow_deletes=True)
    assert (ran.code, held(people)) == (0, set(range(19))), ran.errors


def test_what_a_stream_map_filters_out_is_not_deleted(people, run, person, singer):
    lines = singer(*(person(n, city="Rio" if n < 5 else "Recife") for n in range(15)), version=7)
    ran = run(people, lines, allow_deletes=True, stream_maps={"contacts": {"__filter__": "city == 'Recife'"}})
    assert (ran.code, held(people)) == (0, set(range(15))), ran.errors
    assert ran.operations == {"update": 10, "delete": 5}


def test_a_filtered_record_without_a_key_may_mean_anybody(people, run, person, singer):
    lines = singer(*(person(n) for n in range(15)), person(3, email=None, city="Rio"), version=7)
    maps = {"contacts": {"__filter__": "city != 'Rio'"}}
    ran = run(people, lines, allow_deletes=True, stream_maps=maps)
    assert (ran.code, held(people)) == (1, set(range(20)))


def test_create_only_keeps_whom_it_skips_also_where_the_address_was_taken_meanwhile(crm, run, person, singer):
    crm.faults({"operation": "create", "nth": 1, "mutate": {"insert": [person(n) for n in range(3)]}})
    lines = singer(*(person(n) for n in range(6)), version=7)
    ran = run(crm, lines, allow_deletes=True, mode="create_only", concurrency=1)
    assert (ran.code, held(crm)) == (0, set(range(6))), ran.errors
    assert ran.operations["delete"] == 0


def test_whoever_was_touched_since_the_list_was_read_stays(people, run, person, singer):
    number = people.find("person19@example.com")["id"]
    # A touch shows by the second, and all of this may take less than one.
    people.advance_clock(5)
    people.faults(
        {
            "operation": "delete",
            "nth": 1,
            "mutate": {"set": {str(number): {"city": "new"}}, "touch": [number]},
        }
    )
    ran = run(people, singer(*(person(n) for n in range(15)), version=7), allow_deletes=True, concurrency=1)
    assert 19 in held(people), ran.receipts


def test_a_contact_that_got_another_address_since_it_was_matched_is_not_deleted(people, run, person, singer):
    number = people.find("person1@example.com")["id"]
    people.faults(
        {
            "operation": "update",
            "nth": 1,
            "mutate": {"set": {str(number): {"email": "new@example.com", "first_name": "New"}}},
        }
    )
    ran = run(people, singer(person(1, **GONE), person(2, city="x")), allow_deletes=True)
    assert (ran.code, ran.operations) == (0, {"skipped": 1, "update": 1}), ran.receipts
    assert people.find("new@example.com")["deleted_at"] is None


def test_a_delete_s_receipt_holds_what_is_needed_to_undo_it(people, run, person, singer):
    (receipt,) = run(people, singer(person(1, **GONE)), allow_deletes=True).receipts
    assert receipt["changes"]["email"] == ["person1@example.com", None]
    assert receipt["changes"]["first_name"] == ["First1", None]


@pytest.mark.parametrize("apart", [0, 1_100])
def test_an_update_and_then_its_tombstone_do_nothing_the_second_time(people, run, person, singer, apart):
    between = [person(n) for n in range(100, 100 + apart)]
    lines = singer(person(1, city="x"), *between, person(1, **GONE), state={"n": 1})
    first = run(people, lines, allow_deletes=True)
    assert (first.code, first.operations["delete"]) == (0, 1), first.errors
    ran = run(people, lines, allow_deletes=True)
    assert (ran.code, ran.states) == (0, [{"n": 1}]), ran.errors
    assert ran.operations["skipped"] == 2
    assert 1 not in held(people)


@given(st.lists(st.integers(0, 2**63), max_size=50), st.lists(st.integers(0, 2**63), max_size=50))
def test_a_set_of_ids_holds_what_was_added_and_nothing_else(added, others):
    ids = IdPages()
    assert [ids.add(number) for number in added] == [n not in added[:at] for at, n in enumerate(added)]
    assert all(number in ids for number in added)
    assert all((number in ids) == (number in added) for number in others)
