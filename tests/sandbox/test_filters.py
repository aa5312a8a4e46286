"""`filters[…]`: which rows it lets through, by version."""

import itertools

import pytest

FILTERED = ["1.5", "1.6", "1.7"]
SINCE = "2026-02-01T10:00:00"


def filters(*rules, condition="and"):
    """Rules as (rule, operator, value) in the screen's grammar; no condition where it is None."""
    query = {} if condition is None else {"filters[condition]": condition}
    for number, (rule, operator, value) in enumerate(rules):
        child = f"filters[children][{number}]"
        query |= {f"{child}[type]": "rule", f"{child}[query][rule]": rule}
        query[f"{child}[query][operator]"] = operator
        values = value if isinstance(value, list) else [value]
        for position, item in enumerate(values):
            key = f"{child}[query][value]" + (f"[{position}]" if isinstance(value, list) else "")
            query[key] = item
    return query


@pytest.fixture
def crm(with_switches, request):
    """A CRM of the newest version, or of the one asked for: ids 1 to 4 updated at four seconds in a row."""
    crm = with_switches(app_version=getattr(request, "param", FILTERED[-1]))
    for contact_id, second in zip(range(1, 5), itertools.count(58)):
        moment = f"2026-02-01T{9 + second // 60:02}:{59 if second < 60 else 0:02}:{second % 60:02}.000000Z"
        crm.sandbox.mutate(set={str(contact_id): {"updated_at": moment}})
    return crm


@pytest.mark.parametrize("crm", FILTERED, indirect=True)
def test_updated_since_is_exact_to_the_second(crm):
    total = len(crm.ids(order="id", per_page=100, **filters(("updated_at", "greater_or_equal", f"{SINCE}Z"))))
    moved = crm.ids(
        order="id",
        per_page=100,
        **filters(("updated_at", "between", ["2026-02-01T09:59:59Z", "2026-02-01T10:00:00Z"])),
    )
    assert moved == [2, 3]
    sooner = crm.ids(per_page=100, **filters(("updated_at", "greater_or_equal", "2026-02-01T09:59:59Z")))
    assert len(sooner) == total + 1


def test_a_value_without_a_zone_is_in_the_users_own(crm):
    def ids(value):
        return crm.ids(order="id", per_page=100, **filters(("updated_at", "equal", value)))

    assert ids(f"{SINCE}Z") == ids("2026-02-01 07:00:00") == ids("2026-02-01T07:00:00-03:00") == [3]
    assert ids(SINCE) == []
    crm.sandbox.change_user(1, zone="UTC")
    assert ids(SINCE) == [3]


def test_an_unknown_rule_and_id_are_passed_over_without_a_word(crm):
    for rule in ("nothing", "id", "first_name"):
        answer = crm.get("/contacts", **filters((rule, "equal", "1")))
        assert (answer.status_code, answer.json()["meta"]["total"]) == (200, 25)
    nobody = filters(("updated_at", "greater", "2999-01-01T00:00:00Z"), ("nothing", "equal", "1"))
    assert crm.ids(**nobody) == []


def test_addresses_tags_sources_and_custom_fields_are_rules_too(crm):
    tag = crm.get("/contacts/1").json()["tags"]
    contact_id = crm.new(
        email="a@x.example", tags=["filtrado"], source_id=3, cf_nickname="Zazá", cf_loyalty_points=987_654,
        cf_segment=2, cf_interests=[5], cf_newsletter=True, cf_birthday="1990-05-01", cf_credit_limit=1.5,
    )  # fmt: skip
    tag = crm.get(f"/contacts/{contact_id}").json()["tags"][0]["id"]
    alone = [
        ("email", "equal", "A@x.example"),
        ("email", "begins_with", "a@x."),
        ("tags", "in", [tag]),
        ("cf_nickname", "equal", "Zazá"),
        ("cf_loyalty_points", "equal", "987654"),
    ]
    for rule in alone:
        assert crm.ids(**filters(rule)) == [contact_id], rule
    shared = [
        ("source_id", "equal", "3"),
        ("cf_segment", "in", ["2"]),
        ("cf_interests", "in", ["5"]),
        ("cf_newsletter", "equal", "1"),
        ("cf_birthday", "equal", "1990-05-01"),
        ("cf_credit_limit", "between", ["1.4", "1.6"]),
        ("created_at", "greater", "2026-02-01T00:00:00Z"),
    ]
    for rule in shared:
        assert contact_id in crm.ids(per_page=100, **filters(rule)), rule
    assert crm.ids(**filters(alone[0], *shared)) == [contact_id]


def test_a_list_in_the_trash_and_lists_of_companies_are_filtered_too(crm):
    since = filters(("updated_at", "greater_or_equal", f"{SINCE}Z"))
    crm.delete("/contacts/2")
    trash = crm.get("/trashed/contacts", **since).json()
    assert [row["id"] for row in trash["data"]] == [2]
    assert crm.get("/companies", **since).json()["data"] == []
    company_id = crm.post("/companies", name="Nova").json()["id"]
    assert [row["id"] for row in crm.get("/companies", **since).json()["data"]] == [company_id]


def test_the_rules_that_are_known_are_listed(crm):
    rules = {rule["id"] for rule in crm.get("/contacts/rules").json()}
    assert {"created_at", "updated_at", "email", "tags", "source_id", "cf_segment"} <= rules
    assert "id" not in rules


@pytest.mark.parametrize("version", FILTERED)
def test_the_condition_must_be_sent_from_1_7_on(with_switches, version):
    crm = with_switches(app_version=version)
    query = filters(("updated_at", "greater", "2999-01-01T00:00:00Z"), condition=None)
    answer = crm.get("/contacts", **query)
    assert answer.status_code == (500 if version == "1.7" else 200)


@pytest.mark.parametrize(("version", "expected"), [("1.5", [3]), ("1.6", [1, 2, 3]), ("1.7", [1, 2, 3])])
def test_several_rules_on_one_field_with_or_become_the_last_one_in_1_5(with_switches, version, expected):
    crm = with_switches(app_version=version)
    for contact_id in (1, 2, 3):
        crm.sandbox.mutate(set={str(contact_id): {"email": f"c{contact_id}@x.example"}})
    rules = [("email", "equal", f"c{contact_id}@x.example") for contact_id in (1, 2, 3)]
    assert crm.ids(order="id", **filters(*rules, condition="or")) == expected


def test_thirty_addresses_fit_one_request_from_1_6_on(make_crm):
    crm = make_crm(app_version="1.6", contacts=60)
    emails = [row["email"] for row in crm.sandbox.contacts() if row["email"]][:30]
    query = filters(*(("email", "equal", email) for email in emails), condition="or")
    rows = crm.get("/contacts", per_page=100, order="id", **query).json()["data"]
    assert [row["email"] for row in rows] == emails


def test_there_are_no_filters_in_1_1(with_switches):
    crm = with_switches(app_version="1.1")
    nobody = filters(("updated_at", "greater", "2999-01-01T00:00:00Z"))
    assert crm.get("/contacts", **nobody).json()["meta"]["total"] == 25
    assert crm.get("/contacts/rules").status_code == 404


def test_a_value_that_cannot_be_read_is_a_500(crm):
    assert crm.get("/contacts", **filters(("updated_at", "greater", "soon"))).status_code == 500
