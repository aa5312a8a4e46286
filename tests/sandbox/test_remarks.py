"""Notes and calls: what is said about contacts, which touches them, counts on them and hangs on them."""

import pytest

from tests.sandbox.conftest import LATER, NOW

APP_VERSION = "1.6"
BODIES = {
    "notes": {"body": "Prefere WhatsApp"},
    "calls": {"body": "Sem resposta", "date": "2026-05-30 10:00:00"},
}


@pytest.mark.parametrize("resource", BODIES)
def test_it_is_made_found_changed_deleted_and_restored(crm, resource):
    made = crm.post(f"/{resource}", **BODIES[resource])
    assert made.status_code == 201
    path = f"/{resource}/{made.json()['id']}"
    assert crm.get(path).json()["body"] == BODIES[resource]["body"]
    assert [row["id"] for row in crm.get(f"/{resource}").json()["data"]] == [made.json()["id"]]
    assert [row["id"] for row in crm.get(f"/{resource}/search", q="E").json()] == [made.json()["id"]]
    assert crm.put(path, body="Outro").json()["body"] == "Outro"
    assert set(crm.post(f"/{resource}").json()["errors"]) == set(BODIES[resource])
    assert crm.delete(path).status_code == 204
    assert crm.get(path).status_code == 404
    assert crm.post(f"/trashed{path}").status_code == 200


@pytest.mark.parametrize("resource", BODIES)
def test_it_touches_its_contacts_when_made_changed_and_deleted(crm, resource):
    contact_id = crm.new()

    def touched(method, path, **body):
        crm.sandbox.mutate(set={str(contact_id): {"updated_at": NOW}})
        answer = crm.call(method, path, json=body)
        assert answer.ok, answer.text
        return answer, crm.stamp(contact_id) == LATER

    crm.sandbox.set_clock(LATER)
    made, is_touched = touched("POST", f"/{resource}", **BODIES[resource], contacts=[contact_id])
    assert is_touched
    path = f"/{resource}/{made.json()['id']}"
    assert touched("PUT", path, body=BODIES[resource]["body"])[1] is False
    assert touched("PUT", path, body="Outro")[1]
    assert touched("DELETE", path)[1]


@pytest.mark.parametrize("resource", BODIES)
def test_it_is_counted_and_shown_where_it_is_asked_for(crm, resource):
    contact_id = crm.new()
    made = crm.post(f"/{resource}", **BODIES[resource], contacts=[contact_id], companies=[1]).json()
    assert [row["id"] for row in made["contacts"]] == [contact_id]
    contact = crm.get(f"/contacts/{contact_id}").json()
    assert contact[f"{resource}_count"] == 1
    assert resource not in contact
    asked = {"with": resource, "order": "id|desc", "per_page": 1}
    for shown in (
        crm.get("/contacts", **asked).json()["data"][0],
        crm.get(f"/contacts/{contact_id}", **asked).json(),
        crm.get("/companies/1", **asked).json(),
    ):
        assert [(row["id"], row["display_name"]) for row in shown[resource]] == [
            (made["id"], BODIES[resource]["body"])
        ]
    crm.delete(f"/{resource}/{made['id']}")
    assert crm.get(f"/contacts/{contact_id}").json()[f"{resource}_count"] == 0
    assert crm.get(f"/contacts/{contact_id}", **asked).json()[resource] == []


@pytest.mark.parametrize("resource", BODIES)
def test_only_it_names_what_it_is_about(crm, resource):
    made = crm.post(f"/{resource}", **BODIES[resource]).json()["id"]
    path = f"/associations/{resource}/{made}"
    assert crm.put(path, contacts=[1]).status_code == 200
    assert crm.put(path, contacts=[1]).status_code == 409
    assert crm.put(path, activities=[1]).status_code == 409
    assert crm.put("/associations/contacts/1", **{resource: [made]}).status_code == 409
    crm.delete("/contacts/1")
    assert crm.delete("/trashed/contacts/1").status_code == 204
    assert crm.get(f"/{resource}/{made}").json()["contacts"] == []


def test_notes_have_no_list_filter_and_calls_have(crm):
    child = "filters[children][0]"
    nobody = {
        "filters[condition]": "and", f"{child}[type]": "rule", f"{child}[query][rule]": "updated_at",
        f"{child}[query][operator]": "greater", f"{child}[query][value]": "2999-01-01T00:00:00Z",
    }  # fmt: skip
    for resource, total in (("notes", 1), ("calls", 0)):
        crm.post(f"/{resource}", **BODIES[resource])
        assert crm.get(f"/{resource}", **nobody).json()["meta"]["total"] == total


def test_a_user_who_may_not_see_calls_gets_null_for_them(crm):
    crm.sandbox.change_user(2, sees={"calls": "none"})
    crm.sandbox.add_token("second", 2)
    headers = {"Authorization": "Bearer second"}
    shown = crm.call("GET", "/contacts/1", params={"with": "notes;calls"}, headers=headers).json()
    assert (shown["notes"], shown["calls"]) == ([], None)
    assert crm.call("GET", "/calls", headers=headers).status_code == 403
