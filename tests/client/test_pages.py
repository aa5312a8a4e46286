"""A page in every envelope that was seen."""

from __future__ import annotations

import json

import pytest

from appcrm.client import ListQuery
from appcrm.errors import MalformedBody
from appcrm.pages import read_contact, read_page
from appcrm.session import Response

ROWS = [{"id": 1}, {"id": 2}]
NUMBERS = {"current_page": 1, "per_page": 100, "last_page": 3, "total": 250}


def page_of(body):
    return read_page(Response(200, {}, json.dumps(body).encode()), 1)


@pytest.mark.parametrize(
    "body",
    [
        {"data": ROWS, "links": {"next": None}, "meta": NUMBERS},
        {"data": ROWS, **NUMBERS},
        {"data": ROWS, "meta": {name: str(number) for name, number in NUMBERS.items()}},
    ],
    ids=["laravel", "flat", "numbers as text"],
)
def test_rows_and_numbers_are_found_in_every_envelope(body):
    page = page_of(body)
    assert (page.rows, page.per_page, page.last_page, page.total) == (ROWS, 100, 3, 250)


@pytest.mark.parametrize(
    "body", [ROWS, {"data": ROWS}, {"data": ROWS, "meta": None}, {"data": ROWS, "meta": []}]
)
def test_a_page_without_numbers_has_its_rows(body):
    page = page_of(body)
    assert (page.rows, page.last_page, page.total) == (ROWS, None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"data": [{"id": 1}',
        b'{"message": "hi"}',
        b'{"data": null}',
        b"[1, 2]",
        b"[[]]",
        b"null",
        b'{"data": [{"id": 1, "first_name": "\xff\xfe"}]}',
    ],
)
def test_a_body_that_is_no_list_is_never_an_empty_page(body):
    with pytest.raises(MalformedBody):
        read_page(Response(200, {"Content-Type": "text/html; charset=utf-8"}, body), 1)


@pytest.mark.parametrize("body", [b'{"id": 7}', b'{"data": {"id": 7}}'])
def test_a_contact_is_found_bare_or_wrapped(body):
    assert read_contact(Response(200, {}, body), "retrieve", "/contacts/7", needs_id=True) == {"id": 7}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"message": "hi"}',
        b'{"id": "7x"}',
        b'{"id": true}',
        b'{"id": -7}',
        b'{"id": 0}',
        b"{",
        b'{"id": 7, "n": "\xff"}',
    ],
)
def test_a_body_without_the_contact_that_was_asked_for_is_a_fault(body):
    with pytest.raises(MalformedBody):
        read_contact(Response(200, {}, body), "retrieve", "/contacts/7", needs_id=True)


def test_only_what_was_asked_for_becomes_a_parameter():
    assert ListQuery().parameters(3) == {"order": "id", "per_page": 100, "page": 3}


def test_a_count_of_a_thousand_digits_is_a_malformed_body():
    with pytest.raises(MalformedBody):
        page_of({"data": ROWS, "meta": {"total": 10**400}})
