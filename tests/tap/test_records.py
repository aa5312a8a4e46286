import json

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from appcrm.client import DICT_PAGES
from appcrm.schemas import load_schema
from appcrm.session import Response
from tap_appcrm.discovery import contacts_schema, inferred, spread
from tap_appcrm.source.records import Shaper
from tap_appcrm.source.row_decoder import FastRows

DECLARED = {
    "cf_number": {"type": "number"},
    "cf_whole": {"type": "integer"},
    "cf_flag": {"type": "boolean"},
    "cf_text": {"type": "string"},
    "cf_day": {"type": "string", "format": "date"},
    "cf_moment": {"type": "string", "format": "date-time"},
    "cf_many": {"type": "array", "items": {"type": ["integer", "null"]}},
    "cf_either": {"type": ["integer", "string", "null"]},
    "plan": {"type": "string"},
}


def shaper_of(schema=None):
    schemas = []
    schema = schema or contacts_schema([], DECLARED)
    shaper = Shaper(
        "contacts",
        schema,
        key={},
        custom_fields=DECLARED,
        on_widened=schemas.append,
    )
    return shaper, schemas


def shaped(**row):
    shaper, schemas = shaper_of()
    record = shaper.shape({"id": 1, **row})
    assert schemas == [], "every value fits"
    return record


def test_every_property_is_there_and_noise_is_not():
    record = shaped(first_name="Ana", avatar="x", surprise=1)
    assert record.keys() == contacts_schema([], DECLARED)["properties"].keys()
    assert (record["first_name"], record["deals"]) == ("Ana", None)


def test_related_records_become_what_a_warehouse_wants():
    record = shaped(
        phones=[{"id": 4, "number": "+55 11", "type": "work", "pivot": {}}],
        tags=[{"id": 1, "name": "VIP"}, "novo"],
        companies=[{"id": 8, "name": "Acme"}],
        deals=[],
        user={"id": 3, "name": "Bia", "email": "b@example.com"},
        cf_many=[{"id": 2, "name": "Azul"}, 5],
    )
    assert record["phones"] == [{"id": 4, "number": "+55 11", "type": "work"}]
    assert record["tags"] == ["VIP", "novo"]
    assert (record["companies"], record["deals"]) == ([8], [])
    assert record["user"] == {"id": 3, "name": "Bia"}
    assert record["cf_many"] == [2, 5]


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("cf_number", "12.50", 12.5),
        ("cf_number", 3, 3),
        ("cf_number", "-7", -7),
        ("cf_whole", 4.0, 4),
        ("cf_whole", "41", 41),
        ("cf_flag", 1, True),
        ("cf_flag", "false", False),
        ("cf_text", 12, "12"),
        ("cf_text", True, "true"),
        ("cf_text", {"a": 1}, '{"a":1}'),
        ("cf_day", "2026-01-05T00:00:00.000000Z", "2026-01-05"),
        ("cf_moment", "2026-01-05 10:00:00", "2026-01-05T10:00:00.000000Z"),
        ("cf_moment", "2026-01-05", "2026-01-05T00:00:00.000000Z"),
        ("updated_at", "0000-00-00 00:00:00", None),
        ("cf_either", 5, 5),
        ("cf_either", "five", "five"),
        ("cf_text", {"id": 9, "name": "Ouro"}, "9"),
    ],
)
def test_a_value_is_brought_into_its_type_where_nothing_is_lost(field, sent, kept):
    assert shaped(**{field: sent})[field] == kept


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("cf_number", "12,50", "12,50"),
        ("cf_number", "0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("cf_whole", "007", "007"),
        ("cf_whole", 4.5, "4.5"),
        ("cf_flag", "talvez", "talvez"),
        ("cf_flag", 2, "2"),
        ("cf_moment", "amanhã", "amanhã"),
        ("cf_many", "azul", "azul"),
        ("cf_many", [1, "azul"], [1, "azul"]),
        ("phones", "+55 11", "+55 11"),
        ("user", "Bia", "Bia"),
    ],
)
def test_a_value_that_does_not_fit_is_kept_as_text_behind_a_schema_that_admits_it(field, sent, kept, caplog):
    shaper, schemas = shaper_of()
    record = shaper.shape({"id": 77, "email": "secret@example.com", field: sent})
    again = shaper.shape({"id": 78, field: sent})
    assert record[field] == again[field] == kept or json.loads(record[field]) == kept
    assert len(schemas) == 1
    jsonschema.validate(record, schemas[-1])
    assert len(caplog.messages) == 1
    assert f"{field} of contact 77" in caplog.messages[0]
    assert str(sent) not in caplog.messages[0].replace("contact 77", "")


@pytest.mark.parametrize(
    ("field", "odd", "sent", "kept"),
    [
        ("created_at", "amanhã", "2026-01-23 04:58:56", "2026-01-23T04:58:56.000000Z"),
        ("created_at", "amanhã", "2026-01-23T01:58:56-03:00", "2026-01-23T04:58:56.000000Z"),
        ("cf_whole", "007", "12", 12),
        ("cf_number", "12,50", "12.50", 12.5),
        ("cf_flag", "talvez", "true", True),
    ],
)
def test_a_value_kept_as_text_leaves_the_form_of_later_ones_as_it_was(field, odd, sent, kept):
    shaper, schemas = shaper_of()
    assert shaper.shape({"id": 77, field: odd})[field] == odd
    record = shaper.shape({"id": 78, field: sent})
    assert record[field] == kept
    jsonschema.validate(record, schemas[-1])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(contacts_schema([], DECLARED)["properties"].keys() - {"id"})


