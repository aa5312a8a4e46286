import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from appcrm.schemas import load_schema
from tap_appcrm.discovery import contacts_schema, inferred, spread
from tap_appcrm.output.record_writer import without_unstorable
from tap_appcrm.source.records import READERS, RecordMaker, with_misfits, without_annotations

DECLARED = {
    "cf_number": {"type": "number"},
    "cf_whole": {"type": "integer"},
    "cf_flag": {"type": "boolean"},
    "cf_text": {"type": "string"},
    "cf_day": {"type": "string", "format": "date"},
    "cf_moment": {"type": "string", "format": "date-time"},
    "cf_many": {"type": "array", "items": {"type": ["integer", "null"]}},
    "cf_either": {"type": ["integer", "string", "null"]},
    "cf_any_of": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]},
    "cf_short": {"type": "string", "maxLength": 5},
    "cf_small": {"type": "integer", "minimum": 0, "exclusiveMaximum": 10},
    "cf_chosen": {"type": "string", "enum": ["a", "b"]},
    "cf_object": {"type": "object"},
    "cf_anything": {},
    "plan": {"type": "string"},
}
SCHEMA = with_misfits(contacts_schema([], DECLARED), {"id"})


def made(*rows, schema=SCHEMA):
    maker = RecordMaker(schema, key={}, custom_fields=DECLARED)
    return maker.make([{"id": number, **row} for number, row in enumerate(rows, 1)]), maker


def shaped(**row):
    [record], maker = made(row)
    assert record.pop("_appcrm_misfits") is None, "every value fits"
    assert not maker.misfits
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


FITTING = [
    ("cf_number", "12.50", 12.5),
    ("cf_number", 3, 3),
    ("cf_number", "-7", -7),
    ("cf_whole", 4.0, 4),
    ("cf_whole", "41", 41),
    ("cf_flag", 1, True),
    ("cf_flag", "false", False),
    ("cf_text", 12, "12"),
    ("cf_text", True, "true"),
    ("cf_text", 5511987654321.0, "5511987654321"),
    ("cf_text", {"a": 1}, '{"a":1}'),
    ("postal_code", 1310100.0, "1310100"),
    ("phones", [5511987654321.0], [{"id": None, "number": "5511987654321", "type": None}]),
    ("cf_day", "2026-01-05T00:00:00.000000Z", "2026-01-05"),
    ("cf_day", "2026-01-05T00:00:00-03:00", "2026-01-05"),
    ("cf_day", "2026-01-05", "2026-01-05"),
    ("cf_moment", "2026-01-05 10:00:00", "2026-01-05T10:00:00.000000Z"),
    ("cf_moment", "2026-01-05", "2026-01-05T00:00:00.000000Z"),
    ("cf_moment", "2028-02-29T10:00:00.000000Z", "2028-02-29T10:00:00.000000Z"),
    ("cf_either", 5, 5),
    ("cf_either", "five", "five"),
    ("cf_any_of", 5, 5),
    ("cf_any_of", "2026-01-05", "2026-01-05T00:00:00.000000Z"),
    ("cf_text", {"id": 9, "name": "Ouro"}, "9"),
    ("cf_short", "12345", "12345"),
    ("cf_small", 9, 9),
    ("cf_chosen", "a", "a"),
]


@pytest.mark.parametrize(("field", "sent", "kept"), FITTING)
def test_a_value_is_brought_into_its_type_where_nothing_is_lost(field, sent, kept):
    assert shaped(**{field: sent})[field] == kept


DEEP = "x"
for _ in range(150):
    DEEP = [DEEP]

