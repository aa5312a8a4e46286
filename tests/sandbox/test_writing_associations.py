"""Attach, detach and sync, in every version; and the neighbours, which share their forms."""

import pytest

from tests.sandbox.conftest import LATER, NOW


@pytest.fixture
def contact_id(each):
    """A contact with companies 1 and 2 and deal 1."""
    return each.new(companies=[1, 2], deals=[1])


def _held(crm, contact_id):
    row = crm.sandbox.contact(contact_id)
    return row["companies"], row["deals"], row["activities"]


def _call(crm, method, contact_id, body, **query):
    return crm.call(method, f"/associations/contacts/{contact_id}", json=body, params=query)


def test_attach_adds_and_removes_nothing_and_answers_with_the_contact(each, contact_id):
    answer = _call(each, "PUT", contact_id, {"companies": [3], "activities": [2]})
    assert (answer.status_code, answer.json()["id"]) == (200, contact_id)
    assert [company["id"] for company in answer.json()["companies"]] == [1, 2, 3]
    assert _held(each, contact_id) == ([1, 2, 3], [1], [2])


def test_detach_takes_away_what_is_there_and_answers_with_the_contact(each, contact_id):
    answer = _call(each, "DELETE", contact_id, {"companies": [2, 3]})
    assert (answer.status_code, answer.json()["id"]) == (200, contact_id)
    assert _held(each, contact_id) == ([1], [1], [])


def test_sync_makes_each_set_that_is_given_exactly_that(each, contact_id):
    answer = _call(each, "POST", contact_id, {"companies": [2, 3], "deals": None})
    assert (answer.status_code, answer.json()["id"]) == (200, contact_id)
    assert _held(each, contact_id) == ([2, 3], [1], [])
    assert _call(each, "POST", contact_id, {"companies": []}).status_code == 200
    assert _held(each, contact_id) == ([], [1], [])


def test_attaching_the_one_that_is_already_attached_alone_is_a_conflict(each, contact_id):
    for body in (
        {"companies": [1]},
        {"deals": [1]},
        {"companies": [1], "deals": None},
        {"companies": [1], "deals": []},
    ):
        assert _call(each, "PUT", contact_id, body).status_code == 409


@pytest.mark.parametrize(
    ("body", "held"),
    [
        ({"companies": [1, 3]}, ([1, 2, 3], [1], [])),
        ({"companies": [1, 2]}, ([1, 2], [1], [])),
        ({"companies": [1], "deals": [2]}, ([1, 2], [1, 2], [])),
    ],
)
def test_attaching_what_is_attached_among_others_is_no_conflict(each, contact_id, body, held):
    assert _call(each, "PUT", contact_id, body).status_code == 200
    assert _held(each, contact_id) == held


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_unknown_keys_are_a_conflict_in_the_body_and_in_the_query(each, contact_id, method):
    assert _call(each, method, contact_id, {"companies": [3], "tags": [1]}).status_code == 409
    assert _call(each, method, contact_id, {"companies": [3], "contacts": [1]}).status_code == 409
    assert _call(each, method, contact_id, {"companies": [3]}, **{"with": "companies"}).status_code == 409
    assert _held(each, contact_id) == ([1, 2], [1], [])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
@pytest.mark.parametrize("body", [{}, {"companies": [99_999]}, {"companies": [99_999], "deals": [99_999]}])
def test_nothing_and_none_but_unknown_ids_are_forbidden(each, contact_id, method, body):
    assert _call(each, method, contact_id, body).status_code == 403
    assert _held(each, contact_id) == ([1, 2], [1], [])


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_empty_lists_ask_for_nothing_where_nothing_can_be_emptied(each, contact_id, method):
    assert _call(each, method, contact_id, {"companies": []}).status_code == 403


def test_an_invisible_company_is_an_unknown_one(each, contact_id):
    company = each.post("/companies", name="Oculta").json()["id"]
    each.sandbox.mutate(companies={"hide": [company]})
    assert _call(each, "PUT", contact_id, {"companies": [company]}).status_code == 403
    assert _call(each, "PUT", contact_id, {"companies": [company, 3]}).status_code == 200
    assert _held(each, contact_id)[0] == [1, 2, 3]


@pytest.mark.parametrize(("method", "held"), [("PUT", [1, 2, 3]), ("DELETE", [1, 2]), ("POST", [3])])
def test_unknown_ids_among_known_ones_are_dropped(each, contact_id, method, held):
    assert _call(each, method, contact_id, {"companies": [3, 99_999]}).status_code == 200
    assert _held(each, contact_id)[0] == held


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
def test_a_neighbour_is_created_updated_deleted_and_restored_like_a_contact(each, resource):
    answer = each.post(f"/{resource}", **BODIES[resource])
    assert answer.status_code == 201
    path, label = f"/{resource}/{answer.json()['id']}", next(iter(BODIES[resource]))
    each.sandbox.set_clock(LATER)
    assert each.put(path, **BODIES[resource]).json()["updated_at"] == NOW
    answer = each.put(path, **{label: "Outro"})
    assert (answer.status_code, answer.json()[label], answer.json()["updated_at"]) == (200, "Outro", LATER)
    assert each.delete(path).status_code == 204
    assert (
        each.get(path).status_code
        == each.put(path, **{label: "x"}).status_code
        == each.delete(path).status_code
        == 404
    )
    each.sandbox.mutate(**{resource: {"restore": [answer.json()["id"]]}})
    assert each.get(path).status_code == 200


@pytest.mark.parametrize("resource", BODIES)
def test_a_neighbour_is_refused_without_what_it_needs(each, resource):
    answer = each.post(f"/{resource}", street="x")
    assert (answer.status_code, set(answer.json()["errors"])) == (422, set(BODIES[resource]))
    record_id = each.post(f"/{resource}", **BODIES[resource]).json()["id"]
    for name in BODIES[resource]:
        assert each.put(f"/{resource}/{record_id}", **{name: None}).status_code == 422


@pytest.mark.parametrize(
    ("resource", "other"), [(name, other) for name, others in LINKED.items() for other in others]
)
def test_a_neighbour_is_attached_synced_and_detached_like_a_contact(each, resource, other):
    record_id = each.post(f"/{resource}", **BODIES[resource], **{other: [1]}).json()["id"]
    path = f"/associations/{resource}/{record_id}"
    back = f"/associations/{other}/3"
    assert each.put(path, **{other: [1]}).status_code == 409
    assert each.put(path, **{other: [2]}).status_code == 200
    assert each.post(path, **{other: [3]}).status_code == 200
    assert each.put(back, **{resource: [record_id]}).status_code == 409
    assert each.delete(path, **{other: [3]}).status_code == 200
    assert each.put(back, **{resource: [record_id]}).status_code == 200
    assert each.put(path, **{resource: [1]}).status_code == 409
    assert each.put(path, **{other: [99_999]}).status_code == 403


def test_a_company_shows_its_contacts_and_deals(each):
    contact_id = each.new()
    made = each.post("/companies", name="Acme", contacts=[contact_id], deals=[2], activities=[1]).json()
    assert ([row["id"] for row in made["contacts"]], [row["id"] for row in made["deals"]]) == (
        [contact_id],
        [2],
    )
    assert "activities" not in made
