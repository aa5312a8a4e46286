"""Records become contacts, over HTTP."""

from __future__ import annotations

import json

import pytest

STATE = {"bookmarks": {"people": {"replication_key_value": "2026-01-01"}}}


def test_new_people_are_created_and_the_state_follows(crm, run, person, singer):
    phones = [{"number": "+55 11 98888-0000", "type": "mobile"}]
    ran = run(
        crm, singer(*(person(n, tags=["vip"]) for n in range(30)), person(99, phones=phones), state=STATE)
    )
    assert (ran.code, ran.states, ran.operations) == (0, [STATE], {"create": 31})
    assert len(crm.contacts()) == 31
    assert crm.find("person99@example.com")["phones"] == phones
    assert crm.find("person3@example.com")["tags"] == ["vip"]


def test_what_the_crm_holds_already_is_not_sent(crm, run, person, singer):
    record = person(
        1,
        phones=[{"number": "+55 11 1", "type": "work"}, {"number": "+55 11 2", "type": "mobile"}],
        tags=["b", "a"],
        cf_lifetime_value=12.5,
        cf_last_order_at="2026-01-02T03:04:05Z",
        cf_chinook_id=7,
        companies=[],
    )
    run(crm, singer(record))
    shuffled = {
        **record,
        "email": "PERSON1@Example.com",
        "phones": record["phones"][::-1],
        "tags": ["a", "b"],
        "cf_lifetime_value": "12.50",
    }
    schema = {"type": "object", "properties": {}}
    ran = run(crm, singer(shuffled, schema=schema))
    assert (ran.code, ran.operations) == (0, {"unchanged": 1})
    assert set(ran.requests) <= {"list", "search", "fields"}


@pytest.mark.parametrize(
    ("app_version", "keys"),
    [("1.1", ["city", "first_name"]), ("1.5", ["city"]), ("1.6", ["city"]), ("1.7", ["city"])],
)
def test_an_update_carries_the_changed_fields_and_a_first_name_where_the_version_needs_one(
    appcrm_sandbox_factory, run, person, singer, app_version, keys
):
    crm = appcrm_sandbox_factory(contacts=0, app_version=app_version)
    run(crm, singer(person(1, city="Recife")))
    ran = run(crm, singer(person(1, city="Olinda")))
    (receipt,) = ran.receipts
    assert receipt["operation"] == "update"
    assert receipt["changes"] == {"city": ["Recife", "Olinda"]}
    assert receipt["key"] == {"email": "person1@example.com"}
    (sent,) = crm.log("update")
    assert sent["keys"] == keys


def test_null_leaves_a_value_unless_nulls_clear_and_lists_are_emptied_by_an_empty_list_only(
    crm, run, person, singer
):
    full = person(1, city="Recife", tags=["vip"], phones=[{"number": "+55 1", "type": "work"}])
    empty = person(1, city=None, tags=None, phones=None)
    run(crm, singer(full))
    assert run(crm, singer(empty)).operations == {"unchanged": 1}
    run(crm, singer(empty), null_handling="clear")
    held = crm.find("person1@example.com")
    assert (held["city"], held["tags"], len(held["phones"])) == (None, ["vip"], 1)
    run(crm, singer(person(1, tags=[], phones=[])))
    held = crm.find("person1@example.com")
    assert (held["tags"], held["phones"]) == ([], [])


def test_records_of_one_contact_are_applied_in_their_order(crm, run, person, singer):
    records = [person(n, city=f"City{turn}") for turn in range(25) for n in (1, 2)]
    ran = run(crm, singer(*records))
    assert ran.code == 0
    assert [contact["city"] for contact in crm.contacts()] == ["City24", "City24"]


def test_a_changed_email_keeps_its_place_in_the_order(crm, run, person, singer):
    run(crm, singer(person(1)))
    number = crm.find("person1@example.com")["id"]
    records = [
        {"id": number, "first_name": "A", "email": "moved@example.com"},
        {"id": None, "first_name": "B", "email": "moved@example.com"},
        {"id": number, "first_name": "C", "email": "again@example.com"},
    ]
    ran = run(crm, singer(*records, keys=[]), match_on=["id", "email"])
    assert ran.code == 0
    assert [(c["first_name"], c["email"]) for c in crm.contacts()] == [("C", "again@example.com")]


def test_an_id_of_another_system_is_not_matched_unless_asked(crm, run, person, singer):
    run(crm, singer(person(1)))
    number = crm.find("person1@example.com")["id"]
    ran = run(crm, singer({"id": number, **person(2)}, keys=["id"]))
    assert ran.operations == {"create": 1}
    assert len(crm.contacts()) == 2


def test_the_external_id_is_written_on_create_and_matched_first(crm, run, person, singer):
    crm.declare_field("cf_key", "text")
    schema = {"type": "object", "properties": {}}
    source = {"source_id_of_ours": "K-1", **person(1)}
    lines = singer(source, schema=schema, keys=["source_id_of_ours"])
    assert run(crm, lines, external_id_field="cf_key").operations == {"create": 1}
    moved = singer({**source, "email": "moved@example.com"}, schema=schema, keys=["source_id_of_ours"])
    ran = run(crm, moved, external_id_field="cf_key")
    assert ran.operations == {"update": 1}, ran.errors
    assert [contact["email"] for contact in crm.contacts()] == ["moved@example.com"]


