"""A token acts with its user's permissions."""

import pytest

APP_VERSION = "1.6"


def as_user(crm, token, method, path, **given):
    return crm.call(method, path, headers={"Authorization": f"Bearer {token}"}, **given)


@pytest.fixture
def seen_by(crm):
    """What a user with these rights gets: `seen_by(contacts="own")("GET", "/contacts")`."""

    def make(**sees):
        crm.sandbox.change_user(2, sees=sees)
        crm.sandbox.add_token("second", 2)
        return lambda method, path, **given: as_user(crm, "second", method, path, **given)

    return make


def test_a_user_without_api_access_is_refused_with_error_and_not_message(crm):
    crm.sandbox.change_user(1, api_access=False)
    answer = crm.get("/contacts")
    assert (answer.status_code, set(answer.json())) == (403, {"error"})


def test_a_user_who_sees_only_their_own_lists_and_searches_only_those(crm, seen_by):
    call = seen_by(contacts="own")
    own = [row["id"] for row in crm.sandbox.contacts() if row["user_id"] == 2]
    answer = call("GET", "/contacts", params={"order": "id", "per_page": 100}).json()
    assert [row["id"] for row in answer["data"]] == own != []
    assert answer["meta"]["total"] == len(own)
    found = call("GET", "/contacts/search", params={"q": "@", "search_fields": "email:like"}).json()
    assert {row["id"] for row in found} <= set(own)


def test_a_stranger_among_ones_own_is_refused_by_id_and_not_changed(crm, seen_by):
    call = seen_by(contacts="own")
    stranger = next(row for row in crm.sandbox.contacts() if row["user_id"] != 2)
    path = f"/contacts/{stranger['id']}"
    for method in ("GET", "PUT", "DELETE"):
        assert call(method, path, json={"first_name": "Outra"}).status_code == 403
    assert call("PUT", f"/associations{path}", json={"companies": [1]}).status_code == 403
    assert crm.sandbox.contact(stranger["id"]) == stranger
    crm.delete(path)
    assert call("GET", "/trashed/contacts").json()["data"] == []
    assert call("GET", f"/trashed{path}").status_code == 403


def test_without_user_id_selected_a_user_who_may_not_see_all_loses_most_fields(seen_by):
    call = seen_by(contacts="own")
    lost = call("GET", "/contacts", params={"select": "id;first_name;email"}).json()["data"][0]
    kept = call("GET", "/contacts", params={"select": "id;first_name;email;user_id"}).json()["data"][0]
    assert "email" not in lost
    assert "phones" not in lost
    assert {"id", "email", "user_id", "phones"} <= set(kept)


def test_a_stream_that_a_user_may_not_see_is_a_403_and_the_others_are_there(seen_by):
    call = seen_by(companies="none", activities="none")
    for path in ("/companies", "/companies/search?q=a", "/companies/1", "/trashed/companies", "/activities"):
        assert call("GET", path).status_code == 403, path
    assert call("GET", "/deals").status_code == 200
    assert call("GET", "/contacts").status_code == 200


def test_associations_that_a_user_may_not_see_are_null_and_not_empty(crm, seen_by):
    contact_id = crm.new(companies=[1], deals=[2])
    call = seen_by(companies="none")
    contact = call("GET", f"/contacts/{contact_id}").json()
    assert contact["companies"] is None
    assert [deal["id"] for deal in contact["deals"]] == [2]


def test_associations_of_strangers_are_left_out(crm, seen_by):
    own = crm.post("/companies", name="Minha", user_id=2).json()["id"]
    other = crm.post("/companies", name="Alheia", user_id=3).json()["id"]
    contact_id = crm.new(companies=[own, other])
    call = seen_by(companies="own")
    shown = call("GET", f"/contacts/{contact_id}").json()["companies"]
    assert [company["id"] for company in shown] == [own]


