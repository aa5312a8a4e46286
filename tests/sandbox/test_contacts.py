"""Creating, reading and changing contacts."""

import pytest

LATER = "2026-06-01T09:30:00.000000Z"
WRITTEN = {
    "first_name": "Luís",
    "last_name": "Gonçalves",
    "email": "luis@embraer.example",
    "phones": [{"number": "+55 12 3923-5555", "type": "work"}, {"number": "+55 12 3923-5566"}],
    "tags": ["vip", "Chinook"],
    "user_id": 2,
    "source_id": 3,
    "country_id": 1,
    "job_title": "Piloto",
    "companies": [2],
    "deals": [1, 3],
    "cf_lifetime_value": 39.62,
    "cf_last_order_at": "2026-01-23 04:58:56",
    "cf_chinook_id": 1,
    "cf_birthday": "1980-02-29",
    "cf_newsletter": True,
}


@pytest.fixture
def later(crm):
    crm.sandbox.set_clock(LATER)


def test_what_is_written_is_read_back_in_the_shapes_of_reading(crm):
    answer = crm.post("/contacts", **WRITTEN)
    assert answer.status_code == 201
    contact = answer.json()
    assert contact["was_recently_created"] is True
    assert contact["display_name"] == "Luís Gonçalves"
    assert [(phone["number"], phone["type"]) for phone in contact["phones"]] == [
        ("+55 12 3923-5555", "work"),
        ("+55 12 3923-5566", "mobile"),
    ]
    assert all(isinstance(phone["id"], int) for phone in contact["phones"])
    assert sorted(tag["name"] for tag in contact["tags"]) == ["Chinook", "vip"]
    assert [company["id"] for company in contact["companies"]] == [2]
    assert [deal["id"] for deal in contact["deals"]] == [1, 3]
    assert contact["user"]["id"] == contact["user_id"] == 2
    assert contact["source"]["id"] == 3
    assert contact["country"]["id"] == 1
    assert contact["cf_lifetime_value"] == 39.62
    assert contact["cf_chinook_id"] == 1
    assert contact["cf_newsletter"] is True
    assert contact["cf_last_order_at"] == "2026-01-23T04:58:56.000000Z"
    assert contact["cf_birthday"] == "1980-02-29T00:00:00.000000Z"
    assert contact["created_at"] == contact["updated_at"] == "2026-06-01T08:00:00.000000Z"
    assert contact["owner_assigned_date"] == contact["created_at"]


def test_a_contact_carries_the_noise_of_the_screen(crm):
    noise = {
        "actions", "authorizations", "avatar", "avatar_url", "uploaded_avatar_url", "guest_email",
        "guest_display_name", "media", "path", "timeline_subject_key", "was_recently_created", "deals_count",
    }  # fmt: skip
    assert noise <= set(crm.get("/contacts/1").json())
    assert noise <= set(crm.get("/contacts", per_page=1).json()["data"][0])


def test_an_equal_update_does_not_touch(crm):
    contact_id = crm.post("/contacts", **WRITTEN).json()["id"]
    before = crm.stamp(contact_id)
    crm.sandbox.set_clock(LATER)
    assert crm.put(f"/contacts/{contact_id}", **WRITTEN).status_code == 200
    assert crm.stamp(contact_id) == before


def test_null_clears_a_scalar_and_what_is_left_out_stays(crm):
    contact_id = crm.post("/contacts", **WRITTEN).json()["id"]
    crm.put(f"/contacts/{contact_id}", first_name="Luís", last_name=None)
    row = crm.sandbox.contact(contact_id)
    assert row["last_name"] is None
    assert row["email"] == WRITTEN["email"]
    assert row["companies"] == [2]
    assert len(row["phones"]) == 2


def test_lists_are_replaced_and_kept_phones_keep_their_ids(crm):
    contact = crm.post("/contacts", **WRITTEN).json()
    kept = contact["phones"][0]
    changed = crm.put(
        f"/contacts/{contact['id']}",
        first_name="Luís",
        phones=[{"number": kept["number"], "type": "work"}, {"number": "+1"}],
        companies=[1],
    ).json()
    assert changed["phones"][0] == kept
    assert [phone["number"] for phone in changed["phones"]] == [kept["number"], "+1"]
    assert [company["id"] for company in changed["companies"]] == [1]


