"""What a person does to a CRM while a client reads and writes: mutations of the control plane."""

import pytest

from tests.sandbox.conftest import LATER


@pytest.fixture
def later(crm):
    """Whatever is done is done later than the contacts were made."""
    return lambda: crm.sandbox.set_clock(LATER)


def test_a_person_edits_a_contact_also_one_that_the_token_may_not_see(crm, later):
    contact_id = crm.new(last_name="Souza")
    crm.sandbox.mutate(hide=[contact_id])
    later()
    crm.sandbox.mutate(edit={str(contact_id): {"last_name": "Silva", "tags": ["vip"]}})
    row = crm.sandbox.contact(contact_id)
    assert (row["first_name"], row["last_name"], row["tags"], row["updated_at"]) == (
        "Ana",
        "Silva",
        ["vip"],
        LATER,
    )


def test_an_edit_that_the_crm_refuses_is_told(crm):
    with pytest.raises(ValueError, match="edit was refused with 422"):
        crm.sandbox.mutate(edit={"1": {"email": "none"}})
    with pytest.raises(ValueError, match="edit was refused with 404"):
        crm.sandbox.mutate(edit={"999": {"last_name": "Silva"}})


def test_a_person_attaches_and_detaches(crm, later):
    contact_id = crm.new(companies=[1, 2])
    later()
    crm.sandbox.mutate(
        attach={str(contact_id): {"companies": [3, 2], "deals": [1]}},
        detach={str(contact_id): {"companies": [1]}},
    )
    row = crm.sandbox.contact(contact_id)
    assert (row["companies"], row["deals"], row["updated_at"]) == ([2, 3], [1], LATER)


def test_a_merge_moves_what_the_kept_contact_lacks_and_deletes_the_other(crm, later):
    kept = crm.new(last_name="Souza", companies=[1], tags=["vip"])
    gone = crm.new(
        last_name="Silva",
        email="ana@x.example",
        job_title="Piloto",
        phones=["+55 1"],
        companies=[1, 2],
        tags=["lead"],
    )
    later()
    crm.sandbox.mutate(merge={str(kept): [gone]})
    row = crm.sandbox.contact(kept)
    assert (row["last_name"], row["email"], row["job_title"]) == ("Souza", "ana@x.example", "Piloto")
    assert ([phone["number"] for phone in row["phones"]], row["companies"]) == (["+55 1"], [1, 2])
    assert (sorted(row["tags"]), row["updated_at"]) == (["lead", "vip"], LATER)
    assert crm.get(f"/contacts/{gone}").status_code == 404
    assert crm.sandbox.contact(gone)["deleted_at"] == LATER


def test_a_merged_contact_in_the_trash_keeps_the_address_that_was_not_taken(crm):
    kept, gone = crm.new(email="a@x.example"), crm.new(email="b@x.example")
    crm.sandbox.mutate(merge={str(kept): [gone]})
    assert crm.refused(email="b@x.example") == ["email"]


@pytest.mark.parametrize("pair", [{"1": [1]}, {"999": [1]}, {"1": [999]}])
def test_a_merge_with_itself_or_with_nobody_changes_nothing(crm, pair):
    before = crm.sandbox.contacts(trashed=True)
    with pytest.raises(ValueError, match="merge was refused with 404"):
        crm.sandbox.mutate(merge=pair)
    assert crm.sandbox.contacts(trashed=True) == before


def test_the_same_is_done_to_companies_deals_and_activities(crm, later):
    told = crm.sandbox.mutate(companies={"insert": [{"name": "Acme"}]}, deals={"delete": [1]})
    made = told["companies"]["inserted"][0]
    assert crm.get(f"/companies/{made}").json()["name"] == "Acme"
    assert crm.get("/deals/1").status_code == 404
    later()
    crm.sandbox.mutate(
        companies={"edit": {str(made): {"name": "Acme Ltda"}}, "lock": [2], "touch": [3]},
        deals={"restore": [1], "set": {"2": {"amount": 7}}},
    )
    shown = crm.get(f"/companies/{made}").json()
    assert (shown["name"], shown["updated_at"]) == ("Acme Ltda", LATER)
    assert crm.get("/companies/3").json()["updated_at"] == LATER
    assert crm.put("/companies/2", name="x").status_code == 403
    assert (crm.get("/deals/1").status_code, crm.get("/deals/2").json()["amount"]) == (200, 7)


@pytest.mark.parametrize(
    "script",
    [
        {"edit": [1]},
        {"edit": {"one": {}}},
        {"attach": {"1": [2]}},
        {"attach": {"1": {"tags": [2]}}},
        {"attach": {"1": {"contacts": [2]}}},
        {"merge": {"1": 2}},
        {"companies": {"merge": {"1": [2]}}},
        {"companies": [1]},
        {"companies": {"companies": {"touch": [1]}}},
    ],
)
def test_what_makes_no_sense_is_refused(crm, script):
    with pytest.raises(ValueError, match=r"takes|a mutation is|are not associated"):
        crm.sandbox.control("POST", "/__control/mutate", script)
