"""Delete, the trash, and the way back."""

import pytest

APP_VERSION = "1.1"
NOW = "2026-06-01T08:00:00Z"
LATER = "2026-06-01T09:30:00.000000Z"


def test_a_deleted_contact_is_gone_from_the_api_and_kept_in_the_trash(crm):
    answer = crm.delete("/contacts/3")
    assert (answer.status_code, answer.content) == (204, b"")
    assert crm.get("/contacts/3").status_code == 404
    assert crm.put("/contacts/3", first_name="Ana").status_code == 404
    assert crm.delete("/contacts/3").status_code == 404
    assert 3 not in crm.ids(per_page=100)
    trash = crm.get("/trashed/contacts").json()
    assert ([row["id"] for row in trash["data"]], trash["meta"]["total"]) == ([3], 1)


def test_a_restored_contact_is_back_with_all_it_had_and_touched(crm):
    contact_id = crm.new(companies=[1], phones=[{"number": "+1"}])
    crm.delete(f"/contacts/{contact_id}")
    crm.sandbox.set_clock(LATER)
    answer = crm.post(f"/trashed/contacts/{contact_id}")
    assert answer.status_code == 200
    assert answer.json()["updated_at"] == LATER
    assert crm.sandbox.contact(contact_id)["companies"] == [1]
    assert crm.post(f"/trashed/contacts/{contact_id}").status_code == 404


def test_a_purged_contact_is_nowhere_and_its_email_is_free(crm):
    contact_id = crm.new(email="a@x.example")
    assert crm.delete(f"/trashed/contacts/{contact_id}").status_code == 404
    crm.delete(f"/contacts/{contact_id}")
    assert crm.delete(f"/trashed/contacts/{contact_id}").status_code == 204
    assert crm.sandbox.contact(contact_id) is None
    assert crm.new(email="a@x.example") > contact_id


@pytest.fixture
def trashed(crm):
    """A CRM with four contacts in the trash, deleted at different seconds."""
    for second, contact_id in enumerate((4, 9, 2, 7)):
        crm.sandbox.set_clock(f"2026-06-01T09:00:0{second}Z")
        crm.delete(f"/contacts/{contact_id}")
    return crm


def _ids(answer):
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["data"]]


def test_a_soft_delete_sets_updated_at_and_does_not_show_when(trashed):
    rows = trashed.get("/trashed/contacts", order="updated_at|desc").json()["data"]
    assert [row["id"] for row in rows] == [7, 2, 9, 4]
    assert rows[0]["updated_at"] == "2026-06-01T09:00:03.000000Z"
    assert "deleted_at" not in rows[0]


def test_the_trash_takes_the_whole_grammar_of_lists(trashed):
    assert _ids(trashed.get("/trashed/contacts", order="id|desc", per_page=2, page=2)) == [4, 2]
    email = trashed.sandbox.contact(9)["email"]
    assert _ids(trashed.get("/trashed/contacts", q=email, search_fields="email:=")) == [9]
    row = trashed.get("/trashed/contacts", order="id", select="id;first_name").json()["data"][0]
    assert (row["id"], row["email"]) == (2, None)
    assert trashed.get("/trashed/contacts", order="nothing").status_code == 500
    assert "companies" in trashed.get("/trashed/contacts", **{"with": "companies"}).json()["data"][0]
    assert "companies" not in trashed.get("/trashed/contacts").json()["data"][0]
    assert trashed.get("/trashed/contacts", per_page=3).json()["meta"]["last_page"] == 2


def test_the_trash_is_searched_and_read_by_id(trashed):
    email = trashed.sandbox.contact(9)["email"]
    query = {"q": email, "search_fields": "email:="}
    assert [row["id"] for row in trashed.get("/trashed/contacts/search", **query).json()] == [9]
    assert trashed.get("/contacts/search", **query).json() == []
    assert trashed.get("/trashed/contacts/search", q="").json() == []
    assert trashed.get("/trashed/contacts/9").json()["email"] == email
    assert trashed.get("/trashed/contacts/1").status_code == 404


def test_what_lay_in_the_trash_for_thirty_days_is_gone(trashed):
    email = trashed.sandbox.contact(4)["email"]
    trashed.sandbox.set_clock("2026-07-01T08:59:00Z")
    assert len(_ids(trashed.get("/trashed/contacts"))) == 4
    trashed.sandbox.set_clock("2026-07-02T09:00:01Z")
    assert _ids(trashed.get("/trashed/contacts")) == []
    assert trashed.get("/trashed/contacts/4").status_code == 404
    assert trashed.new(email=email)


@pytest.mark.parametrize("name", ["companies", "deals", "activities"])
def test_neighbours_have_a_trash_of_the_same_form(crm, name):
    crm.delete(f"/{name}/1")
    assert _ids(crm.get(f"/trashed/{name}", order="updated_at|desc")) == [1]
    assert crm.get(f"/trashed/{name}/1").json()["id"] == 1
    assert crm.post(f"/trashed/{name}/1").status_code == 200
    assert _ids(crm.get(f"/trashed/{name}")) == []
