"""What a record says: a value that a warehouse writes in its own way is taken, one that no CRM can hold is refused."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appcrm.fields import Field, FieldKind
from target_appcrm.errors import InputError, Unwritable
from target_appcrm.read.change import external_id, read_change, unknown_fields_warning
from target_appcrm.read.custom_values import encode_custom
from target_appcrm.read.limits import check_limits
from target_appcrm.read.message_reader import LineReader
from target_appcrm.read.names import Name
from target_appcrm.read.stream_schema import StreamSchema
from target_appcrm.settings import TargetSettings

EXACT = settings(derandomize=True)
SETTINGS = TargetSettings()


def stream(*keys, name="contacts", **properties):
    schema = {"type": "object", "properties": properties}
    return StreamSchema.make(name, schema, keys, name, schema, keys)


def read(record, *, of=None, **chosen):
    return read_change(record, of or stream("email"), TargetSettings(**chosen))


def field(name, value, **properties):
    return read({name: value}, of=stream(**properties)).fields[name]


# Whole numbers that a warehouse keeps as floats


@pytest.mark.parametrize("name", ["postal_code", "first_name", "last_name", "street", "job_title", "cf_code"])
@pytest.mark.parametrize("number", [1310100, 1310100.0, Decimal("1310100.0"), Decimal("1.3101E+6")])
def test_a_whole_number_written_as_a_float_is_that_number(name, number):
    assert str(field(name, number)) == "1310100"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5511987654321.0, "5511987654321"),
        (1e22, "1" + "0" * 22),
        (-0.0, "0"),
        (1.5, "1.5"),
        (Decimal("0.10"), "0.1"),
        (1e300, str(int(Decimal("1e300")))),
    ],
)
def test_a_number_in_a_phone_a_tag_or_a_text_is_written_out(number, text):
    assert field("phones", [number, {"number": number, "type": "work"}]) == [
        {"number": text, "type": None},
        {"number": text, "type": "work"},
    ]
    assert field("phones", json.dumps([float(number)]))[0]["number"] == text
    assert field("tags", [number, {"name": number}]) == [text]
    assert field("last_name", number) == text


def test_a_phone_may_carry_its_type_behind_a_bar():
    assert field("phones", ["+55 11|Work", "+55 12|home"]) == [
        {"number": "+55 11", "type": "work"},
        {"number": "+55 12|home", "type": None},
    ]


@pytest.mark.parametrize("value", [12, 12.0, Decimal("12.0"), "12", "12.0", " 12 "])
def test_an_id_is_a_whole_number_however_it_is_written(value):
    assert read({"id": value}, match_on=("id",)).keys[0].value == "12"
    meant = Name(value.strip(), may_be_id=True) if isinstance(value, str) else 12
    assert field("user_id", value) == meant
    assert read({"companies": [{"id": value}, 12]}).associations == {"companies": [12]}


@pytest.mark.parametrize("value", ["abc", 1.5, True, [1], {"a": 1}, "1e2", -3])
def test_an_id_that_is_none_refuses_its_record_where_it_is_a_key(value):
    with pytest.raises(Unwritable):
        read({"id": value, "email": "a@x.io"}, match_on=("id", "email"))
    assert len(read({"id": value, "email": "a@x.io"}).keys) == 1


@pytest.mark.parametrize("value", [["a"], {"x": 1}])
def test_a_custom_key_of_several_values_refuses_its_record(value):
    with pytest.raises(Unwritable):
        read({"cf_key": value}, match_on=("cf_key",))


# Keys of the source


@pytest.mark.parametrize("value", [12, 12.0, "12", Decimal("12.0")])
def test_the_key_of_a_source_is_one_however_it_is_written(value):
    assert external_id({"n": value}, stream("n")) == "12"


TEXTS = st.text("ab|\\ ", min_size=1, max_size=4).filter(str.strip)


@EXACT
@given(st.lists(TEXTS, min_size=2, max_size=3), st.lists(TEXTS, min_size=2, max_size=3))
def test_two_keys_of_several_columns_never_become_one(one, other):
    names = ("a", "b", "c")
    texts = [
        external_id(dict(zip(names, values, strict=False)), stream(*names[: len(values)]))
        for values in (one, other)
    ]
    assert (texts[0] == texts[1]) is ([t.strip() for t in one] == [t.strip() for t in other])


def test_a_key_without_one_of_its_parts_is_none():
    assert external_id({"a": 1, "b": None}, stream("a", "b")) is None
    assert external_id({"a": 1, "b": [2]}, stream("a", "b")) is None
    assert external_id({"a": 1, "b": "x"}, stream("a", "b")) == "1|x"


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "N/A",
        "a@x.com; b@x.com",
        "a@x.com,b@x.com",
        "Ivo <ivo@x.com>",
        "mailto:a@x.com",
        "a b@x.com",
        "a\x07@x",
    ],
)
def test_what_cannot_be_an_address_is_refused_before_any_request(address):
    with pytest.raises(Unwritable) as refused:
        read({"email": address})
    assert refused.value.cause == "email is no address"


@pytest.mark.parametrize(
    "address", ["\ufeffhugo@exemplo.com", " hugo@exemplo.com\n", "hugo@exemplo.com\u200b"]
)
def test_an_address_goes_out_without_what_cannot_be_seen_around_it(address):
    assert read({"email": address}).fields["email"] == "hugo@exemplo.com"


# Deletes


@pytest.mark.parametrize("value", [True, "2026-01-01T00:00:00Z", "2026-01-01 03:04:05", "2026-01-01"])
def test_a_moment_or_true_deletes(value):
    assert read({"email": "a@x.io", "_sdc_deleted_at": value}).is_delete


@pytest.mark.parametrize("value", [None, False])
def test_null_and_false_delete_nothing(value):
    assert not read({"email": "a@x.io", "_sdc_deleted_at": value}).is_delete


@pytest.mark.parametrize("value", [0, 1, "", " ", "garbage", "false", "0000-00-00", 1.5, [], {}, [True]])
def test_anything_else_that_says_deleted_refuses_the_record(value):
    with pytest.raises(Unwritable, match="_sdc_deleted_at"):
        read({"email": "a@x.io", "_sdc_deleted_at": value})


# Dates


@pytest.mark.parametrize(
    "text", ["1990-05-01T22:30:00-03:00", "1990-05-01T01:00:00+03:00", "1990-05-01", "1990-05-01 22:30"]
)
def test_a_date_field_gets_the_day_that_the_source_wrote(text):
    definition = {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    date_format = stream(cf_born=definition).formats["cf_born"]
    assert encode_custom(None, "cf_born", text, date_format) == "1990-05-01"
    known = Field("cf_born", FieldKind.DATE, "Born")
    assert encode_custom(known, "cf_born", text, "date-time") == "1990-05-01"


def test_a_moment_goes_out_in_utc():
    text = "1990-05-01T22:30:00-03:00"
    assert encode_custom(None, "cf_at", text, "date-time") == "1990-05-02 01:30:00"


# Unknown fields and misfits


def test_fields_named_as_misfits_are_absent():
    record = {
        "email": "a@x.io",
        "city": None,
        "cf_score": None,
        "_appcrm_misfits": {"cf_score": "abc", "city": "x"},
    }
    for misfits in (record["_appcrm_misfits"], json.dumps(record["_appcrm_misfits"])):
        change = read({**record, "_appcrm_misfits": misfits})
        assert (change.fields, change.unknown) == ({"email": "a@x.io"}, [])


def test_a_warning_of_unknown_fields_says_where_only_capitals_differ():
    change = read({"EMAIL": "a@x.io", "First_Name": "A", "CF_Score": 1, "shoe_size": 44}, of=stream("EMAIL"))
    said = unknown_fields_warning(change.unknown, SETTINGS)
    assert "CF_Score (cf_score), EMAIL (email), First_Name (first_name)" in said
    assert "no such fields: shoe_size" in said
    assert "no such fields" not in unknown_fields_warning(["EMAIL"], SETTINGS)


# Beyond JSON, and beyond any CRM


BEYOND = [
    "NaN",
    "Infinity",
    "-Infinity",
    "[NaN]",
    '{"a": [1e1000000]}',
    "1e1000000",
    "-1e1000000",
    "1e-1000000",
    "1e99999999999999999999999",
    "1" * 5_000,
    "[" * 70 + "]" * 70,
    "[" * 500 + "]" * 500,
    "[" * 3_000 + "]" * 3_000,
    '{"a":' * 100_000 + "1" + "}" * 100_000,
]


@pytest.mark.parametrize("text", BEYOND, ids=range(len(BEYOND)))
def test_what_no_crm_can_hold_refuses_its_record_and_is_kept_as_it_came(text):
    line = f'{{"type":"RECORD","stream":"contacts","record":{{"email":"a@x.io","cf_x":{text}}}}}\n'
    taken = []
    LineReader().process_lines(io.StringIO(line), {"RECORD": taken.append})
    record = taken[0]["record"]
    assert record["email"] == "a@x.io"
    with pytest.raises(Unwritable, match="cf_x"):
        check_limits(record)
    if isinstance(record["cf_x"], msgspec.Raw):
        assert msgspec.json.encode(record["cf_x"]).decode() == text


@pytest.mark.parametrize(
    "value", ["[" * 3_000 + "]" * 3_000, "[NaN]", "[1e99999999]", "[" + "1" * 5_000 + "]", "[1", "x"]
)
@pytest.mark.parametrize("name", ["phones", "tags", "companies", "deals", "_associations"])
def test_json_text_beyond_all_bounds_refuses_its_record(name, value):
    if name == "_associations":
        value = '{"companies":' + value + "}"
    with pytest.raises(Unwritable):
        read({"email": "a@x.io", name: value})


@pytest.mark.parametrize("value", ["a\x00b", "a\ud800b"])
@pytest.mark.parametrize("name", ["last_name", "phones", "tags", "cf_text", "email"])
def test_text_that_no_database_holds_refuses_its_record(name, value):
    with pytest.raises(Unwritable):
        read({"email": "a@x.io", name: [value] if name in ("phones", "tags") else value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "number"]), inner)
    ),
    max_leaves=6,
)
NAMES = "id email phones tags companies deals activities user_id cf_x user first_name whatever"
FIELDS = st.sampled_from([*NAMES.split(), "_associations", "_sdc_deleted_at", "_appcrm_misfits"])


@settings(derandomize=True, max_examples=500)
@given(
    st.dictionaries(FIELDS, JSON),
    st.sampled_from([("email",), ("id",), ("phones.number", "cf_x"), ("cf_x",)]),
)
def test_any_record_is_read_or_refused(record, match_on):
    with suppress(Unwritable):
        check_limits(record)
        change = read(record, of=stream("id"), match_on=match_on, external_id_field="cf_x")
        assert all(key.shown.strip() for key in change.keys)


# Input


def test_a_byte_order_mark_is_taken_wherever_a_file_begins():
    line = '\ufeff{"type":"STATE","value":1}\n'
    taken = []
    LineReader().process_lines(io.StringIO(line * 2), {"STATE": taken.append})
    assert [message["value"] for message in taken] == [1, 1]


@pytest.mark.parametrize("value", ["NaN", "[" * 500 + "]" * 500, "1e1000000"])
def test_a_state_beyond_json_is_one_sentence(value):
    with pytest.raises(InputError, match="line 1"):
        LineReader().process_lines(io.StringIO(f'{{"type":"STATE","value":{value}}}\n'), {})
