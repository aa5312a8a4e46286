"""How many requests it takes to find contacts, on each version of AppCRM, and what is never sent."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from appcrm.abilities import Abilities, Ability
from target_appcrm.match.ways import NOBODY, VALUES_PER_FILTER, Way, batches, filter_query, fits, way_for

VERSIONS = ("1.1", "1.5", "1.6", "1.7")
LOOKUPS = ("list", "search", "retrieve")


@pytest.mark.parametrize(
    ("version", "field", "ways"),
    [
        ("1.1", "email", [Way.SINGLE]),
        ("1.5", "email", [Way.IN, Way.SINGLE]),
        ("1.6", "email", [Way.IN, Way.FILTERS, Way.SINGLE]),
        ("1.7", "email", [Way.FILTERS, Way.SINGLE]),
        ("2.3", "cf_key", [Way.FILTERS, Way.SINGLE]),
        ("1.7", "id", [Way.IN, Way.SINGLE]),
        ("1.7", "phones.number", [Way.SINGLE]),
        ("1.6", "phones.number", [Way.IN, Way.SINGLE]),
        (None, "email", [Way.IN, Way.FILTERS, Way.SINGLE]),
    ],
)
def test_a_way_is_chosen_from_the_version_and_the_next_one_where_it_is_disproven(version, field, ways):
    disproven = []
    for way in ways:
        assert way_for(Abilities(app_version=version), field, disproven) is way
        disproven.append(way)


def test_what_an_answer_showed_counts_before_the_version():
    shown = Abilities(app_version="1.7").with_seen(Ability.SEARCH_IN, works=True)
    assert way_for(shown, "email", ()) is Way.IN


@pytest.mark.parametrize(
    ("way", "text", "carried"),
    [
        (Way.IN, "a,b", False),
        (Way.IN, "a:b", False),
        (Way.IN, "ab", True),
        (Way.FILTERS, "a,b", True),
        (Way.FILTERS, "a:b", True),
        (Way.SINGLE, "a,b", True),
        (Way.SINGLE, "a:b", False),
    ],
)
def test_a_value_goes_only_where_it_is_read_as_itself(way, text, carried):
    assert fits(way, "cf_key", text) is carried


def test_some_thirty_addresses_fit_a_request_of_8_kb():
    addresses = [f"person{n}.of.a.family@example.com" for n in range(200)]
    plan = batches(Way.FILTERS, "email", addresses)
    assert [address for some in plan for address in some] == addresses
    assert 25 <= len(plan[0]) <= VALUES_PER_FILTER
    longest = max(len(urlencode(filter_query("email", [NOBODY, *some, NOBODY]))) for some in plan)
    assert longest < 8_192
    assert NOBODY not in addresses


@pytest.fixture(params=VERSIONS)
def versioned(request, appcrm_sandbox_factory):
    return lambda **options: appcrm_sandbox_factory(app_version=request.param, **options)


def looked_up(ran):
    return sum(ran.requests[name] for name in LOOKUPS)


@pytest.mark.parametrize("version", ["1.5", "1.6", "1.7"])
def test_200_changed_records_in_20_000_contacts_are_found_in_ten_requests(
    appcrm_sandbox_factory, run, singer, version
):
    crm = appcrm_sandbox_factory(contacts=20_000, app_version=version)
    rows = [row for row in crm.contacts() if row["email"]][100:20_000:90][:200]
    records = [{"email": row["email"], "first_name": "Changed"} for row in rows]
    ran = run(crm, singer(*records))
    assert (ran.code, ran.operations) == (0, {"update": 200}), ran.errors[-600:]
    assert looked_up(ran) <= 10, ran.requests


def test_new_and_known_records_are_told_apart_on_every_version(versioned, run, singer, person):
    crm = versioned(contacts=350)
    known = [row["email"] for row in crm.contacts() if row["email"]][:30]
    records = [person(n, email=address.upper()) for n, address in enumerate(known)]
    ran = run(crm, singer(*records, *(person(1_000 + n) for n in range(30))))
    assert (ran.code, ran.operations) == (0, {"update": 30, "create": 30}), ran.errors[-600:]


def test_rows_that_carry_their_associations_cost_no_retrieve(versioned, run, singer, person):
    crm = versioned(contacts=350)
    records = [person(n, companies=[1, 2]) for n in range(20)]
    assert run(crm, singer(*records)).operations == {"create": 20}
    ran = run(crm, singer(*records))
    assert ran.operations == {"unchanged": 20}, ran.errors[-600:]
    assert ran.requests["retrieve"] == 0


@pytest.mark.parametrize(
    "key", ["urn:source:17", "K:1", "a,b", "x:y,z", ":first", "http://source.example/17"]
)
def test_a_key_that_the_search_cannot_carry_is_found_and_never_doubled(versioned, run, singer, person, key):
    crm = versioned(contacts=120)
    crm.declare_field("cf_key", "text")
    records = [person(1, cf_key=key), *(person(n, cf_key=f"K{n}") for n in range(2, 8))]
    for operations in ({"create": 7}, {"unchanged": 7}):
        ran = run(crm, singer(*records), match_on=["cf_key"])
        assert (ran.code, ran.operations) == (0, operations), ran.errors[-600:]
    run(crm, singer({**person(1), "email": None, "cf_key": key, "city": "Recife"}), match_on=["cf_key"])
    assert [row["city"] for row in crm.contacts() if row["cf_key"] == key] == ["Recife"]


@pytest.mark.parametrize(
    ("held", "given"),
    [
        ("+351 912 345 678", "+351912345678"),
        ("+351912345678", "00351 912-345-678"),
        ("+351.912.345.678", "912 345 678"),
        ("+351 (912) 34 56 78", "+351912345678"),
    ],
)
@pytest.mark.parametrize("contacts", [40, 1_300])
def test_a_phone_is_found_however_it_is_written(appcrm_sandbox_factory, run, singer, held, given, contacts):
    crm = appcrm_sandbox_factory(contacts=contacts)
    crm.mutate(insert=[{"first_name": "P", "phones": [{"number": held, "type": "work"}]}])
    record = {"first_name": "P", "city": "Porto", "phones": [{"number": given}]}
    ran = run(crm, singer(record, keys=[]), match_on=["phones.number"])
    assert (ran.code, ran.operations) == (0, {"update": 1}), ran.errors[-600:]


@pytest.mark.parametrize(
    ("held", "given"),
    [
        ("hugo@exemplo.com", "\ufeffhugo@exemplo.com"),
        ("jos\u00e9@exemplo.com", "jose\u0301@exemplo.com"),
        ("jose\u0301@exemplo.com", "JOS\u00c9@exemplo.com"),
        ("j@xn--bcher-kva.example", "j@b\u00fccher.example"),
        ("j@b\u00fccher.example", "j@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_found_in_whatever_form_the_crm_holds_it(versioned, run, singer, held, given):
    crm = versioned(contacts=150)
    crm.mutate(insert=[{"first_name": "H", "email": held}])
    ran = run(crm, singer({"first_name": "H", "email": given, "city": "Recife"}))
    assert (ran.code, ran.operations) == (0, {"update": 1}), ran.errors[-600:]


@pytest.mark.parametrize(
    ("held", "given"),
    [("strasse@x.example", "stra\u00dfe@x.example"), ("kim@x.example", "\u212aim@x.example")],
)
def test_a_stranger_s_contact_is_never_taken_for_one_s_own(versioned, run, singer, held, given):
    crm = versioned(contacts=0)
    crm.mutate(insert=[{"first_name": "Stranger", "email": held}])
    run(crm, singer({"first_name": "Mine", "email": given}))
    assert crm.find(held)["first_name"] == "Stranger"


@pytest.mark.parametrize(
    ("kind", "one", "other", "operations"),
    [
        ("integer", 12.0, "12", {"create": 1, "update": 1}),
        ("integer", "77.00", 77, {"create": 1, "update": 1}),
        ("integer", "0078", "78", {"create": 1, "update": 1}),
        ("decimal", "77.00", 77, {"create": 1, "update": 1}),
        ("text", 12, "12", {"create": 1, "update": 1}),
        ("text", "a", "A", {"create": 2}),
        ("text", "0078", "78", {"create": 2}),
    ],
)
def test_a_key_is_compared_as_the_crm_stores_it(crm, run, singer, kind, one, other, operations):
    crm.declare_field("cf_given", kind)
    schema = {"type": "object", "properties": {"first_name": {}, "city": {}, "cf_given": {}}}
    records = [
        {"first_name": "A", "city": "x", "cf_given": one},
        {"first_name": "A", "city": "y", "cf_given": other},
    ]
    ran = run(crm, singer(*records, schema=schema, keys=[]), match_on=["cf_given"])
    assert (ran.code, ran.operations) == (0, operations), ran.errors[-600:]
    again = run(crm, singer(records[1], schema=schema, keys=[]), match_on=["cf_given"])
    assert again.operations == {"unchanged": 1}, again.errors[-600:]


def test_keys_that_differ_in_capitals_alone_are_two_contacts(crm, run, singer, person):
    records = [person(1, cf_key="0015A00002aBcDe"), person(2, cf_key="0015A00002abcde")]
    crm.declare_field("cf_key", "text")
    assert run(crm, singer(*records), external_id_field="cf_key").operations == {"create": 2}
    assert run(crm, singer(*records), external_id_field="cf_key").operations == {"unchanged": 2}
