"""Attach, detach and sync; and the neighbours, which share their forms."""

import pytest

from tests.sandbox.conftest import LATER, NOW

APP_VERSION = "1.5"


@pytest.fixture
def contact_id(crm):
    """A contact with companies 1 and 2 and deal 1."""
    return crm.new(companies=[1, 2], deals=[1])


def _held(crm, contact_id):
    row = crm.sandbox.contact(contact_id)
    return row["companies"], row["deals"], row["activities"]


def _call(crm, method, contact_id, body, **query):
    return crm.call(method, f"/associations/contacts/{contact_id}", json=body, params=query)


def test_attach_adds_and_removes_nothing_and_answers_with_the_contact(crm, contact_id):
    answer = _call(crm, "PUT", contact_id, {"companies": [3], "activities": [2]})
    assert (answer.status_code, answer.json()["id"]) == (200, contact_id)
    assert [company["id"] for company in answer.json()["companies"]] == [1, 2, 3]
    assert _held(crm, contact_id) == ([1, 2, 3], [1], [2])


def test_detach_takes_away_what_is_there_and_answers_with_the_contact(crm, contact_id):
    answer = _call(crm, "DELETE", contact_id, {"companies": [2, 3]})
    assert (answer.status_code, answer.json()["id"]) == (200, contact_id)
    assert _held(crm, contact_id) == ([1], [1], [])


def test_sync_makes_each_set_that_is_given_exactly_that(crm, contact_id):
    answer = _call(crm, "POST", contact_id, {"companies": [2, 3], "deals": None})
    assert (answer.status_code, answer.json()["id"]) == (200, contact_id)
    assert _held(crm, contact_id) == ([2, 3], [1], [])
    assert _call(crm, "POST", contact_id, {"companies": []}).status_code == 200
    assert _held(crm, contact_id) == ([], [1], [])


def test_attaching_the_one_that_is_already_attached_alone_is_a_conflict(crm, contact_id):
    for body in (
        {"companies": [1]},
        {"deals": [1]},
        {"companies": [1], "deals": None},
        {"companies": [1], "deals": []},
    ):
        assert _call(crm, "PUT", contact_id, body).status_code == 409


@pytest.mark.parametrize(
    ("body", "held"),
    [
        ({"companies": [1, 3]}, ([1, 2, 3], [1], [])),
        ({"companies": [1, 2]}, ([1, 2], [1], [])),
        ({"companies": [1], "deals": [2]}, ([1, 2], [1, 2], [])),
    ],
)
def test_attaching_what_is_attached_among_others_is_no_conflict(crm, contact_id, body, held):
    assert _call(crm, "PUT", contact_id, body).status_code == 200
    assert _held(crm, contact_id) == held


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_unknown_keys_are_a_conflict_in_the_body_and_in_the_query(crm, contact_id, method):
    assert _call(crm, method, contact_id, {"companies": [3], "tags": [1]}).status_code == 409
    assert _call(crm, method, contact_id, {"companies": [3], "contacts": [1]}).status_code == 409
    assert _call(crm, method, contact_id, {"companies": [3]}, **{"with": "companies"}).status_code == 409
    assert _held(crm, contact_id) == ([1, 2], [1], [])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
@pytest.mark.parametrize("body", [{}, {"companies": [99_999]}, {"companies": [99_999], "deals": [99_999]}])
def test_nothing_and_none_but_unknown_ids_are_forbidden(crm, contact_id, method, body):
    assert _call(crm, method, contact_id, body).status_code == 403
    assert _held(crm, contact_id) == ([1, 2], [1], [])


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_empty_lists_ask_for_nothing_where_nothing_can_be_emptied(crm, contact_id, method):
    assert _call(crm, method, contact_id, {"companies": []}).status_code == 403


