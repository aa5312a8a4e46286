"""Attach, detach and sync, and the records at the other end."""

import pytest

LATER = "2026-06-01T09:30:00.000000Z"


@pytest.fixture
def contact_id(crm):
    """A contact with companies 1 and 2 and deal 1, made before the clock moves on."""
    made = crm.new(companies=[1, 2], deals=[1])
    crm.sandbox.set_clock(LATER)
    return made


def _held(crm, contact_id):
    row = crm.sandbox.contact(contact_id)
    return row["companies"], row["deals"], row["activities"]


def test_attach_adds_and_removes_nothing(crm, contact_id):
    answer = crm.put(f"/associations/contacts/{contact_id}", companies=[3], activities=[2])
    assert answer.status_code == 200
    assert [company["id"] for company in answer.json()["companies"]] == [1, 2, 3]
    assert _held(crm, contact_id) == ([1, 2, 3], [1], [2])
    assert crm.stamp(contact_id) == LATER


def test_detach_takes_away_what_is_there(crm, contact_id):
    assert crm.delete(f"/associations/contacts/{contact_id}", companies=[2, 3]).status_code == 200
    assert _held(crm, contact_id) == ([1], [1], [])
    assert crm.stamp(contact_id) == LATER


def test_detaching_what_is_not_attached_does_not_touch(crm, contact_id):
    assert crm.delete(f"/associations/contacts/{contact_id}", companies=[3]).status_code == 200
    assert crm.stamp(contact_id) != LATER


def test_sync_replaces_each_key_given_and_leaves_the_others(crm, contact_id):
    assert (
        crm.post(f"/associations/contacts/{contact_id}", companies=[2, 3], activities=[]).status_code == 200
    )
    assert _held(crm, contact_id) == ([2, 3], [1], [])
    assert crm.post(f"/associations/contacts/{contact_id}", companies=[]).status_code == 200
    assert _held(crm, contact_id) == ([], [1], [])


def test_an_equal_sync_does_not_touch(crm, contact_id):
    assert crm.post(f"/associations/contacts/{contact_id}", companies=[2, 1]).status_code == 200
    assert crm.stamp(contact_id) != LATER


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
def test_what_is_no_list_of_ids_is_refused(crm, contact_id, method):
    path = f"/associations/contacts/{contact_id}"
    assert crm.call(method, path, json={"companies": 1}).status_code == 422
    assert crm.call(method, path, json={"companies": [None]}).status_code == 422
    assert crm.call(method, "/associations/contacts/999", json={"companies": [1]}).status_code == 404
    assert _held(crm, contact_id) == ([1, 2], [1], [])


def test_activities_show_only_where_they_are_asked_for(crm, contact_id):
    crm.put(f"/associations/contacts/{contact_id}", activities=[1])
    assert "activities" not in crm.get(f"/contacts/{contact_id}").json()
    shown = crm.call("GET", f"/contacts/{contact_id}", params={"with": "activities"}).json()
    assert [activity["id"] for activity in shown["activities"]] == [1]
    crm.sandbox.settings(show_activities=True)
    assert [activity["id"] for activity in crm.get(f"/contacts/{contact_id}").json()["activities"]] == [1]


def test_associations_can_be_changed_from_the_other_side(crm, contact_id):
    assert crm.put("/associations/companies/3", contacts=[contact_id]).status_code == 200
    assert _held(crm, contact_id)[0] == [1, 2, 3]
    assert crm.stamp(contact_id) == LATER
    assert contact_id in [row["id"] for row in crm.get("/companies/3").json()["contacts"]]
    assert crm.put("/associations/companies/3", contacts=[contact_id]).status_code == 409
    assert crm.put("/associations/companies/3", companies=[1]).status_code == 409


NEIGHBOURS = {
    "companies": {"name": "Acme"},
    "deals": {"name": "Big one", "stage_id": 2},
    "activities": {"title": "Call back", "user_id": 1, "due_date": "2026-07-01"},
}


@pytest.mark.parametrize(("resource", "body"), NEIGHBOURS.items())
def test_a_neighbour_is_made_found_changed_and_deleted(crm, resource, body):
    answer = crm.post(f"/{resource}", **body)
    assert answer.status_code == 201
    record_id, label = answer.json()["id"], next(iter(body))
    assert crm.get(f"/{resource}/{record_id}").json()[label] == body[label]
    assert [row["id"] for row in crm.get(f"/{resource}/search", q=body[label]).json()] == [record_id]
    assert crm.get(f"/{resource}", order="id|desc", per_page=1).json()["data"][0]["id"] == record_id
    assert crm.put(f"/{resource}/{record_id}", **{label: "Other"}).json()[label] == "Other"
    assert crm.delete(f"/{resource}/{record_id}").status_code == 204
    assert crm.get(f"/{resource}/{record_id}").status_code == 404
    assert [row["id"] for row in crm.get(f"/trashed/{resource}").json()["data"]] == [record_id]


@pytest.mark.parametrize(("resource", "body"), NEIGHBOURS.items())
def test_a_neighbour_needs_its_fields(crm, resource, body):
    answer = crm.post(f"/{resource}")
    assert answer.status_code == 422
    assert set(answer.json()["errors"]) == set(body)


def test_a_company_in_the_trash_is_shown_no_more(crm, contact_id):
    crm.delete("/companies/1")
    assert [company["id"] for company in crm.get(f"/contacts/{contact_id}").json()["companies"]] == [2]
