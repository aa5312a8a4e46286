"""Create, update, delete and the e-mail address; and what touches `updated_at`."""

import pytest

from appcrm_sandbox.app_version import VERSIONS
from tests.sandbox.conftest import LATER, NOW

FULL = {
    "first_name": "Ana", "last_name": "Souza", "tags": ["vip"], "user_id": 2, "source_id": 3, "country_id": 1,
    "job_title": "Piloto", "companies": [2], "deals": [1, 3], "activities": [1], "cf_segment": 1,
    "cf_interests": [5, 7], "cf_credit_limit": 12.5, "cf_birthday": "1980-02-29", "cf_newsletter": True,
}  # fmt: skip


@pytest.fixture
def full(crm, number):
    """A contact with something everywhere, and what it was made of, before the clock moves on."""
    body = {**FULL, "phones": [{"number": f"+55 {number()}", "type": "work"}]}
    contact_id = crm.new(**body)
    crm.sandbox.set_clock(LATER)
    return contact_id, body


def test_a_create_answers_201_with_the_bare_object(crm):
    answer = crm.post("/contacts", first_name="Ana")
    assert answer.status_code == 201
    assert (answer.json()["first_name"], answer.json()["was_recently_created"]) == ("Ana", True)


def test_an_update_answers_200_with_the_bare_full_object(crm, full):
    answer = crm.put(f"/contacts/{full[0]}", first_name="Bia")
    assert answer.status_code == 200
    contact = answer.json()
    assert (contact["first_name"], contact["last_name"], contact["id"]) == ("Bia", "Souza", full[0])
    assert [company["id"] for company in contact["companies"]] == [2]
    assert [deal["id"] for deal in contact["deals"]] == [1, 3]


def test_a_delete_answers_204_with_nothing_and_sets_updated_at(crm, full):
    answer = crm.delete(f"/contacts/{full[0]}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert crm.stamp(full[0]) == LATER


def test_a_deleted_contact_answers_404_to_everything(crm):
    contact_id = crm.new()
    crm.delete(f"/contacts/{contact_id}")
    assert crm.get(f"/contacts/{contact_id}").status_code == 404
    assert crm.put(f"/contacts/{contact_id}", first_name="Bia").status_code == 404
    assert crm.delete(f"/contacts/{contact_id}").status_code == 404
    for method in ("PUT", "DELETE", "POST"):
        path = f"/associations/contacts/{contact_id}"
        assert crm.call(method, path, json={"companies": [1]}).status_code == 404


def test_a_deleted_contact_can_be_brought_back_with_all_it_had(crm, full):
    contact_id, body = full
    crm.delete(f"/contacts/{contact_id}")
    crm.sandbox.mutate(restore=[contact_id])
    contact = crm.get(f"/contacts/{contact_id}").json()
    assert [phone["number"] for phone in contact["phones"]] == [body["phones"][0]["number"]]
    assert [company["id"] for company in contact["companies"]] == [2]
    assert contact["updated_at"] == LATER


@pytest.mark.parametrize("missing", [{}, {"first_name": None}, {"first_name": " "}])
def test_a_create_without_first_name_is_refused(crm, missing):
    answer = crm.post("/contacts", last_name="Silva", **missing)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["first_name"])


@pytest.mark.parametrize("version", VERSIONS)
def test_an_update_without_first_name_is_taken_from_1_5_on(with_switches, version):
    crm = with_switches(app_version=version)
    contact_id = crm.new(last_name="Souza")
    answer = crm.put(f"/contacts/{contact_id}", last_name="Silva")
    if version == "1.1":
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["first_name"])
    else:
        assert answer.status_code == 200
        assert (answer.json()["first_name"], answer.json()["last_name"]) == ("Ana", "Silva")


def test_an_update_never_takes_a_null_first_name(crm):
    contact_id = crm.new()
    for name in (None, ""):
        answer = crm.put(f"/contacts/{contact_id}", first_name=name)
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["first_name"])