def test_an_invisible_company_is_an_unknown_one(crm, contact_id):
    company = crm.post("/companies", name="Oculta").json()["id"]
    crm.sandbox.mutate(companies={"hide": [company]})
    assert _call(crm, "PUT", contact_id, {"companies": [company]}).status_code == 403
    assert _call(crm, "PUT", contact_id, {"companies": [company, 3]}).status_code == 200
    assert _held(crm, contact_id)[0] == [1, 2, 3]


@pytest.mark.parametrize(("method", "held"), [("PUT", [1, 2, 3]), ("DELETE", [1, 2]), ("POST", [3])])
def test_unknown_ids_among_known_ones_are_dropped(crm, contact_id, method, held):
    assert _call(crm, method, contact_id, {"companies": [3, 99_999]}).status_code == 200
    assert _held(crm, contact_id)[0] == held


# Neighbours

BODIES = {
    "companies": {"name": "Acme"},
    "deals": {"name": "Projeto", "stage_id": 2},
    "activities": {"title": "Ligar", "user_id": 1, "due_date": "2026-07-01"},
}
LINKED = {
    "companies": ("contacts", "deals", "activities"),
    "deals": ("contacts", "companies", "activities"),
    "activities": ("contacts", "companies", "deals"),
}


@pytest.mark.parametrize("resource", BODIES)
def test_a_neighbour_is_created_updated_deleted_and_restored_like_a_contact(crm, resource):
    answer = crm.post(f"/{resource}", **BODIES[resource])
    assert answer.status_code == 201
    path, label = f"/{resource}/{answer.json()['id']}", next(iter(BODIES[resource]))
    crm.sandbox.set_clock(LATER)
    assert crm.put(path, **BODIES[resource]).json()["updated_at"] == NOW
    answer = crm.put(path, **{label: "Outro"})
    assert (answer.status_code, answer.json()[label], answer.json()["updated_at"]) == (200, "Outro", LATER)
    assert crm.delete(path).status_code == 204
    assert (
        crm.get(path).status_code
        == crm.put(path, **{label: "x"}).status_code
        == crm.delete(path).status_code
        == 404
    )
    crm.sandbox.mutate(**{resource: {"restore": [answer.json()["id"]]}})
    assert crm.get(path).status_code == 200


@pytest.mark.parametrize("resource", BODIES)
def test_a_neighbour_is_refused_without_what_it_needs(crm, resource):
    answer = crm.post(f"/{resource}", street="x")
    assert (answer.status_code, set(answer.json()["errors"])) == (422, set(BODIES[resource]))
    record_id = crm.post(f"/{resource}", **BODIES[resource]).json()["id"]
    for name in BODIES[resource]:
        assert crm.put(f"/{resource}/{record_id}", **{name: None}).status_code == 422


@pytest.mark.parametrize(
    ("resource", "other"), [(name, other) for name, others in LINKED.items() for other in others]
)
def test_a_neighbour_is_attached_synced_and_detached_like_a_contact(crm, resource, other):
    record_id = crm.post(f"/{resource}", **BODIES[resource], **{other: [1]}).json()["id"]
    path = f"/associations/{resource}/{record_id}"
    back = f"/associations/{other}/3"
    assert crm.put(path, **{other: [1]}).status_code == 409
    assert crm.put(path, **{other: [2]}).status_code == 200
    assert crm.post(path, **{other: [3]}).status_code == 200
    assert crm.put(back, **{resource: [record_id]}).status_code == 409
    assert crm.delete(path, **{other: [3]}).status_code == 200
    assert crm.put(back, **{resource: [record_id]}).status_code == 200
    assert crm.put(path, **{resource: [1]}).status_code == 409
    assert crm.put(path, **{other: [99_999]}).status_code == 403


def test_a_company_shows_its_contacts_and_deals(crm):
    contact_id = crm.new()
    made = crm.post("/companies", name="Acme", contacts=[contact_id], deals=[2], activities=[1]).json()
    assert ([row["id"] for row in made["contacts"]], [row["id"] for row in made["deals"]]) == (
        [contact_id],
        [2],
    )
    assert "activities" not in made
