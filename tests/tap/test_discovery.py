"""What discovery finds, and what it costs."""

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from running import choose, config_of, discover, run

from appcrm.fields import Field, FieldKind, fields_of
from tap_appcrm.discovery import contacts_schema

TEXT, INTEGER, NUMBER = (["string", "null"], ["integer", "null"], ["number", "null"])


def properties(config, stream="contacts"):
    found = {entry["tap_stream_id"]: entry["schema"]["properties"] for entry in discover(config)["streams"]}
    return found[stream]


def bare(schema):
    return {key: value for key, value in schema.items() if key in ("type", "format", "items")}


def test_an_empty_field_has_its_type_by_the_crms_own_list_for_one_request(appcrm_sandbox):
    found = properties(config_of(appcrm_sandbox))
    appcrm_sandbox.reset_log()
    properties(config_of(appcrm_sandbox))
    assert appcrm_sandbox.counts()["total"] == 1
    expected = {
        "cf_lifetime_value": {"type": NUMBER},
        "cf_chinook_id": {"type": INTEGER},
        "cf_member_since": {"type": TEXT, "format": "date"},
        "cf_last_order_at": {"type": TEXT, "format": "date-time"},
        "cf_tier": {"type": INTEGER},
        "cf_channels": {"type": ["array", "null"], "items": {"type": INTEGER}},
    }
    assert {name: bare(found[name]) for name in expected} == expected


def test_options_and_labels_stand_in_the_schema(appcrm_sandbox):
    found = properties(config_of(appcrm_sandbox))["cf_tier"]
    assert found["x-appcrm-label"]
    assert all(isinstance(option["id"], int) for option in found["x-appcrm-options"])
    first = found["x-appcrm-options"][0]
    assert f"{first['id']} {first['label']}" in found["description"]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_where_the_list_is_refused_pages_are_sampled(appcrm_sandbox_factory, status):
    sandbox = appcrm_sandbox_factory(contacts=150)
    sandbox.faults({"path": "index-fields", "status": status})
    found = properties(config_of(sandbox))
    assert bare(found["cf_newsletter"]) == {"type": ["boolean", "null"]}
    assert "cf_tier" in found


def test_a_catalog_that_is_given_asks_for_no_fields(appcrm_sandbox):
    config = config_of(appcrm_sandbox)
    catalog = choose(discover(config), "contacts")
    appcrm_sandbox.reset_log()
    run(config, catalog=catalog)
    assert appcrm_sandbox.counts()["operations"] == {"list": 1}


def test_a_discovered_catalog_reads_every_custom_field_without_a_misfit(appcrm_sandbox_factory):
    sandbox = appcrm_sandbox_factory(contacts=250)
    output = run(config_of(sandbox))
    assert {record["_appcrm_misfits"] for record in output.records()} == {None}


ONE = {"id": 3, "name": "Ouro"}


@pytest.mark.parametrize(
    ("content", "kind", "options"),
    [
        ([{"attribute": "cf_a", "type": "Text"}], FieldKind.TEXT, ()),
        (
            {"data": [{"name": "cf_a", "component": "multi-select-field", "options": [ONE]}]},
            FieldKind.MULTI_SELECT,
            ((3, "Ouro"),),
        ),
        (
            {"fields": {"cf_a": {"type": "SELECT", "options": {"3": "Ouro"}}}},
            FieldKind.SELECT,
            ((3, "Ouro"),),
        ),
        ([{"field": "cf_a", "component": "form-date-time-field"}], FieldKind.DATE_TIME, ()),
        ([{"attribute": "cf_a", "field_type": "date"}], FieldKind.DATE, ()),
        ([{"attribute": "cf_a", "component": "index-numeric-field"}], FieldKind.NUMBER, ()),
        ([{"attribute": "cf_a", "type": "Number"}], FieldKind.INTEGER, ()),
        ([{"attribute": "cf_a", "type": "Boolean", "options": [ONE]}], FieldKind.BOOLEAN, ()),
        (
            [{"attribute": "cf_a", "type": "Radio", "options": [{"value": "3", "label": "Ouro"}]}],
            FieldKind.SELECT,
            ((3, "Ouro"),),
        ),
        ([{"attribute": "cf_a", "type": "Hologram"}], None, ()),
        ([{"attribute": "cf_a"}], None, ()),
    ],
)
def test_several_spellings_of_the_list_are_read(content, kind, options):
    [field] = fields_of(content)
    assert (field.name, field.kind, field.options, field.is_custom) == ("cf_a", kind, options, True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "fields", "attribute", "type", "options", "id", "name"]), inner
        )
    ),
    max_leaves=12,
)


@budget(derandomize=True, deadline=None)
@given(JSON)
def test_whatever_a_server_sends_for_a_list_of_fields_is_read_or_left_out(content):
    assert all(isinstance(field, Field) for field in fields_of(content))


def test_a_field_of_an_unknown_type_is_sampled_and_a_declared_one_keeps_its_type():
    fields = [
        Field("cf_a", None, "A"),
        Field("cf_b", FieldKind.TEXT, "B"),
        Field("cf_c", FieldKind.TEXT, "C"),
    ]
    rows = [{"id": 1, "cf_a": 3, "cf_b": 4, "cf_c": 5}]
    found = contacts_schema(rows, {"cf_c": {"type": "number"}}, fields)["properties"]
    assert {name: found[name]["type"] for name in ("cf_a", "cf_b", "cf_c")} == {
        "cf_a": INTEGER,
        "cf_b": TEXT,
        "cf_c": NUMBER,
    }