MISFITTING = [
    ("cf_number", "12,50", "12,50"),
    ("cf_number", "0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ("cf_number", "1e400", "1e400"),
    ("cf_number", "NaN", "NaN"),
    ("cf_number", float("nan"), "nan"),
    ("cf_number", float("-inf"), "-inf"),
    ("cf_number", "9" * 5000, "9" * 5000),
    ("cf_number", 10**400, "1" + "0" * 400),
    ("cf_whole", "007", "007"),
    ("cf_whole", 4.5, "4.5"),
    ("cf_whole", "abc", "abc"),
    ("cf_whole", "", ""),
    ("cf_whole", True, "true"),
    ("cf_whole", 2**63, str(2**63)),
    ("cf_flag", "talvez", "talvez"),
    ("cf_flag", 2, "2"),
    ("cf_moment", "amanhã", "amanhã"),
    ("created_at", "-0001-11-30T00:00:00.000000Z", "-0001-11-30T00:00:00.000000Z"),
    ("created_at", "0000-00-00 00:00:00", "0000-00-00 00:00:00"),
    ("created_at", "0000-01-01T00:00:00.000000Z", "0000-01-01T00:00:00.000000Z"),
    ("updated_at", "2026-02-30T00:00:00.000000Z", "2026-02-30T00:00:00.000000Z"),
    ("updated_at", "2026-02-29T00:00:00.000000Z", "2026-02-29T00:00:00.000000Z"),
    ("updated_at", "2026-01-05T24:00:00.000000Z", "2026-01-05T24:00:00.000000Z"),
    ("cf_moment", 0, "0"),
    ("cf_day", "0000-00-00", "0000-00-00"),
    ("cf_day", "2026-13-01", "2026-13-01"),
    ("cf_day", "2026-01-05T22:30:00.000000Z", "2026-01-05T22:30:00.000000Z"),
    ("cf_many", "azul", "azul"),
    ("cf_many", [1, "azul"], '[1,"azul"]'),
    ("phones", "+55 11", "+55 11"),
    ("phones", [{"id": "x", "number": "1"}], '[{"id":"x","number":"1"}]'),
    ("companies", [{"id": "x"}], '[{"id":"x"}]'),
    ("companies", [1, None, "abc"], '[1,null,"abc"]'),
    ("tags", [{"color": "red"}], '[{"color":"red"}]'),
    ("user", "Bia", "Bia"),
    ("cf_any_of", "x", "x"),
    ("cf_short", "123456", "123456"),
    ("cf_small", 10, "10"),
    ("cf_small", -1, "-1"),
    ("cf_chosen", "c", "c"),
    ("cf_object", [1], "[1]"),
    ("cf_anything", DEEP, json.dumps(DEEP)),
]


@pytest.mark.parametrize(("field", "sent", "kept"), MISFITTING, ids=[str(m[:2])[:60] for m in MISFITTING])
def test_a_value_that_does_not_fit_is_null_and_stands_as_text_in_misfits(field, sent, kept):
    (before, record, after), maker = made({}, {field: sent, "city": "Olinda"}, {"city": "Recife"})
    assert record[field] is None
    assert record["_appcrm_misfits"] == {field: kept}
    assert record["city"] == "Olinda", "the other fields of the row are as they were"
    assert (before["_appcrm_misfits"], after["_appcrm_misfits"]) == (None, None)
    assert maker.misfits == {field: 1}
    Draft202012Validator(SCHEMA).validate(json.loads(msgspec.json.encode(record)))


def test_one_value_that_does_not_fit_leaves_the_others_of_its_column_in_their_form():
    records, maker = made(
        {"cf_whole": "007", "created_at": "0000-00-00"},
        {"cf_whole": "12", "created_at": "2026-01-23 04:58:56"},
        {"cf_whole": 5, "created_at": "2026-01-23T01:58:56-03:00"},
    )
    assert [record["cf_whole"] for record in records] == [None, 12, 5]
    assert [record["created_at"] for record in records] == [None, *["2026-01-23T04:58:56.000000Z"] * 2]
    assert maker.misfits == {"cf_whole": 1, "created_at": 1}


def test_every_keyword_of_a_schema_stays_and_null_is_admitted():
    strict = {
        "type": "object",
        "additionalProperties": False,
        "x-mine": 1,
        "properties": {
            "id": {"type": "integer", "x-id": 2},
            "city": {"type": "string", "maxLength": 9, "x-sql-datatype": "varchar", "$comment": "ours"},
            "state": {"enum": ["PE"], "type": ["string"]},
            "street": {"anyOf": [{"type": "string"}]},
        },
    }
    out = with_misfits(strict, {"id"})
    assert {key: value for key, value in out.items() if key != "properties"} == {
        key: value for key, value in strict.items() if key != "properties"
    }
    assert out["properties"]["id"] == strict["properties"]["id"]
    assert out["properties"]["city"] == strict["properties"]["city"] | {"type": ["string", "null"]}
    assert out["properties"]["state"] == {"enum": ["PE", None], "type": ["string", "null"]}
    assert out["properties"]["street"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert list(out["properties"])[-1] == "_appcrm_misfits"
    [record], _ = made({"city": None, "state": "SP"}, schema=out)
    Draft202012Validator(out).validate(record)


def test_a_field_that_a_catalog_asks_for_as_text_takes_everything():
    schema = with_misfits(
        {"properties": {"id": {"type": "integer"}, "tags": {"type": "string"}, "user": {"type": "string"}}},
        {"id"},
    )
    [record], maker = made({"tags": [{"name": "VIP"}], "user": "Bia"}, schema=schema)
    assert (record["tags"], record["user"]) == ('["VIP"]', "Bia")
    assert not maker.misfits


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("Rua\0 A", "Rua A"),
        ("\ud83d", ""),
        ("\U0001f600", "\U0001f600"),
        (["a\0", {"b\0": "c\0"}], ["a", {"b": "c"}]),
    ],
)
def test_characters_that_no_warehouse_can_hold_are_left_out(value, kept):
    assert without_unstorable(value) == kept
    assert without_unstorable(kept) is kept


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text()
    | st.sampled_from(["0000-00-00", "2026-02-31T00:00:00.000000Z", "-0001-11-30T00:00:00.000000Z", "1e999"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(SCHEMA["properties"].keys() - {"id", "_appcrm_misfits"})
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker(["date"]))


@budget(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6), min_size=1, max_size=4))
def test_whatever_is_sent_the_record_is_valid_and_nothing_is_lost(rows):
    records, _ = made(*rows)
    for row, record in zip(rows, records, strict=True):
        VALIDATOR.validate(json.loads(msgspec.json.encode(record)))
        misfits = record["_appcrm_misfits"] or {}
        for field, value in row.items():
            assert record[field] is not None or field in misfits or value is None


