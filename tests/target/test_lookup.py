"""Look-ups believe that a contact is absent only on evidence: servers cap, cut and ignore what they are asked."""

from __future__ import annotations

import re
from concurrent.futures import wait

import pytest

from appcrm.errors import BadRequest
from appcrm.pages import Page
from target_appcrm.match.cache import ContactIndex
from target_appcrm.match.keys import match_keys
from target_appcrm.match.lookup import RECORDS_AT_ONCE, RECORDS_WHERE_DEAR, Lookups
from target_appcrm.settings import TargetSettings
from target_appcrm.write.workers import Workers

PEOPLE = 5_000


class OddServer:
    """A CRM whose search reads only so many values, as the sandbox's does not."""

    def __init__(self, *, people=PEOPLE, most_values=None, refuses_in=False, fails=False):
        self.rows = [
            {"id": n, "first_name": "P", "email": f"p{n}@x.io", "phones": [], "cf_key": f"K{n}"}
            for n in range(1, people + 1)
        ]
        self.most_values, self.requests = most_values, 0
        self.refuses_in, self.fails = refuses_in, fails
        self.included = []

    def search_contacts(self, text, *, search_fields, max_tries=None):  # noqa: ARG002  the client's form
        self.requests += 1
        field, operator = search_fields.split(":")
        if operator == "in" and self.refuses_in:
            raise BadRequest("refused", operation="search", path="/contacts", status=400)
        values = text.split(",")[: self.most_values] if operator == "in" else [text]
        wanted = {value.lower() for value in values}
        numbers = (re.fullmatch(r"[pk](\d+)(@x\.io)?", value) for value in wanted)
        rows = [self.rows[int(n[1]) - 1] for n in numbers if n and int(n[1]) <= len(self.rows)]
        rows = [row for row in rows if row[field].lower() in wanted]
        return sorted(rows, key=lambda row: row["id"])

    def list_contacts(self, query, page, *, max_tries=None):  # noqa: ARG002  the client's form
        self.requests += 1
        self.included.append(query.include)
        if self.fails:
            raise BadRequest("refused", operation="list", path="/contacts", status=400)
        size = query.per_page
        return Page(
            rows=self.rows[(page - 1) * size : page * size],
            page=page,
            total=len(self.rows),
            per_page=size,
            last_page=-(-len(self.rows) // size),
        )


@pytest.fixture
def lookups(request):
    def make(server, *match_on):
        settings = TargetSettings(match_on=match_on)
        workers = Workers(4)
        request.addfinalizer(workers.close)
        return Lookups(server, settings, workers, ContactIndex(settings.key_fields))

    return make


def keys_of(field, numbers):
    text = "K{}" if field == "cf_key" else "P{}@x.io"
    return [match_keys((field,), {field: text.format(n)}) for n in numbers]


@pytest.mark.parametrize("field", ["email", "cf_key"])
@pytest.mark.parametrize(
    "odd",
    [{}, {"most_values": 1}, {"most_values": 50}, {"refuses_in": True}],
    ids=str,
)
def test_what_is_there_is_found_and_what_is_not_is_not(lookups, field, odd):
    server = OddServer(**odd)
    finder = lookups(server, field)
    for first in (1, 4_600):
        keysets = keys_of(field, range(first, first + 800))
        found = finder.find(keysets)
        held = [number for keys in keysets for number in found.of(keys)]
        assert held == list(range(first, min(first + 800, PEOPLE + 1)))


@pytest.mark.parametrize("odd", [{}, {"most_values": 1}, {"refuses_in": True}], ids=str)
def test_as_many_records_as_contacts_cost_a_request_for_a_hundred(lookups, odd):
    server = OddServer(**odd)
    finder = lookups(server, "email")
    for first in range(1, PEOPLE, RECORDS_AT_ONCE):
        finder.find(keys_of("email", range(first, min(first + RECORDS_AT_ONCE, PEOPLE + 1))))
    assert server.requests <= PEOPLE // 100 + 5


def test_a_few_records_against_many_contacts_cost_a_few_searches(lookups):
    server = OddServer()
    lookups(server, "email").find(keys_of("email", [3, 999, 4_000, 70_000, 70_001]))
    assert server.requests <= 3


def test_where_each_record_costs_a_search_few_are_looked_up_before_they_are_written(lookups):
    finder = lookups(OddServer(refuses_in=True), "email")
    assert finder.records_at_once == RECORDS_AT_ONCE
    finder.find(keys_of("email", range(1, 11)))
    assert finder.records_at_once == RECORDS_WHERE_DEAR


def test_where_the_whole_crm_was_read_many_are_looked_up_together_again(lookups):
    finder = lookups(OddServer(refuses_in=True), "email")
    finder.find(keys_of("email", range(1, PEOPLE)))
    assert finder.records_at_once == RECORDS_AT_ONCE


# The CRM's size, asked for while the first records still come in


def look_ahead(finder, numbers):
    """Look ahead, and wait until what was sent for has come."""
    finder.look_ahead(keys_of("email", numbers))
    sent_for = finder._crm._sent_for  # noqa: SLF001  a test may wait for what the product goes on without
    if sent_for is not None:
        wait([sent_for], timeout=10)


@pytest.mark.parametrize("people", [0, 80, PEOPLE])
def test_the_size_asked_for_ahead_costs_no_request_more(lookups, people):
    sent = []
    for is_ahead in (False, True):
        server = OddServer(people=people)
        finder = lookups(server, "email")
        if is_ahead:
            look_ahead(finder, range(41, 141))
            assert server.requests == 1
        found = finder.find(keys_of("email", range(41, 441)))
        assert found.contacts.keys() >= set(range(41, min(441, people + 1)))
        sent.append(server.requests)
    assert sent[0] == sent[1]


@pytest.mark.parametrize(("people", "at_once"), [(0, 1), (80, 1), (PEOPLE, RECORDS_AT_ONCE)])
def test_records_are_written_at_once_where_one_page_is_the_whole_crm(lookups, people, at_once):
    finder = lookups(OddServer(people=people), "email")
    look_ahead(finder, range(1, 101))
    assert finder.records_at_once == at_once
    finder.find(keys_of("email", range(1, 151)))
    assert finder.records_at_once == RECORDS_AT_ONCE


@pytest.mark.parametrize("numbers", [range(1, 100), [1] * 100])
def test_keys_that_one_search_finds_ask_for_nothing_ahead(lookups, numbers):
    server = OddServer()
    look_ahead(lookups(server, "email"), numbers)
    assert server.requests == 0


def test_nothing_is_asked_ahead_once_records_were_handed_over(lookups):
    server = OddServer()
    finder = lookups(server, "email")
    finder.find(keys_of("email", [1]))
    before = server.requests
    look_ahead(finder, range(1, 201))
    assert server.requests == before


def test_associations_that_turn_up_after_the_page_was_sent_for_are_read(lookups):
    server = OddServer(people=80)
    finder = lookups(server, "email")
    look_ahead(finder, range(1, 101))
    finder.find(keys_of("email", range(1, 101)), with_associations=True)
    assert server.included[0] == ()
    assert set(server.included[1]) == {"companies", "deals"}


def test_a_page_that_cannot_be_read_ends_the_first_look_up_and_no_record_waits_for_more(lookups):
    finder = lookups(OddServer(fails=True), "email")
    look_ahead(finder, range(1, 101))
    assert finder.records_at_once == 1
    with pytest.raises(BadRequest):
        finder.find(keys_of("email", range(1, 101)))


@pytest.mark.parametrize(("age_seconds", "pages"), [(0.0, 3), (60.0, 4)])
def test_a_page_that_was_sent_for_long_ago_is_read_anew_before_the_others(lookups, age_seconds, pages):
    server = OddServer(people=300)
    finder = lookups(server, "email")
    look_ahead(finder, range(1, 101))
    finder._crm._sent_for_at -= age_seconds  # noqa: SLF001  the clock of a look-up is its own
    found = finder.find(keys_of("email", range(1, 901)))
    assert found.contacts.keys() == set(range(1, 301))
    assert server.requests == pages