def test_an_update_with_null_clears_a_scalar_and_what_is_left_out_stays(crm, full):
    cleared = ["last_name", "job_title", "user_id", "source_id", "country_id", "cf_birthday", "cf_newsletter"]
    crm.change(full[0], **dict.fromkeys(cleared))
    row = crm.sandbox.contact(full[0])
    assert [row[name] for name in cleared] == [None] * len(cleared)
    assert (row["tags"], row["companies"], row["deals"], len(row["phones"])) == (["vip"], [2], [1, 3], 1)


def test_an_update_replaces_tags_and_makes_those_that_are_new(crm, full):
    assert [tag["name"] for tag in crm.change(full[0], tags=["vip", "Novíssimo"])["tags"]] == [
        "vip",
        "Novíssimo",
    ]
    assert [tag["name"] for tag in crm.change(full[0], tags=["Novíssimo"])["tags"]] == ["Novíssimo"]
    assert crm.change(full[0], tags=[])["tags"] == []


@pytest.mark.parametrize(
    "email",
    [
        "N/A", "none", "@x.example", "ana@", "ana@@x.example", "ana@x@y.example", "a na@x.example", "ana@x example",
        "a@x.com; b@x.com", "a@x.com,b@x.com", "Ivo <ivo@x.com>", "mailto:bad@x.example", ".ana@x.example",
        "ana.@x.example", "an..a@x.example", "ana@x..example", "ana@-x.example", "ana@x.example.", "ana@.example",
        "a(b)@x.example", "a\\b@x.example", 7, True, [], {},
    ],
)  # fmt: skip
def test_an_impossible_email_address_is_refused(crm, email):
    assert crm.refused(email=email) == ["email"]


@pytest.mark.parametrize(
    "local", ["o'neil+tag{}", "a.b-c_d{}", "josé{}", "!#$%&*/=?^`{{|}}~{}", "x" * 80 + "{}"]
)
def test_an_unusual_email_address_is_taken(crm, local, request):
    email = f"{local.format(request.node.callspec.id[-3:].replace('.', ''))}@bücher.example"
    assert crm.sandbox.contact(crm.new(email=email))["email"] == email


def test_an_email_is_taken_whatever_its_case(crm, address):
    email = address()
    holder, other = crm.new(email=email), crm.new()
    assert crm.refused(email=email.upper()) == ["email"]
    answer = crm.put(f"/contacts/{other}", first_name="Ana", email=email.title())
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["email"])
    assert crm.change(holder, email=email.upper())["email"] == email.upper()


def test_an_email_is_taken_by_a_contact_that_the_token_may_not_see(crm, address):
    email = address()
    crm.sandbox.mutate(hide=[crm.new(email=email)])
    assert crm.get("/contacts/search", q=email, search_fields="email:=").json() == []
    assert crm.refused(email=email) == ["email"]


def test_an_email_is_taken_by_a_contact_in_the_trash(crm, address):
    email = address()
    crm.delete(f"/contacts/{crm.new(email=email)}")
    assert crm.refused(email=email) == ["email"]


def test_an_email_is_taken_by_a_user_of_the_crm(crm):
    assert crm.refused(email="AnaSouza@appcrm.example") == ["email"]
    answer = crm.put(f"/contacts/{crm.new()}", first_name="Ana", email="anasouza@appcrm.example")
    assert list(answer.json()["errors"]) == ["email"]


def test_a_post_is_not_idempotent(crm):
    body = {"first_name": "Gêmea", "last_name": "Souza"}
    assert len({crm.post("/contacts", **body).json()["id"] for _ in range(2)}) == 2


def test_a_contact_out_of_sight_or_locked_is_forbidden_to_change(crm):
    hidden, locked = crm.new(), crm.new()
    crm.sandbox.mutate(hide=[hidden], lock=[locked])
    assert [crm.get(f"/contacts/{contact_id}").status_code for contact_id in (hidden, locked)] == [403, 200]
    for contact_id in (hidden, locked):
        assert crm.put(f"/contacts/{contact_id}", first_name="Bia").status_code == 403
        assert crm.delete(f"/contacts/{contact_id}").status_code == 403
        assert crm.put(f"/associations/contacts/{contact_id}", companies=[1]).status_code == 403
    crm.sandbox.mutate(unlock=[locked])
    assert crm.put(f"/contacts/{locked}", first_name="Bia").status_code == 200


