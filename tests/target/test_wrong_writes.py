"""Nobody is overwritten, doubled or written in vain."""

from __future__ import annotations

import pytest

VERSIONS = ("1.1", "1.5", "1.6", "1.7")


@pytest.fixture(params=VERSIONS)
def versioned(request, appcrm_sandbox_factory):
    """A CRM without contacts, of each version."""
    return appcrm_sandbox_factory(contacts=0, app_version=request.param)


def test_the_id_of_a_contact_that_is_gone_creates_nobody(versioned, run, person, singer):
    run(versioned, singer(*(person(n) for n in range(3))))
    number = versioned.find("person1@example.com")["id"]
    versioned.mutate(delete=[number])
    lines = singer({"id": number, "first_name": "Merged", "email": None}, keys=["id"], state={"n": 1})
    for match_on in (["id"], ["id", "email"]):
        ran = run(versioned, lines, match_on=match_on)
        assert (ran.code, ran.states, len(versioned.contacts())) == (0, [{"n": 1}], 2), ran.errors
        assert [(r["operation"], r["reason"]) for r in ran.receipts] == [("skipped", "contact is gone")]
        assert ran.errors.count("the contact is gone") == 1


def test_what_is_found_after_an_unknown_outcome_is_not_ours_in_create_only(crm, run, person, singer):
    crm.faults(
        {
            "operation": "create",
            "nth": 1,
            "reset": "before_commit",
            "mutate": {"insert": [person(1, first_name="Theirs", city="Theirs")]},
        }
    )
    ran = run(crm, singer(person(1, city="Ours")), mode="create_only")
    assert (ran.code, ran.operations) == (0, {"skipped": 1}), ran.receipts
    assert [row["city"] for row in crm.contacts()] == ["Theirs"]
    assert ran.requests["update"] == 0


def test_matched_by_id_nobody_is_adopted_by_address(crm, run, person, singer):
    crm.faults(
        {
            "operation": "create",
            "nth": 1,
            "reset": "before_commit",
            "mutate": {"insert": [person(1, first_name="Theirs", city="Theirs")]},
        }
    )
    ran = run(crm, singer(person(1, city="Ours"), keys=[]), match_on=["id"])
    assert (ran.code, ran.operations) == (1, {"reject": 1}), ran.receipts
    assert [row["city"] for row in crm.contacts()] == ["Theirs"]


def test_a_record_without_a_name_brings_no_old_name_back(versioned, run, person, singer):
    run(versioned, singer(person(1, city="Recife")))
    number = versioned.contacts()[0]["id"]
    versioned.faults(
        {"operation": "search", "nth": 1, "mutate": {"set": {str(number): {"first_name": "Renamed"}}}}
    )
    record = {"email": "person1@example.com", "city": "Olinda"}
    ran = run(versioned, singer(record))
    assert (ran.code, ran.operations) == (0, {"update": 1}), ran.errors
    assert (versioned.contacts()[0]["city"]) == "Olinda"


@pytest.mark.parametrize("apart", [0, 1_100])
def test_contacts_exchange_addresses_also_across_chunks(crm, run, person, singer, apart):
    crm.declare_field("cf_key", "text")
    run(crm, singer(*(person(n, cf_key=f"k{n}") for n in range(2))))
    lines = singer(
        person(0, cf_key="k0", email="person1@example.com"),
        *(person(n, cf_key=f"k{n}") for n in range(100, 100 + apart)),
        person(1, cf_key="k1", email="person0@example.com"),
        state={"n": 1},
    )
    ran = run(crm, lines, match_on=["cf_key"])
    assert (ran.code, ran.states) == (0, [{"n": 1}]), ran.errors
    held = {row["cf_key"]: row["email"] for row in crm.contacts()}
    assert (held["k0"], held["k1"]) == ("person1@example.com", "person0@example.com")


def test_one_address_with_two_keys_of_the_source_is_a_reject(versioned, run, person, singer):
    versioned.declare_field("cf_key", "text")
    lines = singer(person(1, cf_key="a", city="A"), person(1, cf_key="b", city="B"), keys=["cf_key"])
    ran = run(versioned, lines, external_id_field="cf_key")
    assert (ran.code, ran.operations) == (1, {"create": 1, "reject": 1}), ran.receipts
    assert [(row["cf_key"], row["city"]) for row in versioned.contacts()] == [("a", "A")]


