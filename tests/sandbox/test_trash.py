"""Delete, the trash, and the way back."""

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