@budget(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6), min_size=1, max_size=4))
def test_whatever_is_sent_the_record_is_valid_against_its_latest_schema(rows):
    shaper, schemas = shaper_of()
    for number, row in enumerate(rows):
        record = shaper.shape({"id": number, **row})
        latest = schemas[-1] if schemas else shaper.schema
        # Whether the schema itself is one takes as long as a hundred records, so that is asked once.
        Draft202012Validator(latest).validate(json.loads(msgspec.json.encode(record)))
    Draft202012Validator.check_schema(latest)


LIKELY = {
    "first_name": st.text(max_size=5),
    "email": st.none() | st.text(max_size=5),
    "phones": st.lists(
        st.fixed_dictionaries({"id": st.integers(1, 9), "number": st.text(max_size=4)}), max_size=2
    ),
    "tags": st.lists(st.text(max_size=3) | st.fixed_dictionaries({"name": st.text(max_size=3)}), max_size=2),
    "companies": st.lists(st.integers(1, 9) | st.fixed_dictionaries({"id": st.integers(1, 9)}), max_size=2),
    "user": st.none() | st.fixed_dictionaries({"id": st.integers(1, 9), "name": st.text(max_size=3)}),
    "updated_at": st.sampled_from(["2026-01-05T00:00:00.000000Z", "2026-01-05 00:00:00", "", None]),
    "cf_number": st.none() | st.integers(-5, 5) | st.floats(0, 1) | st.just("1.5"),
    "cf_whole": st.none() | st.integers() | st.just(2.0),
    "cf_many": st.lists(st.integers(1, 3) | st.fixed_dictionaries({"id": st.integers(1, 3)}), max_size=2),
    "cf_moment": st.none() | st.just("2026-01-05"),
    "avatar": st.text(max_size=2),
}


@budget(deadline=None)
@given(st.lists(st.fixed_dictionaries({"id": st.integers(1, 99)}, optional=LIKELY), min_size=1, max_size=5))
def test_the_short_way_and_the_long_way_make_the_same_records(rows):
    declared = {name: schema for name, schema in DECLARED.items() if name != "cf_day"}
    schema = contacts_schema([], declared)
    fast = FastRows(schema, load_schema("contacts"), key={}, custom_fields=declared)
    assert fast.is_usable
    response = Response(200, {}, msgspec.json.encode({"data": rows}))
    page = fast(response, 1)
    shaper, _ = shaper_of(schema)
    long_way = [shaper.shape(row) for row in DICT_PAGES(response, 1).rows]
    short_way = [shaper.shape(row) if isinstance(row, dict) else row for row in page.rows]
    assert msgspec.json.decode(msgspec.json.encode(short_way)) == msgspec.json.decode(
        msgspec.json.encode(long_way)
    )


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        ([], {"type": ["string", "null"]}),
        ([None, None], {"type": ["string", "null"]}),
        ([True, None], {"type": ["boolean", "null"]}),
        ([1, 2], {"type": ["integer", "null"]}),
        ([1, 2.5], {"type": ["number", "null"]}),
        ([True, 0], {"type": ["boolean", "null"]}),
        (["12.50"], {"type": ["string", "null"]}),
        ([1, "a"], {"type": ["string", "null"]}),
        (["2026-01-05T10:00:00.000000Z", "2026-01-05"], {"type": ["string", "null"], "format": "date-time"}),
        (["2026-01-05", "a"], {"type": ["string", "null"]}),
        ([{"id": 3, "name": "Ouro"}], {"type": ["integer", "null"]}),
        ([[{"id": 3}], []], {"type": ["array", "null"], "items": {"type": ["integer", "null"]}}),
        ([[]], {"type": ["array", "null"], "items": {"type": ["integer", "null"]}}),
        ([{"id": [3], "name": "Ouro"}], {"type": ["object", "null"]}),
    ],
)
def test_a_custom_field_gets_the_narrowest_type_that_takes_its_sample(values, schema):
    assert inferred(values) == schema


def test_a_declared_field_wins_over_the_sample_and_unknown_fields_are_no_custom_fields():
    found = contacts_schema(
        [{"id": 1, "cf_a": "1", "plan": "x", "surprise": 1, "deals_count": 3, "avatar": ""}],
        {"cf_a": {"type": "number"}, "plan": {"type": "string"}},
    )["properties"]
    assert found["cf_a"] == {"type": ["number", "null"]}
    assert found["plan"] == {"type": ["string", "null"]}
    assert found["deals_count"] == {"type": ["integer", "null"]}
    assert not {"surprise", "avatar"} & found.keys()


def test_sampled_pages_are_spread_from_the_newest_to_the_oldest():
    assert spread(100, 1) == []
    assert spread(101, 3) == [51, 101]
    assert spread(3, 9) == [2, 3]
    assert spread(1, 9) == []
