"""What other records a body may name: sources, owners, countries, companies, deals, activities."""

import itertools

import pytest

APP_VERSION = "1.1"
_COUNT = itertools.count(1)


@pytest.fixture
def company(crm):
    """Makes companies; gives id and name."""

    def make(**body):
        name = f"Acme {next(_COUNT)} Ltda"
        answer = crm.post("/companies", **{"name": name, **body})
        assert answer.status_code == 201
        return answer.json()["id"], name

    return make


def _held(crm, contact_id):
    row = crm.sandbox.contact(contact_id)
    return row["companies"], row["deals"], row["activities"]


def test_a_source_is_written_by_id_or_name(crm):
    for value in (2, "2", "Indicação"):
        assert crm.sandbox.contact(crm.new(source_id=value))["source_id"] == 2


def test_an_unknown_source_is_created(crm):
    name = f"Feirão {next(_COUNT)}"
    first, second = crm.new(source_id=name), crm.new(source_id=name)
    shown = crm.get(f"/contacts/{first}").json()
    assert shown["source"] == {"id": shown["source_id"], "name": name}
    assert crm.sandbox.contact(second)["source_id"] == shown["source_id"] > 6
    assert crm.refused(source_id=99_999) == ["source_id"]


@pytest.mark.parametrize("value", [2, "2", "Portugal", "PORTUGAL", "PT", "pt"])
def test_a_country_is_written_by_id_name_or_iso_code(crm, value):
    assert crm.sandbox.contact(crm.new(country_id=value))["country_id"] == 2


@pytest.mark.parametrize("value", [2, "2", "Bruno Lima", "bruno lima"])
def test_an_owner_is_written_by_id_or_name(crm, value):
    contact = crm.get(f"/contacts/{crm.new(user_id=value)}").json()
    assert (contact["user_id"], contact["user"]["name"]) == (2, "Bruno Lima")
    assert contact["owner_assigned_date"] == contact["created_at"]


@pytest.mark.parametrize(
    "value", [99_999, "99999", "Nobody", "brunolima@appcrm.example", 0, -1, True, 1.5, []]
)
@pytest.mark.parametrize("name", ["user_id", "country_id"])
def test_an_unknown_owner_or_country_is_refused(crm, name, value):
    assert crm.refused(**{name: value}) == [name]


def test_companies_and_deals_are_written_by_id_and_name(crm, company):
    (first, name), (second, _) = company(), company()
    deal = crm.post("/deals", name=f"Projeto {next(_COUNT)}", stage_id=1).json()
    contact_id = crm.new(companies=[name.upper(), str(second)], deals=[deal["name"]])
    assert _held(crm, contact_id) == ([first, second], [deal["id"]], [])


def test_unknown_invisible_and_deleted_companies_are_dropped_in_silence(crm, company):
    (shown, _), (hidden, name), (deleted, _) = company(), company(), company()
    crm.sandbox.mutate(companies={"hide": [hidden]})
    crm.delete(f"/companies/{deleted}")
    contact_id = crm.new(companies=[99_999, shown, hidden, name, deleted, "Nobody SA"], deals=[99_999])
    assert _held(crm, contact_id) == ([shown], [], [])
    crm.change(contact_id, companies=[99_999])
    assert _held(crm, contact_id) == ([], [], [])


def test_a_put_replaces_the_sets_that_it_names_and_null_names_none(crm, company):
    (first, _), (second, _) = company(), company()
    contact_id = crm.new(companies=[first], deals=[1])
    crm.change(contact_id, companies=[second], deals=None)
    assert _held(crm, contact_id) == ([second], [1], [])
    crm.change(contact_id, companies=[])
    assert _held(crm, contact_id) == ([], [1], [])


def test_activities_in_a_body_are_synced(crm):
    contact_id = crm.new(activities=[1, 99_999])
    assert _held(crm, contact_id)[2] == [1]
    crm.change(contact_id, last_name="Silva")
    crm.change(contact_id, activities=None)
    assert _held(crm, contact_id)[2] == [1]
    crm.change(contact_id, activities=[2])
    assert _held(crm, contact_id)[2] == [2]
    crm.change(contact_id, activities=[])
    assert _held(crm, contact_id)[2] == []


def test_a_new_contact_gets_all_companies_of_its_email_domain_beside_those_it_names(crm, company):
    domain = f"acme{next(_COUNT)}.example"
    (first, _), (second, _), (other, _) = company(domain=domain), company(domain=domain), company()
    assert _held(crm, crm.new(email=f"a@{domain}"))[0] == [first, second]
    assert _held(crm, crm.new(email=f"b@{domain.upper()}", companies=[other, first]))[0] == [
        first,
        second,
        other,
    ]
    assert _held(crm, crm.new(email=f"c@{domain}", companies=[]))[0] == [first, second]
    assert _held(crm, crm.new(email=f"d@sub.{domain}"))[0] == []


def test_only_a_create_attaches_by_domain_and_a_setting_turns_it_off(crm, company):
    domain = f"acme{next(_COUNT)}.example"
    company(domain=domain)
    contact_id = crm.new()
    crm.change(contact_id, email=f"a@{domain}")
    assert _held(crm, contact_id)[0] == []
    crm.sandbox.settings(attach_by_domain=False)
    assert _held(crm, crm.new(email=f"b@{domain}"))[0] == []