def test_create_only_and_update_only_skip_the_rest_with_a_reason(crm, run, person, singer):
    run(crm, singer(person(1)))
    created = run(crm, singer(person(1, city="x"), person(2)), mode="create_only")
    assert created.operations == {"skipped": 1, "create": 1}
    updated = run(crm, singer(person(1, city="y"), person(3)), mode="update_only")
    assert updated.operations == {"skipped": 1, "update": 1}
    assert all(
        receipt["reason"]
        for receipt in created.receipts + updated.receipts
        if receipt["operation"] == "skipped"
    )
    assert len(crm.contacts()) == 2


def test_a_dry_run_writes_nothing_and_plans_exactly_what_the_run_then_does(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(20))))
    lines = singer(
        *(person(n, city="New" if n % 3 else None) for n in range(10, 30)),
        person(30, companies=[1]),
        person(30, city="Twice"),
        person(31, first_name=None),
        state=STATE,
    )
    before = crm.contacts()
    plan = run(crm, lines, dry_run=True)
    assert crm.contacts() == before
    assert plan.states == []
    assert all(receipt["planned"] for receipt in plan.receipts)
    real = run(crm, lines)

    def told(ran):
        return sorted(
            json.dumps([receipt["key"], receipt["operation"], receipt["changes"]], sort_keys=True)
            for receipt in ran.receipts
        )

    assert told(plan) == told(real)


def test_read_only_fields_are_dropped_silently_and_unknown_ones_named_once(crm, run, person, singer):
    noise = {
        "display_name": "x",
        "deals_count": 3,
        "updated_at": "2026-01-01T00:00:00Z",
        "_sdc_batched_at": "x",
    }
    lines = singer(
        *(person(n, **noise, shoe_size=43) for n in range(3)), schema={"type": "object", "properties": {}}
    )
    ran = run(crm, lines)
    assert ran.code == 0
    assert ran.errors.count("shoe_size") == 1
    assert "display_name" not in ran.errors


def test_ten_thousand_records_of_which_two_hundred_differ_take_few_requests(
    appcrm_sandbox_factory, run, singer
):
    crm = appcrm_sandbox_factory(contacts=10_000)
    records = [
        {
            "first_name": contact["first_name"],
            "last_name": "Changed" if position % 50 == 0 else contact["last_name"],
            "email": contact["email"],
        }
        for position, contact in enumerate(crm.contacts())
        if contact["email"]
    ]
    ran = run(crm, singer(*records))
    assert ran.code == 0, ran.errors[-2000:]
    changed = sum(record["last_name"] == "Changed" for record in records)
    assert ran.requests["update"] == changed
    assert sum(ran.requests.values()) <= 100 + changed + 20


def test_a_small_input_does_not_page_through_a_large_crm(appcrm_sandbox_factory, run, person, singer):
    crm = appcrm_sandbox_factory(contacts=3_000)
    ran = run(crm, singer(person(1), person(2)))
    assert sum(ran.requests.values()) <= 6


def test_records_without_a_match_key_are_created_with_one_warning_that_names_the_settings(crm, run, singer):
    ran = run(crm, singer({"first_name": "A"}, {"first_name": "B"}, keys=[]))
    assert (ran.code, ran.operations) == (0, {"create": 2})
    warnings = [line for line in ran.errors.splitlines() if "WARNING" in line]
    (warning,) = [line for line in warnings if "SingerSDKPythonEOLWarning" not in line]
    assert "match_on" in warning
    assert "external_id_field" in warning


def test_a_phone_finds_its_contact_however_it_is_written(crm, run, person, singer):
    run(crm, singer(person(1, phones=[{"number": "+55 11 98888-0000", "type": "work"}])))
    again = {"first_name": "Again", "phones": [{"number": "5511988880000", "type": "work"}]}
    ran = run(crm, singer(again, keys=[]), match_on=["phones.number"])
    assert (ran.operations, ran.receipts[0]["changes"]) == (
        {"update": 1},
        {"first_name": ["First1", "Again"]},
    )


def test_a_dry_run_s_earlier_plans_survive_reading_the_contact_s_associations(crm, run, person, singer):
    run(crm, singer(person(1, city="Recife")))
    lines = singer(person(1, city="Olinda"), person(1, city="Natal", companies=[]))
    planned = run(crm, lines, dry_run=True)
    done = run(crm, lines)
    assert [receipt["changes"] for receipt in planned.receipts] == [
        receipt["changes"] for receipt in done.receipts
    ]


def test_a_plan_shows_no_id_for_a_contact_that_it_would_create(crm, run, person, singer):
    ran = run(crm, singer(person(1), person(1)), dry_run=True, mode="create_only")
    assert [receipt["contact_id"] for receipt in ran.receipts] == [None, None]
