"""Create, update, delete and the e-mail address, in every version; and what touches `updated_at`."""

import pytest

from appcrm_sandbox.app_version import VERSIONS
from tests.sandbox.conftest import LATER, NOW

FULL = {
    "first_name": "Ana", "last_name": "Souza", "tags": ["vip"], "user_id": 2, "source_id": 3, "country_id": 1,
    "job_title": "Piloto", "companies": [2], "deals": [1, 3], "activities": [1], "cf_segment": 1,
    "cf_interests": [5, 7], "cf_credit_limit": 12.5, "cf_birthday": "1980-02-29", "cf_newsletter": True,
}  # fmt: skip


@pytest.fixture
def full(each, number):
    """A contact with something everywhere, and what it was made of, before the clock moves on."""
    body = {**FULL, "phones": [{"number": f"+55 {number()}", "type": "work"}]}
    contact_id = each.new(**body)
    each.sandbox.set_clock(LATER)
    return contact_id, body


def test_a_create_answers_201_with_the_bare_object(each):
    answer = each.post("/contacts", first_name="Ana")
    assert answer.status_code == 201
    assert (answer.json()["first_name"], answer.json()["was_recently_created"]) == ("Ana", True)


def test_an_update_answers_200_with_the_bare_full_object(each, full):
    answer = each.put(f"/contacts/{full[0]}", first_name="Bia")
    assert answer.status_code == 200
    contact = answer.json()
    assert (contact["first_name"], contact["last_name"], contact["id"]) == ("Bia", "Souza", full[0])
    assert [company["id"] for company in contact["companies"]] == [2]
    assert [deal["id"] for deal in contact["deals"]] == [1, 3]


def test_a_delete_answers_204_with_nothing_and_sets_updated_at(each, full):
    answer = each.delete(f"/contacts/{full[0]}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert each.stamp(full[0]) == LATER


def test_a_deleted_contact_answers_404_to_everything(each):
    contact_id = each.new()
    each.delete(f"/contacts/{contact_id}")
    assert each.get(f"/contacts/{contact_id}").status_code == 404
    assert each.put(f"/contacts/{contact_id}", first_name="Bia").status_code == 404
    assert each.delete(f"/contacts/{contact_id}").status_code == 404
    for method in ("PUT", "DELETE", "POST"):
        path = f"/associations/contacts/{contact_id}"
        assert each.call(method, path, json={"companies": [1]}).status_code == 404


def test_a_deleted_contact_can_be_brought_back_with_all_it_had(each, full):
    contact_id, body = full
    each.delete(f"/contacts/{contact_id}")
    each.sandbox.mutate(restore=[contact_id])
    contact = each.get(f"/contacts/{contact_id}").json()
    assert [phone["number"] for phone in contact["phones"]] == [body["phones"][0]["number"]]
    assert [company["id"] for company in contact["companies"]] == [2]
    assert contact["updated_at"] == LATER


@pytest.mark.parametrize("missing", [{}, {"first_name": None}, {"first_name": " "}])
def test_a_create_without_first_name_is_refused(each, missing):
    answer = each.post("/contacts", last_name="Silva", **missing)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["first_name"])


def test_an_update_without_first_name_is_taken_from_1_5_on(each):
    contact_id = each.new(last_name="Souza")
    answer = each.put(f"/contacts/{contact_id}", last_name="Silva")
    if each.sandbox.settings()["app_version"] == "1.1":
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["first_name"])
    else:
        assert answer.status_code == 200
        assert (answer.json()["first_name"], answer.json()["last_name"]) == ("Ana", "Silva")


def test_an_update_never_takes_a_null_first_name(each):
    contact_id = each.new()
    for name in (None, ""):
        answer = each.put(f"/contacts/{contact_id}", first_name=name)
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["first_name"])


def test_an_update_with_null_clears_a_scalar_and_what_is_left_out_stays(each, full):
    cleared = ["last_name", "job_title", "user_id", "source_id", "country_id", "cf_birthday", "cf_newsletter"]
    each.change(full[0], **dict.fromkeys(cleared))
    row = each.sandbox.contact(full[0])
    assert [row[name] for name in cleared] == [None] * len(cleared)
    assert (row["tags"], row["companies"], row["deals"], len(row["phones"])) == (["vip"], [2], [1, 3], 1)


def test_an_update_replaces_tags_and_makes_those_that_are_new(each, full):
    assert [tag["name"] for tag in each.change(full[0], tags=["vip", "Novíssimo"])["tags"]] == [
        "vip",
        "Novíssimo",
    ]
    assert [tag["name"] for tag in each.change(full[0], tags=["Novíssimo"])["tags"]] == ["Novíssimo"]
    assert each.change(full[0], tags=[])["tags"] == []


@pytest.mark.parametrize(
    "email",
    [
        "N/A", "none", "@x.example", "ana@", "ana@@x.example", "ana@x@y.example", "a na@x.example", "ana@x example",
        "a@x.com; b@x.com", "a@x.com,b@x.com", "Ivo <ivo@x.com>", "mailto:bad@x.example", ".ana@x.example",
        "ana.@x.example", "an..a@x.example", "ana@x..example", "ana@-x.example", "ana@x.example.", "ana@.example",
        "a(b)@x.example", "a\\b@x.example", 7, True, [], {},
    ],
)  # fmt: skip
def test_an_impossible_email_address_is_refused(each, email):
    assert each.refused(email=email) == ["email"]


