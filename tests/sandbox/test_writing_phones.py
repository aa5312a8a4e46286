"""Phones as they are written."""

import pytest

BRAZIL, PORTUGAL = 1, 2


APP_VERSION = "1.1"


def _phones(crm, contact_id):
    return [(phone["number"], phone["type"]) for phone in crm.sandbox.contact(contact_id)["phones"]]


def test_objects_texts_and_numbers_with_a_type_behind_a_bar_are_taken(crm, number):
    first, second, third, fourth = (f"+55 {number()}" for _ in range(4))
    contact_id = crm.new(
        phones=[{"number": first, "type": "other"}, second, f"{third}|work", {"number": fourth}]
    )
    assert _phones(crm, contact_id) == [
        (first, "other"), (second, "mobile"), (third, "work"), (fourth, "mobile"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["fax", "Work", {}, 7, None, ""])
def test_an_unknown_type_becomes_mobile(crm, number, kind):
    phone = f"+55 {number()}"
    assert _phones(crm, crm.new(phones=[{"number": phone, "type": kind}])) == [(phone, "mobile")]


def test_empty_numbers_are_dropped(crm, number):
    phone = f"+55 {number()}"
    phones = [{"number": ""}, {"number": None}, {"type": "work"}, "", "|work", None, phone]
    assert _phones(crm, crm.new(phones=phones)) == [(phone, "mobile")]


@pytest.mark.parametrize("nothing", [None, []])
def test_null_and_an_empty_list_clear_the_phones(crm, number, nothing):
    contact_id = crm.new(phones=[f"+55 {number()}"])
    assert crm.change(contact_id, phones=nothing)["phones"] == []


def test_a_put_replaces_the_phones(crm, number):
    old, kept, new = (f"+55 {number()}" for _ in range(3))
    contact_id = crm.new(phones=[old, kept])
    ids = {phone["number"]: phone["id"] for phone in crm.get(f"/contacts/{contact_id}").json()["phones"]}
    shown = crm.change(contact_id, phones=[kept, new])["phones"]
    assert [phone["number"] for phone in shown] == [kept, new]
    assert shown[0]["id"] == ids[kept]


def test_a_missing_prefix_comes_from_the_country_in_the_body(crm, number):
    phone = number()
    contact_id = crm.new(country_id=PORTUGAL, phones=[{"number": phone, "type": "work"}])
    assert _phones(crm, contact_id) == [(f"+351{phone}", "work")]


def test_a_missing_prefix_comes_from_the_country_of_the_contact(crm, number):
    phone, contact_id = number(), crm.new(country_id=PORTUGAL)
    crm.change(contact_id, phones=[phone])
    assert _phones(crm, contact_id) == [(f"+351{phone}", "mobile")]


def test_a_missing_prefix_comes_from_the_country_of_a_company(crm, number):
    first, second = number(), number()
    company = crm.post("/companies", name="Acme", country_id=BRAZIL).json()["id"]
    contact_id = crm.new(companies=[company], phones=[first])
    assert _phones(crm, contact_id) == [(f"+55{first}", "mobile")]
    crm.change(contact_id, phones=[second])
    assert _phones(crm, contact_id) == [(f"+55{second}", "mobile")]


def test_a_missing_prefix_that_no_country_gives_is_refused_on_the_number(crm, number):
    assert crm.refused(phones=[f"+55 {number()}", number()]) == ["phones.1.number"]
    assert crm.refused(phones=["", number()]) == ["phones.1.number"]


def test_the_prefix_is_a_setting_of_the_crm(crm, number):
    crm.sandbox.settings(phone_prefix=False)
    phone = number()
    assert _phones(crm, crm.new(country_id=BRAZIL, phones=[phone])) == [(phone, "mobile")]


def test_a_number_with_its_prefix_put_in_front_is_no_change(crm, number):
    phone = number()
    contact_id = crm.new(country_id=BRAZIL, phones=[phone])
    before = crm.get(f"/contacts/{contact_id}").json()["phones"]
    crm.sandbox.advance_clock(60)
    assert crm.change(contact_id, phones=[phone])["phones"] == before
    assert crm.stamp(contact_id) == "2026-06-01T08:00:00.000000Z"


def test_a_phone_of_another_contact_is_refused_after_the_prefix_was_put_in_front(crm, number):
    phone = number()
    holder = crm.new(phones=[f"+55{phone}"])
    assert crm.refused(country_id=BRAZIL, phones=[f"+55 {number()}", phone]) == ["phones.1.number"]
    other = crm.new()
    answer = crm.put(f"/contacts/{other}", first_name="Ana", phones=[f"+55{phone}"])
    assert list(answer.json()["errors"]) == ["phones.0.number"]
    crm.new(country_id=PORTUGAL, phones=[phone])
    crm.change(holder, phones=[f"+55{phone}"])


def test_a_phone_is_taken_by_a_contact_in_the_trash(crm, number):
    phone = f"+55 {number()}"
    crm.delete(f"/contacts/{crm.new(phones=[phone])}")
    assert crm.refused(phones=[phone]) == ["phones.0.number"]


def test_unique_phones_are_a_setting_of_the_crm(crm, number):
    phone = f"+55 {number()}"
    crm.new(phones=[phone])
    crm.sandbox.settings(phone_unique=False)
    crm.new(phones=[phone])