# What touches


def test_a_save_that_changes_nothing_does_not_touch(crm, full):
    contact_id, body = full
    assert crm.put(f"/contacts/{contact_id}", **body).status_code == 200
    assert crm.stamp(contact_id) == NOW


@pytest.mark.parametrize(
    "change",
    [
        {"last_name": "Silva"}, {"job_title": None}, {"cf_credit_limit": 40}, {"cf_segment": "Atacado"},
        {"phones": []}, {"tags": []}, {"tags": ["vip", "lead-quente"]}, {"cf_interests": [5]}, {"cf_interests": []},
        {"companies": []}, {"companies": [2, 3]}, {"deals": [2]}, {"activities": []}, {"activities": [1, 2]},
    ],
)  # fmt: skip
def test_a_save_that_changes_something_touches(crm, full, change):
    crm.change(full[0], **change)
    assert crm.stamp(full[0]) == LATER


def test_a_phones_type_alone_touches(crm, full):
    crm.change(full[0], phones=[{**full[1]["phones"][0], "type": "mobile"}])
    assert crm.stamp(full[0]) == LATER


@pytest.mark.parametrize(
    ("method", "body", "stamp"),
    [
        ("PUT", {"companies": [3]}, LATER),
        ("DELETE", {"companies": [2]}, LATER),
        ("POST", {"companies": []}, LATER),
        ("PUT", {"companies": [2], "deals": [1]}, NOW),
        ("DELETE", {"companies": [3]}, NOW),
        ("POST", {"companies": [2], "deals": [3, 1]}, NOW),
    ],
)
def test_associations_from_the_contacts_side_touch_when_they_change(crm, full, method, body, stamp):
    assert crm.call(method, f"/associations/contacts/{full[0]}", json=body).status_code == 200
    assert crm.stamp(full[0]) == stamp


@pytest.mark.parametrize("resource", ["companies", "deals", "activities"])
@pytest.mark.parametrize("by", ["attach", "sync", "update"])
def test_associations_from_the_other_side_touch_the_contact(crm, full, resource, by):
    contact_id = full[0]
    bodies = {"attach": [contact_id], "sync": [], "update": []}
    record_id = {"companies": 2, "deals": 1, "activities": 1}[resource] if by != "attach" else 2
    record_id = 3 if (resource, by) == ("companies", "attach") else record_id
    path = f"/{resource}/{record_id}" if by == "update" else f"/associations/{resource}/{record_id}"
    method = {"attach": "PUT", "sync": "POST", "update": "PUT"}[by]
    assert crm.call(method, path, json={"contacts": bodies[by]}).status_code == 200
    assert crm.stamp(contact_id) == LATER


def test_an_activity_of_the_contact_touches_it(crm, full):
    contact_id = full[0]
    crm.put("/activities/1", is_completed=1)
    crm.put("/activities/1", is_completed=0)
    assert crm.stamp(contact_id) == LATER
    crm.sandbox.set_clock("2026-06-01T10:00:00.000000Z")
    made = crm.post(
        "/activities", title="Ligar", user_id=1, due_date="2026-07-01", contacts=[contact_id]
    ).json()
    assert crm.stamp(contact_id) == "2026-06-01T10:00:00.000000Z"
    crm.sandbox.set_clock("2026-06-01T11:00:00.000000Z")
    crm.delete(f"/activities/{made['id']}")
    assert crm.stamp(contact_id) == "2026-06-01T11:00:00.000000Z"


def test_an_address_is_taken_whatever_its_case_beyond_ascii_too_and_accents_count(crm):
    crm.new(email="José.Ñandu@x.example")
    assert crm.refused(email="JOSÉ.ñANDU@X.example") == ["email"]
    crm.new(email="jose.nandu@x.example")
    crm.new(email="strasse@x.example")
    crm.new(email="straße@x.example")
    crm.new(email="k@x.example")
    crm.new(email="\u212a@x.example")


def test_the_versions_are_those_of_the_facts():
    assert list(VERSIONS) == ["1.1", "1.5", "1.6", "1.7"]