def test_the_list_of_custom_fields_is_for_super_admins_only(crm):
    assert crm.get("/custom-fields").status_code == 403
    crm.sandbox.change_user(1, super_admin=True)
    names = {field["attribute"] for field in crm.get("/custom-fields").json()}
    assert names == {field["name"] for field in crm.sandbox.control("GET", "/__control/fields")}


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"id": "1"},
        {"id": 1, "sees": {"contacts": "some"}},
        {"id": 1, "sees": {"people": "own"}},
        {"id": 1, "zone": "Moon"},
        {"id": 1, "api_access": 1},
        {"id": 1, "name": ""},
        {"id": 1, "password": "x"},
        {"id": 1, "may_not": {"contacts": "create"}},
        {"id": 1, "may_not": {"contacts": ["read"]}},
        {"id": 1, "may_not": {"people": ["create"]}},
    ],
)
def test_a_user_that_is_none_is_one_sentence(crm, user):
    with pytest.raises(ValueError, match=r"^[^\n]+\.$"):
        crm.sandbox.control("POST", "/__control/users", user)


def test_a_user_who_may_not_create_update_or_delete_is_refused_and_still_reads(crm):
    crm.sandbox.add_token("second", 2)
    calls = {
        "create": ("POST", "/contacts", {"first_name": "Bia"}),
        "update": ("PUT", "/contacts/1", {"first_name": "Bia"}),
        "delete": ("DELETE", "/contacts/2", None),
    }
    before = crm.sandbox.contacts()
    for act, (method, path, body) in calls.items():
        crm.sandbox.change_user(2, may_not={"contacts": [act]})
        assert as_user(crm, "second", method, path, json=body).status_code == 403
        assert as_user(crm, "second", "GET", "/contacts/1").json()["authorizations"][act] is False
    assert crm.sandbox.contacts() == before
    crm.sandbox.change_user(2, may_not={"contacts": ["update"]})
    for method in ("PUT", "POST", "DELETE"):
        path = "/associations/contacts/1"
        assert as_user(crm, "second", method, path, json={"companies": [3]}).status_code == 403
    assert as_user(crm, "second", "DELETE", "/contacts/2").status_code == 204
    crm.sandbox.change_user(2, may_not={"contacts": ["delete"]})
    for method in ("POST", "DELETE"):
        assert as_user(crm, "second", method, "/trashed/contacts/2").status_code == 403
    assert as_user(crm, "second", "PUT", "/companies/1", json={"name": "Acme"}).status_code == 200


def test_a_token_for_nobody_is_one_sentence(crm):
    with pytest.raises(ValueError, match="no user 77"):
        crm.sandbox.add_token("x", 77)


def test_a_user_made_anew_has_rights_of_their_own(crm):
    crm.sandbox.change_user(9, name="Nove", sees={"contacts": "own"})
    crm.sandbox.add_token("nine", 9)
    assert as_user(crm, "nine", "GET", "/contacts").json()["data"] == []
    assert "Nove" in [user["name"] for user in crm.get("/users", per_page=100).json()["data"]]


def test_what_a_user_may_not_see_is_unknown_to_what_they_write(crm, seen_by):
    call = seen_by(companies="own", deals="none")
    own, other = (
        crm.post("/companies", name=f"Acme {owner}", user_id=owner).json()["id"] for owner in (2, 3)
    )
    body = {"first_name": "Ana", "companies": [own, other, "Acme 3"], "deals": [1]}
    contact_id = call("POST", "/contacts", json=body).json()["id"]
    row = crm.sandbox.contact(contact_id)
    assert (row["companies"], row["deals"]) == ([own], [])
    path = f"/associations/contacts/{contact_id}"
    assert call("PUT", path, json={"companies": [other]}).status_code == 403
    assert call("PUT", path, json={"deals": [1]}).status_code == 403
    assert call("PUT", path, json={"companies": [other, own]}).status_code == 409
    crm.put(path, companies=[other])
    assert call("DELETE", path, json={"companies": [other]}).status_code == 403
    assert crm.sandbox.contact(contact_id)["companies"] == [own, other]


def test_a_user_who_may_not_see_contacts_creates_none(crm, seen_by):
    assert seen_by(contacts="none")("POST", "/contacts", json={"first_name": "Ana"}).status_code == 403
    assert len(crm.sandbox.contacts()) == 25


def test_an_address_of_a_contact_that_a_user_may_not_see_is_taken(crm, seen_by):
    call = seen_by(contacts="own")
    crm.new(email="ana@x.example", user_id=3, phones=["+55 1"])
    answer = call(
        "POST", "/contacts", json={"first_name": "Bia", "email": "ana@x.example", "phones": ["+55 1"]}
    )
    assert (answer.status_code, sorted(answer.json()["errors"])) == (422, ["email", "phones.0.number"])