def test_nothing_is_sent_in_vain_where_a_field_cannot_be_emptied(appcrm_sandbox_factory, run, person, singer):
    crm = appcrm_sandbox_factory(contacts=0, custom_fields=["cf_score:decimal"])
    schema = {"type": "object", "properties": {}}
    run(crm, singer(*(person(n) for n in range(20))))
    lines = singer(*(person(n, cf_score=None) for n in range(20)), schema=schema)
    ran = run(crm, lines, null_handling="clear", concurrency=1)
    assert (ran.code, ran.requests["update"] <= 1) == (0, True), ran.requests


@pytest.mark.parametrize("app_version", ["1.5", "1.7"])
def test_what_cannot_be_emptied_is_not_sent_in_any_later_run_where_the_crm_tells_types(
    appcrm_sandbox_factory, run, person, singer, app_version
):
    crm = appcrm_sandbox_factory(
        contacts=0,
        app_version=app_version,
        custom_fields=["cf_score:decimal", "cf_kind:select:a|b", "cf_n:integer"],
    )
    schema = {"type": "object", "properties": {}}
    filled = (person(n, cf_score=n, cf_kind="a", cf_n=0) for n in range(4))
    run(crm, singer(*filled, schema=schema))
    lines = singer(*(person(n, cf_score=None, cf_kind=None, cf_n=None) for n in range(4)), schema=schema)
    ran = run(crm, lines, null_handling="clear", concurrency=1)
    assert (ran.code, ran.requests["update"]) == (0, 4), ran.errors
    assert {(row["cf_score"] or 0, row["cf_n"]) for row in crm.contacts()} == {(0, None)}
    again = run(crm, lines, null_handling="clear", concurrency=1)
    assert (again.code, again.operations) == (0, {"unchanged": 4}), again.receipts
    assert "Not emptied, because the CRM does not empty such fields: cf_kind (" in again.errors


@pytest.mark.parametrize("app_version", ["1.1", "1.7"])
def test_a_decimal_that_reads_as_0_when_empty_is_emptied_for_each_record(
    appcrm_sandbox_factory, run, person, singer, app_version
):
    crm = appcrm_sandbox_factory(contacts=0, app_version=app_version, custom_fields=["cf_score:decimal"])
    schema = {"type": "object", "properties": {}}
    run(crm, singer(*(person(n, cf_score=n + 1) for n in range(4)), schema=schema))
    lines = singer(*(person(n, cf_score=None) for n in range(4)), schema=schema)
    ran = run(crm, lines, null_handling="clear", concurrency=1)
    assert (ran.code, ran.operations) == (0, {"update": 4}), ran.receipts
    assert {row["cf_score"] or 0 for row in crm.contacts()} == {0}


def test_an_id_that_the_crm_does_not_have_is_told_and_not_sent_again(
    appcrm_sandbox_factory, run, person, singer
):
    crm = appcrm_sandbox_factory(contacts=3)
    lines = singer(*(person(n, companies=[1, 99999]) for n in range(100, 120)))
    ran = run(crm, lines, concurrency=1)
    assert ran.code == 0
    assert "companies left out" in ran.errors
    assert [row["companies"] for row in crm.contacts() if (row["email"] or "").startswith("person1")] == [
        [1]
    ] * 20
    again = run(crm, lines, concurrency=1)
    assert again.requests["update"] + again.requests["sync"] <= 1, again.requests


def test_records_of_one_contact_are_counted_in_one_warning(crm, run, person, singer):
    ran = run(crm, singer(person(1), person(1, city="x"), person(1, city="y"), person(2)))
    assert ran.errors.count("2 records meant a contact that an earlier record") == 1


def test_a_number_that_another_contact_holds_says_to_match_by_phone(crm, run, person, singer):
    phones = [{"number": "+55 11 98888 0001", "type": "work"}]
    run(crm, singer(person(1, phones=phones)))
    ran = run(crm, singer(person(2, phones=phones)))
    assert (ran.code, ran.operations) == (1, {"reject": 1})
    assert "match by phone too" in ran.errors


def test_the_summary_shows_masked_keys_and_no_control_characters(crm, run, person, singer):
    ran = run(crm, singer(person(1, first_name=None, email="zoe.secret@example.com")))
    assert "z…t@e…e.com" in ran.errors
    assert "zoe.secret" not in ran.errors
    assert "\x1b" not in ran.errors
