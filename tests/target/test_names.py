"""Names stand for ids: what a record names becomes what the CRM has, or the record is refused with a clear reason."""

from __future__ import annotations

import json
import urllib.request

import pytest

FREE = {"type": "object", "properties": {"email": {}, "first_name": {}}}


@pytest.fixture
def named(appcrm_sandbox_factory, run, singer, person):
    crm = appcrm_sandbox_factory(contacts=30)

    def write(*, people=1, settings=None, **fields):
        ran = run(crm, singer(*(person(n, **fields) for n in range(people)), schema=FREE), **(settings or {}))
        return crm, ran

    return write


def first(crm, path):
    request = urllib.request.Request(  # noqa: S310  the sandbox's own address
        f"{crm.url}/{path}", headers={"Authorization": f"Bearer {crm.token}", "Accept": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310  the same
        content = json.load(answer)
    return (content if isinstance(content, list) else content["data"])[0]


def test_companies_and_an_owner_are_found_by_name(named):
    crm, _ = named(people=0)
    company, user, source = (first(crm, path) for path in ("companies", "users", "sources"))
    for company_name, user_name in (
        (company["name"], user["email"]),
        ({"name": company["name"].upper()}, user["name"]),
    ):
        crm, ran = named(people=3, companies=[company_name], user_id=user_name, source_id=source["name"])
        assert ran.code == 0, ran.errors[-800:]
    contact = crm.find("person0@example.com")
    assert (contact["companies"], contact["user_id"], contact["source_id"]) == (
        [company["id"]],
        user["id"],
        source["id"],
    )
    assert ran.operations == {"unchanged": 3}


@pytest.mark.parametrize("field", ["companies", "deals"])
@pytest.mark.parametrize("name", ["Nobody Ltda", "x" * 300, "No: Body", "No, Body", "\u200bnobody"])
def test_a_company_that_is_not_there_refuses_its_record_and_creates_nothing(named, field, name):
    crm, ran = named(**{field: [name]})
    assert ran.operations == {"reject": 1}
    assert crm.find("person0@example.com") is None
    assert named(settings={"unknown_names": "skip"}, **{field: [name]})[1].operations == {"create": 1}


@pytest.mark.parametrize("field", ["user_id", "source_id", "country_id"])
def test_an_unknown_owner_source_or_country_refuses_its_record(named, field):
    for value in ("Nobody at all", 99_999):
        _, ran = named(**{field: value})
        assert ran.operations == {"reject": 1}, ran.errors[-500:]


def test_a_company_may_be_created_by_its_name_once(named):
    crm, ran = named(people=3, companies=["Neue GmbH"], settings={"unknown_names": "create"})
    assert (ran.code, ran.operations) == (0, {"create": 3}), ran.errors[-500:]
    assert len({tuple(crm.find(f"person{n}@example.com")["companies"]) for n in range(3)}) == 1


def test_an_id_that_the_crm_does_not_have_is_left_out_and_not_tried_again(named):
    for operation in ("create", "unchanged"):
        crm, ran = named(companies=[1, 99_999])
        assert ran.operations == {operation: 1}, ran.errors[-500:]
        assert "1 id of companies left out" in ran.errors
    assert crm.find("person0@example.com")["companies"] == [1]


def test_labels_become_options_and_values_are_checked_before_they_are_sent(named):
    crm, ran = named(
        cf_segment="atacado", cf_interests=["Música", "viagem"], cf_birthday="1990-05-01T22:30:00-03:00"
    )
    assert ran.code == 0, ran.errors[-800:]
    assert crm.find("person0@example.com")["cf_birthday"].startswith("1990-05-01")
    assert named(cf_segment="atacado", cf_interests=["Viagem", "MÚSICA"])[1].operations == {"unchanged": 1}
    for field, value in (("cf_segment", "Atacadoo"), ("cf_credit_limit", -1), ("cf_loyalty_points", 2**31)):
        _, ran = named(**{field: value})
        assert (ran.operations, ran.requests["update"]) == ({"reject": 1}, 0), ran.errors[-500:]
