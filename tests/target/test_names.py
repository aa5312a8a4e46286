"""Names stand for ids: what a record names becomes what the CRM has, or the record is refused with a clear reason."""

from __future__ import annotations

import json
import urllib.request

import pytest

FREE = {"type": "object", "properties": {"email": {}, "first_name": {}}}


VERSIONS = ("1.1", "1.5", "1.6", "1.7")


@pytest.fixture
def named(appcrm_sandbox_factory, run, singer, person):
    return writer(appcrm_sandbox_factory(contacts=30), run, singer, person)


@pytest.fixture(params=VERSIONS)
def versioned(request, appcrm_sandbox_factory, run, singer, person):
    return writer(appcrm_sandbox_factory(contacts=30, app_version=request.param), run, singer, person)


def writer(crm, run, singer, person):

    def write(*, people=1, settings=None, **fields):
        ran = run(crm, singer(*(person(n, **fields) for n in range(people)), schema=FREE), **(settings or {}))
        return crm, ran

    return write


def call(crm, path, body=None):
    request = urllib.request.Request(  # noqa: S310  the sandbox's own address
        f"{crm.url}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {crm.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310  the same
        return json.load(answer)


def first(crm, path):
    content = call(crm, path)
    return (content if isinstance(content, list) else content["data"])[0]


def company(crm, name, **fields):
    return call(crm, "companies", {"name": name, **fields})["id"]


def test_companies_and_an_owner_are_found_by_name(versioned):
    named = versioned
    crm, _ = named(people=0)
    first_company, user, source = (first(crm, path) for path in ("companies", "users", "sources"))
    for company_name, user_name in (
        (first_company["name"], user["email"]),
        ({"name": first_company["name"].upper()}, user["name"]),
    ):
        crm, ran = named(people=3, companies=[company_name], user_id=user_name, source_id=source["name"])
        assert ran.code == 0, ran.errors[-800:]
    contact = crm.find("person0@example.com")
    assert (contact["companies"], contact["user_id"], contact["source_id"]) == (
        [first_company["id"]],
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


def test_a_name_that_two_companies_have_refuses_its_record_and_shows_their_ids(versioned):
    crm, _ = versioned(people=0)
    ids = [company(crm, "Twin Ltda"), company(crm, "TWIN LTDA")]
    assert versioned(companies=["Twin Ltda"])[1].operations == {"create": 1}
    assert crm.find("person0@example.com")["companies"] == ids[:1]
    assert versioned(companies=["twin ltda"])[1].operations == {"reject": 1}
    company(crm, "Twin Ltda")
    _, ran = versioned(companies=["Twin Ltda"])
    assert ran.operations == {"reject": 1}
    assert str(ids[0]) in ran.receipts[0]["reason"]


@pytest.mark.parametrize(
    "name", ["A: Norte", "Norte, Sul & Cia", "a:b", ":x", "http://norte.example", "12345"]
)
def test_a_company_of_an_odd_name_is_found_and_never_doubled(versioned, name):
    crm, _ = versioned(people=0)
    held = company(crm, name)
    for operations in ({"create": 2}, {"unchanged": 2}):
        _, ran = versioned(people=2, companies=[name], settings={"unknown_names": "create"})
        assert (ran.code, ran.operations) == (0, operations), ran.errors[-600:]
    assert crm.find("person0@example.com")["companies"] == [held]


def test_a_company_is_found_by_its_domain(versioned):
    crm, _ = versioned(people=0)
    held = company(crm, "Domain Ltda", domain="domain-ltda.example")
    _, ran = versioned(companies=[{"domain": "domain-ltda.example"}])
    assert (ran.code, crm.find("person0@example.com")["companies"]) == (0, [held]), ran.errors[-600:]


def test_text_of_digits_is_a_label_first_then_an_id_and_refused_where_both_are_there(named):
    crm, _ = named(people=0)
    assert named(companies=["2"])[1].operations == {"create": 1}
    assert crm.find("person0@example.com")["companies"] == [2]
    held = company(crm, "777")
    named(companies=["777"])
    assert crm.find("person0@example.com")["companies"] == [held]
    company(crm, "3")
    _, ran = named(companies=["3"])
    assert ran.operations == {"reject": 1}
    assert named(companies=[3])[1].code == 0
    crm.declare_field("cf_size", "select", ["10", "2"])
    assert named(cf_size="10", companies=[3])[1].operations == {"update": 1}
    ids = [
        option["id"]
        for each in call(crm, "contacts/index-fields")
        if each["attribute"] == "cf_size"
        for option in each["options"]
    ]
    assert crm.find("person0@example.com")["cf_size"] == ids[0]


@pytest.mark.parametrize("path", ["users", "companies", "index-fields"])
def test_a_list_that_may_not_be_read_leaves_ids_unchecked_and_names_unknown_and_the_run_goes_on(named, path):
    crm, _ = named(people=0)
    user = first(crm, "users")
    crm.faults({"path": f".*{path}.*", "status": 403, "body": {"message": "no"}})
    by_id = {
        "users": {"user_id": user["id"]},
        "companies": {"companies": [1]},
        "index-fields": {"cf_segment": 1},
    }
    _, ran = named(**by_id[path])
    assert (ran.code, ran.operations) == (0, {"create": 1}), ran.errors[-600:]
    by_name = {
        "users": {"user_id": user["name"]},
        "companies": {"companies": ["Any"]},
        "index-fields": {"cf_segment": "Atacadoo"},
    }
    _, ran = named(**by_name[path])
    assert ran.operations == {"reject": 1}, ran.errors[-600:]
    assert "does not let this token read" in ran.errors
    assert crm.find("person0@example.com")["cf_segment"] in (None, 1)


def test_a_name_that_is_skipped_takes_nothing_from_a_contact(named):
    crm, ran = named(companies=[1, 2], user_id=1)
    assert ran.code == 0, ran.errors[-500:]
    _, ran = named(companies=["Nobody", 3], user_id="Nobody", settings={"unknown_names": "skip"})
    assert (ran.code, ran.operations) == (0, {"attach": 1}), ran.errors[-500:]
    contact = crm.find("person0@example.com")
    assert (contact["companies"], contact["user_id"]) == ([1, 2, 3], 1)
    assert "2 names that the CRM does not have skipped" in ran.errors


def test_a_required_field_that_is_missing_is_a_reject_without_a_request(named, run, singer, person):
    crm, _ = named(people=0)
    crm.declare_field("cf_needed", "text", required=True)
    records = [person(0, cf_text="x"), person(1, cf_needed="y"), person(1, city="Recife")]
    ran = run(crm, singer(*records, schema=FREE))
    assert (ran.operations, ran.requests["create"]) == ({"reject": 1, "create": 1, "update": 1}, 1)
    assert "cf_needed is missing" in ran.receipts[0]["reason"]


def test_an_external_id_field_that_is_not_unique_is_warned_of(named):
    crm, _ = named(people=0)
    crm.declare_field("cf_source_key", "text")
    _, ran = named(cf_source_key="K1", settings={"external_id_field": "cf_source_key"})
    assert "cf_source_key is not unique in the CRM" in ran.errors
    crm.declare_field("cf_unique_key", "text", unique=True)
    _, ran = named(cf_unique_key="K1", settings={"external_id_field": "cf_unique_key"})
    assert "not unique" not in ran.errors


@pytest.mark.parametrize(("app_version", "most"), [("1.1", 7), ("1.5", 4), ("1.6", 4), ("1.7", 7)])
def test_many_companies_are_found_in_few_requests(
    appcrm_sandbox_factory, run, singer, person, app_version, most
):
    crm = appcrm_sandbox_factory(contacts=3_000, app_version=app_version)
    names = [
        row["name"]
        for page in (1, 2, 3)
        for row in call(crm, f"companies?per_page=100&order=id&page={page}")["data"]
    ]
    unique = [name for name in dict.fromkeys(names) if names.count(name) == 1][:150]
    records = [person(n, companies=[name]) for n, name in enumerate(unique)]
    ran = run(crm, singer(*records, schema=FREE))
    assert ran.operations["create"] >= 100, ran.errors[-600:]
    asked = [entry for entry in crm.log() if "/companies" in entry["path"]]
    assert len(asked) <= most, len(asked)


def test_receipts_carry_the_names_behind_the_ids(named):
    crm, _ = named(people=0)
    held, user = first(crm, "companies"), first(crm, "users")
    _, ran = named(companies=[held["name"]], user_id=user["email"], cf_segment="atacado")
    names = ran.receipts[0]["names"]
    segment = crm.find("person0@example.com")["cf_segment"]
    assert names["companies"] == {str(held["id"]): held["name"]}
    assert names["user_id"] == {str(user["id"]): user["name"]}
    assert names["cf_segment"] == {str(segment): "Atacado"}


def test_nothing_but_companies_is_ever_created_and_no_option_or_source_by_a_slip(named):
    crm, _ = named(people=0)
    before = [
        call(crm, path)
        for path in ("sources?per_page=100", "contacts/index-fields", "users", "deals?order=id")
    ]
    for settings in ({}, {"unknown_names": "skip"}, {"unknown_names": "create"}):
        named(
            source_id="Sourcee",
            cf_segment="Atacadoo",
            cf_interests=["Musicaa"],
            deals=["Deall"],
            settings=settings,
        )
        named(source_id="Sourcee", settings=settings)
    after = [
        call(crm, path)
        for path in ("sources?per_page=100", "contacts/index-fields", "users", "deals?order=id")
    ]
    assert before == after


def test_a_plan_names_the_company_that_it_would_create_and_only_that_one_is_created(
    named, run, singer, person, tmp_path
):
    crm, _ = named(people=0)
    plan, create = tmp_path / "plan.jsonl", {"unknown_names": "create"}
    lines = singer(*(person(n, companies=["Neue GmbH"]) for n in range(2)), schema=FREE)
    before = call(crm, "companies")["meta"]["total"]
    ran = run(crm, lines, dry_run=True, **create)
    assert ran.operations == {"create": 2}
    assert "1 company would be created" in ran.errors
    assert [r["names"] for r in ran.receipts] == [{"companies": {"-1": "Neue GmbH"}}] * 2
    assert call(crm, "companies")["meta"]["total"] == before
    plan.write_bytes((tmp_path / "receipts.singer.jsonl").read_bytes())
    other = lines + singer(person(9, companies=["Andere GmbH"]), schema=FREE)
    ran = run(crm, other, plan_path=str(plan), **create)
    assert ran.operations == {"create": 2, "reject": 1}, ran.errors[-600:]
    assert call(crm, "companies")["meta"]["total"] == before + 1
    assert len({tuple(crm.find(f"person{n}@example.com")["companies"]) for n in range(2)}) == 1
    assert run(crm, lines, plan_path=str(plan), **create).operations == {"unchanged": 2}


def test_nothing_is_sent_in_vain_in_a_second_run_either(named):
    clear = {"null_handling": "clear"}
    _, ran = named(cf_segment="atacado", cf_credit_limit=None, companies=[1, 99_999])
    assert (ran.code, ran.operations) == (0, {"create": 1}), ran.errors[-500:]
    for _ in range(2):
        _, ran = named(cf_segment=None, cf_credit_limit=None, companies=[1, 99_999], settings=clear)
        assert (ran.operations, ran.requests["update"]) == ({"unchanged": 1}, 0), ran.errors[-500:]
        assert "Not emptied, because the CRM does not empty such fields: cf_segment" in ran.errors
        assert ran.errors.count("left out") == 1