@pytest.mark.parametrize(
    "local", ["o'neil+tag{}", "a.b-c_d{}", "josé{}", "!#$%&*/=?^`{{|}}~{}", "x" * 80 + "{}"]
)
def test_an_unusual_email_address_is_taken(each, local, request):
    email = f"{local.format(request.node.callspec.id[-3:].replace('.', ''))}@bücher.example"
    assert each.sandbox.contact(each.new(email=email))["email"] == email


def test_an_email_is_taken_whatever_its_case(each, address):
    email = address()
    holder, other = each.new(email=email), each.new()
    assert each.refused(email=email.upper()) == ["email"]
    answer = each.put(f"/contacts/{other}", first_name="Ana", email=email.title())
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["email"])
    assert each.change(holder, email=email.upper())["email"] == email.upper()


def test_an_email_is_taken_by_a_contact_that_the_token_may_not_see(each, address):
    email = address()
    each.sandbox.mutate(hide=[each.new(email=email)])
    assert each.get("/contacts/search", q=email, search_fields="email:=").json() == []
    assert each.refused(email=email) == ["email"]


def test_an_email_is_taken_by_a_contact_in_the_trash(each, address):
    email = address()
    each.delete(f"/contacts/{each.new(email=email)}")
    assert each.refused(email=email) == ["email"]


def test_an_email_is_taken_by_a_user_of_the_crm(each):
    assert each.refused(email="AnaSouza@appcrm.example") == ["email"]
    answer = each.put(f"/contacts/{each.new()}", first_name="Ana", email="anasouza@appcrm.example")
    assert list(answer.json()["errors"]) == ["email"]


def test_a_post_is_not_idempotent(each):
    body = {"first_name": "Gêmea", "last_name": "Souza"}
    assert len({each.post("/contacts", **body).json()["id"] for _ in range(2)}) == 2


def test_a_contact_out_of_sight_or_locked_is_forbidden_to_change(each):
    hidden, locked = each.new(), each.new()
    each.sandbox.mutate(hide=[hidden], lock=[locked])
    assert [each.get(f"/contacts/{contact_id}").status_code for contact_id in (hidden, locked)] == [403, 200]
    for contact_id in (hidden, locked):
        assert each.put(f"/contacts/{contact_id}", first_name="Bia").status_code == 403
        assert each.delete(f"/contacts/{contact_id}").status_code == 403
        assert each.put(f"/associations/contacts/{contact_id}", companies=[1]).status_code == 403
    each.sandbox.mutate(unlock=[locked])
    assert each.put(f"/contacts/{locked}", first_name="Bia").status_code == 200


# What touches


def test_a_save_that_changes_nothing_does_not_touch(each, full):
    contact_id, body = full
    assert each.put(f"/contacts/{contact_id}", **body).status_code == 200
    assert each.stamp(contact_id) == NOW


@pytest.mark.parametrize(
    "change",
    [
        {"last_name": "Silva"}, {"job_title": None}, {"cf_credit_limit": 40}, {"cf_segment": "Atacado"},
        {"phones": []}, {"tags": []}, {"tags": ["vip", "lead-quente"]}, {"cf_interests": [5]}, {"cf_interests": []},
        {"companies": []}, {"companies": [2, 3]}, {"deals": [2]}, {"activities": []}, {"activities": [1, 2]},
    ],
)  # fmt: skip
def test_a_save_that_changes_something_touches(each, full, change):
    each.change(full[0], **change)
    assert each.stamp(full[0]) == LATER


def test_a_phones_type_alone_touches(each, full):
    each.change(full[0], phones=[{**full[1]["phones"][0], "type": "mobile"}])
    assert each.stamp(full[0]) == LATER


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
def test_associations_from_the_contacts_side_touch_when_they_change(each, full, method, body, stamp):
    assert each.call(method, f"/associations/contacts/{full[0]}", json=body).status_code == 200
    assert each.stamp(full[0]) == stamp


@pytest.mark.parametrize("resource", ["companies", "deals", "activities"])
@pytest.mark.parametrize("by", ["attach", "sync", "update"])
def test_associations_from_the_other_side_touch_the_contact(each, full, resource, by):
    contact_id = full[0]
    bodies = {"attach": [contact_id], "sync": [], "update": []}
    record_id = {"companies": 2, "deals": 1, "activities": 1}[resource] if by != "attach" else 2
    record_id = 3 if (resource, by) == ("companies", "attach") else record_id
    path = f"/{resource}/{record_id}" if by == "update" else f"/associations/{resource}/{record_id}"
    method = {"attach": "PUT", "sync": "POST", "update": "PUT"}[by]
    assert each.call(method, path, json={"contacts": bodies[by]}).status_code == 200
    assert each.stamp(contact_id) == LATER


def test_an_activity_of_the_contact_touches_it(each, full):
    contact_id = full[0]
    each.put("/activities/1", is_completed=1)
    each.put("/activities/1", is_completed=0)
    assert each.stamp(contact_id) == LATER
    each.sandbox.set_clock("2026-06-01T10:00:00.000000Z")
    made = each.post(
        "/activities", title="Ligar", user_id=1, due_date="2026-07-01", contacts=[contact_id]
    ).json()
    assert each.stamp(contact_id) == "2026-06-01T10:00:00.000000Z"
    each.sandbox.set_clock("2026-06-01T11:00:00.000000Z")
    each.delete(f"/activities/{made['id']}")
    assert each.stamp(contact_id) == "2026-06-01T11:00:00.000000Z"


def test_the_versions_are_those_of_the_facts():
    assert list(VERSIONS) == ["1.1", "1.5", "1.6", "1.7"]