LIKELY = {
    "first_name": st.text(max_size=5),
    "email": st.none() | st.text(max_size=5),
    "phones": st.lists(
        st.fixed_dictionaries({"id": st.integers(1, 9), "number": st.text(max_size=4)}), max_size=2
    ),
    "updated_at": st.sampled_from(["2026-01-05T00:00:00.000000Z", "2026-01-05 00:00:00", "", None]),
    "cf_number": st.none() | st.integers(-5, 5) | st.floats(0, 1) | st.sampled_from(["1.5", "x"]),
    "cf_whole": st.none() | st.integers() | st.sampled_from([2.0, 2.5]),
    "cf_moment": st.none() | st.just("2026-01-05"),
}


@budget(deadline=None)
@given(st.lists(st.fixed_dictionaries({}, optional=LIKELY), min_size=1, max_size=5))
def test_a_record_is_the_same_whatever_rows_are_on_its_page(rows):
    together, _ = made(*rows)
    alone = [made(row)[0][0] | {"id": number} for number, row in enumerate(rows, 1)]
    assert together == alone


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


def test_the_reviewed_schemas_are_read_without_a_second_conversion():
    properties = load_schema("contacts")["properties"]
    made_of = {name: made for name, (_, made) in READERS.items() if name in properties}
    assert {name: without_annotations(properties[name]) for name in made_of} == made_of
