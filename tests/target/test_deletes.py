"""Contacts are deleted only when that is allowed, after the end, and never too many."""

from __future__ import annotations

import pytest

GONE = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def people(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(20))))
    return crm


def test_without_leave_a_tombstone_is_skipped_with_one_warning(people, run, person, singer):
    ran = run(people, singer(person(1, **GONE), person(2, **GONE)))
    assert (ran.code, ran.operations) == (0, {"skipped": 2})
    assert ran.errors.count("allow_deletes") == 1
    assert len(people.contacts()) == 20


def test_with_leave_the_contacts_go_and_the_receipts_name_them(people, run, person, singer):
    ran = run(people, singer(person(1, **GONE), person(2, city="x")), allow_deletes=True)
    assert (ran.code, ran.operations) == (0, {"delete": 1, "update": 1})
    assert people.find("person1@example.com")["deleted_at"]
    assert len(people.contacts()) == 19


@pytest.mark.parametrize("most", [2, "10%"])
def test_one_too_many_stops_them_all(people, run, person, singer, most):
    ran = run(people, singer(*(person(n, **GONE) for n in range(3))), allow_deletes=True, max_deletes=most)
    assert ran.code == 1
    assert [(receipt["operation"], receipt["reason"]) for receipt in ran.receipts] == [
        ("reject", "max_deletes")
    ] * 3
    assert len(people.contacts()) == 20
    assert "max_deletes" in ran.errors.strip().splitlines()[-1]


def test_a_state_behind_a_delete_waits_for_it(people, run, person, singer):
    lines = singer(person(1, city="x"), state={"n": 1}) + singer(person(2, **GONE), state={"n": 2})
    ran = run(people, lines, allow_deletes=True, max_deletes=0)
    assert ran.states == [{"n": 1}]
    assert run(people, lines, allow_deletes=True).states == [{"n": 2}]


def test_a_later_record_of_the_contact_takes_the_delete_back(people, run, person, singer):
    ran = run(people, singer(person(1, **GONE), person(1, city="Back")), allow_deletes=True)
    assert people.find("person1@example.com")["deleted_at"] is None
    assert ran.operations == {"skipped": 1, "update": 1}


def test_a_whole_version_mirrors_only_with_leave_and_below_the_ceiling(people, run, person, singer):
    lines = singer(*(person(n) for n in range(15)), version=7)
    run(people, lines)
    assert len(people.contacts()) == 20
    assert run(people, lines, allow_deletes=True, max_deletes=3).code == 1
    assert len(people.contacts()) == 20
    ran = run(people, lines, allow_deletes=True)
    assert ran.operations == {"unchanged": 15, "delete": 5}
    assert len(people.contacts()) == 15


def test_a_version_with_a_reject_deletes_nothing(people, run, person, singer):
    lines = singer(*(person(n) for n in range(15)), person(70, first_name=None), version=7)
    assert run(people, lines, allow_deletes=True, max_rejects=5).code == 1
    assert len(people.contacts()) == 20


def test_a_delete_that_the_crm_refuses_is_among_the_rejects_when_its_state_goes_out(
    people, run, person, singer
):
    people.faults({"operation": "delete", "nth": 1, "status": 403})
    lines = singer(person(1, **GONE), person(2, **GONE), state={"n": 2})
    ran = run(people, lines, allow_deletes=True, concurrency=1)
    assert (ran.code, ran.states, ran.operations) == (1, [{"n": 2}], {"reject": 1, "delete": 1})
    assert [record["email"] for record in ran.rejects] == ["person1@example.com"]
    assert run(people, ran.rejects_path.read_text(), allow_deletes=True).operations == {"delete": 1}
    assert len(people.contacts()) == 18


def test_a_delete_whose_answer_was_lost_is_a_delete_done(people, run, person, singer):
    people.faults({"operation": "delete", "nth": 1, "reset": "after_commit"})
    ran = run(people, singer(person(1, **GONE)), allow_deletes=True)
    assert (ran.code, ran.operations) == (0, {"delete": 1})


def test_a_mirror_keeps_a_contact_that_someone_else_created_meanwhile(people, run, person, singer):
    people.faults({"operation": "update", "nth": 1, "mutate": {"insert": [person(900)]}})
    lines = singer(*(person(n, city="x") for n in range(15)), version=7)
    ran = run(people, lines, allow_deletes=True)
    assert (ran.code, ran.operations) == (0, {"update": 15, "delete": 5})
    assert people.find("person900@example.com")["deleted_at"] is None


def test_a_delete_of_a_mirror_that_the_crm_refuses_counts_as_a_reject(people, run, person, singer):
    people.faults({"operation": "delete", "nth": 1, "status": 403})
    lines = singer(*(person(n) for n in range(15)), version=7, state={"n": 1})
    ran = run(people, lines, allow_deletes=True, concurrency=1)
    assert (ran.code, ran.operations) == (1, {"unchanged": 15, "reject": 1, "delete": 4})
    assert "4 delete, 1 reject, 15 unchanged" in ran.errors
    assert ran.errors.strip().splitlines()[-1].endswith("receipts_path says which and why")
    # It has no record to pipe back in; the next whole version finds the contact again.
    assert ran.rejects == []
    assert run(people, lines, allow_deletes=True).operations == {"unchanged": 15, "delete": 1}


def test_a_whole_version_of_associations_deletes_no_contact(people, run, singer):
    schema = {"type": "object", "properties": {"contact_id": {}, "email": {}, "companies": {}}}
    record = {"contact_id": 1, "email": "person1@example.com", "companies": []}
    lines = singer(
        record, stream="contact_associations", schema=schema, keys=("contact_id",), version=3, state={}
    )
    assert run(people, lines, allow_deletes=True).code == 0
    assert len(people.contacts()) == 20