def test_texts_are_trimmed_and_empty_texts_are_null(crm):
    row = crm.sandbox.contact(crm.new(first_name="  Ana ", last_name="", email=" ana@x.example "))
    assert (row["first_name"], row["last_name"], row["email"]) == ("Ana", None, "ana@x.example")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_name", None),
        ("first_name", ""),
        ("first_name", 5),
        ("first_name", "x" * 192),
        ("email", "no address"),
        ("email", 7),
        ("user_id", "two"),
        ("user_id", 999),
        ("source_id", 0),
        ("country_id", True),
        ("phones", "+1"),
        ("phones", [5511987654321]),
        ("phones", [{"number": 5511987654321}]),
        ("phones", [{"number": "+" + "1" * 191}]),
        ("tags", [{"name": "vip"}]),
        ("companies", [True]),
        ("activities", [{"id": 1}]),
        ("deals", "1"),
        ("cf_chinook_id", "one"),
        ("cf_lifetime_value", "a lot"),
        ("cf_newsletter", "yes"),
        ("cf_birthday", "2026-02-30"),
        ("cf_last_order_at", "23/01/2026"),
        ("cf_interests", [999]),
        ("cf_website", "example.com"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_nothing_is_stored(crm, field, value):
    answer = crm.post("/contacts", **({"first_name": "Ana"} | {field: value}))
    assert answer.status_code == 422
    assert set(answer.json()) == {"message", "errors"}
    assert [name.split(".")[0] for name in answer.json()["errors"]] == [field]
    assert len(crm.sandbox.contacts()) == 25


def test_a_field_declared_later_is_stored_searched_and_shown(crm):
    crm.sandbox.declare_field("cf_plan", "select", ["free", "paid"])
    crm.sandbox.declare_field("cf_external_id", "text")
    fields = crm.sandbox.control("GET", "/__control/fields")
    paid = next(field for field in fields if field["name"] == "cf_plan")["options"][1]["id"]
    contact_id = crm.new(cf_plan=paid, cf_external_id="erp-7")
    assert crm.get(f"/contacts/{contact_id}").json()["cf_plan"] == paid
    found = crm.get("/contacts/search", q="erp-7", search_fields="cf_external_id:=").json()
    assert [row["id"] for row in found] == [contact_id]


def test_unknown_keys_of_a_body_are_dropped(crm):
    contact_id = crm.new(id=4, created_at="2001-01-01", cf_unknown="x", display_name="y")
    assert contact_id == 26
    assert crm.sandbox.contact(26)["created_at"] == "2026-06-01T08:00:00.000000Z"


def test_a_body_that_is_no_json_changes_nothing(crm):
    deep = "[" * 100_000
    for text in ("{", "[]", '"x"', deep):
        answer = crm.call("POST", "/contacts", data=text, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}
    assert len(crm.sandbox.contacts()) == 25


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("seconds", "2026-06-01T08:00:00Z"),
        ("offset", "2026-06-01T08:00:00+00:00"),
        ("sql", "2026-06-01 08:00:00"),
    ],
)
def test_moments_can_be_shown_in_other_forms(crm, form, expected):
    contact_id = crm.new(cf_last_order_at="2026-06-01 08:00:00")
    crm.sandbox.settings(timestamps=form)
    contact = crm.get(f"/contacts/{contact_id}").json()
    assert contact["updated_at"] == contact["cf_last_order_at"] == expected


def test_plain_shapes_show_names_and_ids(crm):
    contact_id = crm.new(tags=["vip"], companies=[1], cf_segment=2, cf_interests=[5])
    crm.sandbox.settings(shapes="plain")
    contact = crm.get(f"/contacts/{contact_id}").json()
    assert (contact["tags"], contact["companies"]) == (["vip"], [1])
    assert (contact["cf_segment"], contact["cf_interests"]) == (2, [5])
