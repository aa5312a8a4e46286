"""What is equal to what: the table of docs/equality.md, and laws that hold for whatever is compared."""

from __future__ import annotations

import json
import unicodedata
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_appcrm.match.addresses import address_forms, address_key, clean_address, fault_of_address
from target_appcrm.match.equality import (
    is_empty,
    is_empty_in_crm,
    key_bucket,
    key_text,
    number_text,
    same_key,
    same_number,
    same_tags,
    same_value,
)
from target_appcrm.match.keys import holds, match_keys

PAGE = Path(__file__).parents[2] / "docs" / "equality.md"
ANSWERS = {"yes": True, "no": False}
EXACT = settings(derandomize=True)


def unescaped(text):
    return json.loads('"' + text.replace('"', '\\"') + '"')


def same_address(one, other):
    return address_key(unescaped(one)) == address_key(unescaped(other))


def same_phone(one, other):
    return same_number(one, other)


def same_custom_key(one, other):
    return same_key(key_text(json.loads(one)), json.loads(other))


def of_json(compare):
    return lambda one, other: compare(json.loads(one), json.loads(other))


KINDS = {
    "address": same_address,
    "phone": same_phone,
    "key": same_custom_key,
    "value": of_json(same_value),
    "tags": of_json(same_tags),
    "empty in a custom field": of_json(lambda one, other: is_empty(one) and is_empty_in_crm(other)),
}


def table():
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 4 and cells[3].rstrip(" |") in ANSWERS:
            kind, one, other, answer = cells
            yield kind, one.strip("`"), other.strip("`"), ANSWERS[answer.rstrip(" |")]


def test_the_page_has_examples_of_every_kind():
    assert {row[0] for row in table()} == KINDS.keys()


@pytest.mark.parametrize(("kind", "one", "other", "equal"), list(table()))
def test_the_page_says_what_the_code_does(kind, one, other, equal):
    assert KINDS[kind](one, other) is equal


# Addresses

LOCAL_PARTS = st.text(
    st.characters(exclude_characters="@\u017f\u0130\u212a", exclude_categories=("Cc", "Cs", "Cf", "Zs")),
    min_size=1,
    max_size=8,
)
INVISIBLE = st.text("\ufeff\u200b\u200e\u00ad \t\n\u00a0\u2060\u3164", max_size=3)


@EXACT
@given(LOCAL_PARTS, INVISIBLE, INVISIBLE)
def test_what_cannot_be_seen_around_an_address_is_no_difference(local, before, after):
    address = f"a{local}@x.example"
    assert address_key(before + address + after) == address_key(address)
    assert clean_address(before + address + after) == address


@EXACT
@given(LOCAL_PARTS)
def test_an_address_compared_is_compared_like_itself(local):
    key = address_key(f"a{local}@x.example")
    assert address_key(key) == key
    assert {address_key(form) for form in address_forms(key)} == {key}


@EXACT
@given(LOCAL_PARTS)
def test_the_way_in_which_a_letter_is_composed_is_no_difference(local):
    address = f"a{local}@x.example"
    assert address_key(unicodedata.normalize("NFD", address)) == address_key(address)


@EXACT
@given(st.text("abcxyzABCXYZ0189._+-éÉüÜñÑ", min_size=1, max_size=12))
def test_case_alone_is_no_difference(local):
    address = f"{local}@x.example"
    assert address_key(address.swapcase()) == address_key(address.upper()) == address_key(address)


@EXACT
@given(st.characters(exclude_categories=("Cs",)))
def test_no_character_beyond_ascii_makes_an_address_equal_to_one_of_ascii(character):
    key = address_key(f"a{character}a@x.example")
    assert character.isascii() or not key.isascii()


@pytest.mark.parametrize("character", ["\u212a", "\u017f", "\u0130"])
def test_an_address_with_a_letter_that_becomes_ascii_equals_only_itself(character):
    address = f"A{character}@X.example"
    assert address_key(address) == address
    assert address_forms(address)[0] == address


@pytest.mark.parametrize(
    "address",
    [
        "N/A",
        "a@x.com; b@x.com",
        "Ivo <ivo@x.com>",
        "a b@x.com",
        "a@b@c",
        "mailto:a@x.com",
        "a@x\x07.com",
        "@@",
    ],
)
def test_what_cannot_be_an_address_is_said_to_be_none(address):
    assert fault_of_address(address)


@pytest.mark.parametrize(
    "address", ["a@b", "josé@x", "a'b@x.com", 'a"b@x.com', "a/b%@x.com", "x" * 300 + "@y"]
)
def test_whatever_else_is_left_to_the_crm(address):
    assert fault_of_address(address) is None


# Keys and numbers

NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
)


@EXACT
@given(NUMBERS)
def test_a_number_written_out_is_that_number(number):
    text = number_text(number)
    assert text is None or Decimal(text) == Decimal(str(number))


@EXACT
@given(st.integers(-(10**15), 10**15), st.integers(0, 3), st.integers(0, 3))
def test_a_number_field_knows_a_key_however_it_is_written(number, zeros, places):
    sign, digits = ("-", str(-number)) if number < 0 else ("", str(number))
    text = sign + "0" * zeros + digits + "." * bool(places) + "0" * places
    assert same_key(text, number)
    assert key_bucket(text) == key_bucket(str(number))
    assert same_key(key_text(float(number)), str(number))


@EXACT
@given(st.text(max_size=5), st.text(max_size=5) | st.integers())
def test_keys_that_are_equal_share_a_bucket(wanted, held):
    one, other = key_text(wanted), key_text(held)
    if one is not None and same_key(one, held):
        assert key_bucket(one) == key_bucket(other)


@EXACT
@given(st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=4))
def test_keys_of_text_are_equal_only_if_they_are_the_same_text(one, other):
    if one.strip() and other.strip():
        assert same_key(one.strip(), other) is (one.strip() == other.strip())


def test_keys_that_differ_in_text_alone_are_looked_up_each_for_itself():
    one, other = (match_keys(("cf_key",), {"cf_key": text})[0] for text in ("77.00", "77"))
    assert one.bucket == other.bucket
    assert one.token != other.token
    assert holds({"cf_key": "77"}, other)
    assert not holds({"cf_key": "77"}, one)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Decimal("1e1000000"), 10**5000, "1e999999999", True], ids=range(6)
)
def test_a_number_that_cannot_be_written_out_is_none(value):
    assert number_text(value) is None


@pytest.mark.parametrize("other", [1, "1", Decimal("1e-1000000"), 10**5000], ids=range(4))
def test_numbers_of_any_size_are_compared_at_once(other):
    assert not same_value(Decimal("1e1000000"), other)
    assert same_value(Decimal("1e1000000"), Decimal("1e1000000"))
