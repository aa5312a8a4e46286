"""The CRM's own lists: of fields, of users, sources, pipelines, stages and countries."""

import pytest

FIELD_LISTS = [
    "/contacts/index-fields",
    "/contacts/export-fields",
    "/contacts/create-fields",
    "/fields/contacts/update",
]


@pytest.mark.parametrize("version", ["1.5", "1.6", "1.7"])
@pytest.mark.parametrize("path", FIELD_LISTS)
def test_every_user_gets_the_fields_custom_ones_included(with_switches, version, path):
    crm = with_switches(app_version=version)
    fields = {field["attribute"]: field for field in crm.get(path).json()}
    assert {"first_name", "email", "phones", "tags", "source_id"} <= set(fields)
    declared = {field["name"]: field for field in crm.sandbox.control("GET", "/__control/fields")}
    assert set(declared) <= set(fields)
    for name, field in declared.items():
        options = [(option["id"], option["name"]) for option in fields[name]["options"]]
        assert options == [(option["id"], option["name"]) for option in field["options"]]
    assert ("updated_at" in fields) is (path in FIELD_LISTS[:2])


def test_a_field_says_its_type_its_label_and_its_flags(crm):
    crm.sandbox.declare_field("cf_source_key", "text", unique=True, required=True)
    fields = {field["attribute"]: field for field in crm.get("/contacts/index-fields").json()}
    assert fields["cf_source_key"] == {
        "attribute": "cf_source_key", "type": "Text", "label": "Source key", "options": [],
        "is_required": True, "is_unique": True, "is_custom": True,
    }  # fmt: skip
    assert (fields["first_name"]["is_required"], fields["email"]["is_unique"]) == (True, True)
    assert fields["cf_member_since"]["type"] != fields["cf_last_visit_at"]["type"]


@pytest.mark.parametrize("path", FIELD_LISTS)
def test_the_lists_of_fields_are_not_there_in_1_1(with_switches, path):
    assert with_switches(app_version="1.1").get(path).status_code == 404


@pytest.mark.parametrize("name", ["users", "sources", "pipelines", "pipeline-stages"])
def test_the_small_lists_are_paginated(crm, name):
    first = crm.get(f"/{name}", per_page=2, order="id").json()
    assert [row["id"] for row in first["data"]] == [1, 2]
    assert all(row["name"] for row in first["data"])
    assert (first["meta"]["per_page"], first["meta"]["current_page"]) == (2, 1)
    assert first["meta"]["total"] >= 2
    beyond = crm.get(f"/{name}", per_page=2, page=50).json()
    assert (beyond["data"], beyond["meta"]["total"]) == ([], first["meta"]["total"])
    assert crm.get(f"/{name}", order="nothing").status_code == 500


def test_countries_are_one_array(crm):
    countries = crm.get("/countries", per_page=2).json()
    assert len(countries) == 32
    assert countries[0]["name"] == "Brasil"
