"""Associations, over HTTP: the fewest calls that lead to what each mode promises."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[True, False], ids=["lists carry them", "lists do not"])
def linked(request, appcrm_sandbox_factory, run, person, singer):
    """A CRM whose three contacts have companies 1 and 2."""
    crm = appcrm_sandbox_factory(contacts=40)
    crm.settings(list_associations=request.param)
    ran = run(crm, singer(*(person(n, companies=[1, 2]) for n in range(3))))
    assert ran.code == 0, ran.errors[-2000:]
    return crm


def links(crm, number):
    contact = crm.find(f"person{number}@example.com")
    return {name: contact[name] for name in ("companies", "deals", "activities") if contact[name]}


def test_sync_makes_a_set_exact_and_absent_is_not_empty(linked, run, person, singer):
    ran = run(linked, singer(person(0, companies=[2, 3]), person(1, companies=[]), person(2, deals=[1])))
    assert ran.code == 0, ran.errors[-2000:]
    assert links(linked, 0) == {"companies": [2, 3]}
    assert links(linked, 1) == {}
    assert links(linked, 2) == {"companies": [1, 2], "deals": [1]}
    assert sum(ran.requests[call] for call in ("sync", "attach", "detach", "update")) == 3


def test_nothing_is_sent_where_the_sets_are_equal(linked, run, person, singer):
    ran = run(linked, singer(person(0, companies=[2, 1]), person(1)))
    assert ran.operations == {"unchanged": 2}
    assert set(ran.requests) <= {"list", "search", "retrieve"}


def test_attach_adds_and_detach_removes_only_what_differs(linked, run, person, singer):
    run(linked, singer(person(0, companies=[2, 3])), associations="attach")
    assert links(linked, 0) == {"companies": [1, 2, 3]}
    ran = run(linked, singer(person(0, companies=[1, 9])), associations="detach")
    assert links(linked, 0) == {"companies": [2, 3]}
    assert ran.operations == {"detach": 1}
    assert run(linked, singer(person(0, companies=[8])), associations="ignore").operations == {"unchanged": 1}


def test_a_records_own_mode_goes_before_the_setting(linked, run, person, singer):
    run(linked, singer(person(0, companies=[3], _associations="attach"), person(1, companies=[3])))
    assert links(linked, 0) == {"companies": [1, 2, 3]}
    assert links(linked, 1) == {"companies": [3]}


def test_the_associations_stream_needs_no_first_name(linked, run, singer):
    schema = {
        "type": "object",
        "properties": {"contact_id": {"type": "integer"}, "email": {"type": "string"}},
    }
    record = {"contact_id": 999_999, "email": "PERSON1@example.com", "companies": [4], "deals": None}
    lines = singer(record, stream="contact_associations", schema=schema, keys=["contact_id"])
    ran = run(linked, lines)
    assert ran.code == 0, ran.errors[-2000:]
    assert links(linked, 1) == {"companies": [4]}
    assert ran.requests["update"] == 0


def test_activities_go_through_the_association_call(linked, run, person, singer):
    ran = run(linked, singer(person(0, activities=[1]), person(50, companies=[1], activities=[2])))
    assert ran.code == 0, ran.errors[-2000:]
    assert links(linked, 0) == {"companies": [1, 2], "activities": [1]}
    assert links(linked, 50) == {"companies": [1], "activities": [2]}


def test_an_id_that_was_attached_meanwhile_is_no_error(linked, run, person, singer):
    number = linked.find("person0@example.com")["id"]
    linked.faults({"operation": "attach", "nth": 1, "status": 409, "body": {"message": "já associado"}})
    ran = run(linked, singer(person(0, companies=[3])), associations="attach")
    if ran.code == 1:
        # Nothing of it was there after all, so the conflict stands, and the record is kept.
        assert len(ran.rejects) == 1
        return
    assert 3 in linked.contact(number)["companies"]
