"""Faults: what they meet, what they do, and how they are written."""

import concurrent.futures
import http.client
import json
import random
import re
import urllib.parse

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from appcrm_sandbox.errors import SandboxError
from appcrm_sandbox.fault_rules import EFFECTS, SELECTORS, load, parse
from appcrm_sandbox.faults import OPERATIONS


def test_the_nth_request_alone_is_met(crm):
    crm.sandbox.faults({"operation": "list", "nth": [2, 4], "status": 503})
    statuses = [crm.get("/contacts").status_code for _ in range(5)]
    assert statuses == [200, 503, 200, 503, 200]


def test_every_nth_after_some_and_a_number_of_times(crm):
    crm.sandbox.faults({"every": 2, "after": 1, "times": 2, "status": 500})
    statuses = [crm.get("/contacts/1").status_code for _ in range(8)]
    assert statuses == [200, 200, 500, 200, 500, 200, 200, 200]


def test_a_rate_is_drawn_from_its_seed(crm):
    def draw(seed):
        crm.sandbox.clear_faults()
        crm.sandbox.faults({"rate": 0.5, "status": 500}, seed=seed)
        return [crm.get("/contacts/1").status_code for _ in range(24)]

    first = draw(3)
    assert first == draw(3)
    assert first != draw(4)
    assert {200, 500} == set(first)


def test_method_path_and_query_choose_the_requests(crm):
    crm.sandbox.faults(
        {"method": "get", "path": "^/contacts/7$", "status": 403},
        {"query": "order=updated_at", "status": 500, "body": "html"},
        {"resource": "companies", "status": 404},
    )
    assert crm.get("/contacts/7").status_code == 403
    assert crm.get("/contacts/8").status_code == 200
    assert crm.put("/contacts/7", first_name="Ana").status_code == 200
    assert crm.get("/contacts", order="updated_at").status_code == 500
    assert crm.get("/contacts", order="id").status_code == 200
    assert crm.get("/companies").status_code == 404


@pytest.mark.parametrize(
    "operation", ["list", "retrieve", "create", "update", "delete", "search", "attach", "detach", "sync"]
)
def test_each_of_the_nine_calls_is_an_operation(crm, operation):
    calls = {
        "list": ("GET", "/contacts"),
        "retrieve": ("GET", "/contacts/1"),
        "create": ("POST", "/contacts"),
        "update": ("PUT", "/contacts/1"),
        "delete": ("DELETE", "/contacts/1"),
        "search": ("GET", "/contacts/search"),
        "attach": ("PUT", "/associations/contacts/1"),
        "detach": ("DELETE", "/associations/contacts/1"),
        "sync": ("POST", "/associations/contacts/1"),
    }
    crm.sandbox.faults({"operation": operation, "status": 418})
    statuses = {name: crm.call(*call, json={"first_name": "A"}).status_code for name, call in calls.items()}
    assert [name for name, status in statuses.items() if status == 418] == [operation]
    assert crm.sandbox.counts()["operations"] == dict.fromkeys(calls, 1)


def test_an_error_can_be_html_empty_text_or_json(crm):
    crm.sandbox.faults(
        {"nth": 1, "status": 500, "body": "html"},
        {"nth": 2, "status": 502, "body": "empty"},
        {"nth": 3, "status": 503, "body": "down for repair"},
        {"nth": 4, "status": 422, "body": {"message": "m", "errors": {"email": ["x"]}}},
        {"nth": 5, "status": 500},
    )
    html, empty, text, refused, plain = (crm.get("/contacts") for _ in range(5))
    assert html.headers["Content-Type"].startswith("text/html")
    assert "<html>" in html.text
    assert (empty.status_code, empty.content) == (502, b"")
    assert text.text == "down for repair"
    assert refused.json()["errors"] == {"email": ["x"]}
    assert plain.json() == {"message": "Server Error"}


@pytest.mark.parametrize("body", [[], {}, 0, False, ""])
def test_an_answer_can_be_json_or_text_that_holds_nothing(crm, body):
    crm.sandbox.faults({"status": 200, "body": body})
    answer = crm.get("/contacts")
    assert (answer.json() if answer.content else answer.text) == body


def test_a_retry_after_can_be_a_date_or_nonsense(crm):
    for told in ("Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", ""):
        crm.sandbox.clear_faults()
        crm.sandbox.faults({"status": 429, "retry_after": told})
        assert crm.get("/contacts").headers["Retry-After"] == told


def test_a_429_says_when_to_come_back(crm):
    crm.sandbox.faults({"nth": 1, "status": 429, "retry_after": 5, "headers": {"X-Odd": "1"}})
    answer = crm.get("/contacts")
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert int(answer.headers["X-RateLimit-Reset"]) > 1_700_000_000
    assert answer.headers["X-Odd"] == "1"


def _create(crm):
    return crm.post("/contacts", first_name="Ana", email="once@x.example")


def test_a_reset_before_commit_leaves_nothing(crm):
    crm.sandbox.faults({"operation": "create", "nth": 1, "reset": "before_commit"})
    with pytest.raises(requests.ConnectionError):
        _create(crm)
    assert crm.sandbox.find("once@x.example") is None
    assert _create(crm).status_code == 201


def test_a_reset_after_commit_leaves_the_contact(crm):
    crm.sandbox.faults({"operation": "create", "nth": 1, "reset": "after_commit"})
    with pytest.raises(requests.ConnectionError):
        _create(crm)
    assert crm.sandbox.find("once@x.example") is not None
    assert _create(crm).status_code == 422
    assert [entry["status"] for entry in crm.sandbox.log("create")] == [None, 422]


def test_an_error_after_commit_leaves_the_contact(crm):
    crm.sandbox.faults({"operation": "create", "nth": 1, "status": 500, "after_commit": True})
    assert _create(crm).status_code == 500
    assert crm.sandbox.find("once@x.example") is not None


@pytest.mark.parametrize("effect", ["delay_seconds", "delay_after_commit_seconds"])
def test_a_slow_answer_outlasts_a_clients_patience(make_crm, effect):
    # Of its own: what is carried out late would meet another test's contacts.
    crm = make_crm()
    crm.sandbox.faults({"operation": "create", "nth": 1, effect: 2})
    with pytest.raises(requests.Timeout):
        crm.session.post(
            f"{crm.sandbox.url}/contacts", json={"first_name": "A", "email": "once@x.example"}, timeout=0.4
        )
    committed = crm.sandbox.find("once@x.example") is not None
    assert committed is (effect == "delay_after_commit_seconds")


def test_a_slow_answer_holds_up_nobody_else(crm):
    crm.sandbox.faults({"operation": "list", "delay_seconds": 0.3})
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: crm.get("/contacts"), range(5))} == {200}
    assert crm.sandbox.counts()["max_in_flight"] == 5


def _raw(crm, path):
    """The status, the Content-Length and the body as far as it came."""
    address = urllib.parse.urlsplit(crm.sandbox.origin)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    connection.request("GET", f"/api{path}", headers={"Authorization": f"Bearer {crm.sandbox.token}"})
    answer = connection.getresponse()
    length = int(answer.headers["Content-Length"])
    try:
        return answer.status, length, answer.read()
    except http.client.IncompleteRead as error:
        return answer.status, length, error.partial
    except ConnectionResetError:
        return answer.status, length, b""
    finally:
        connection.close()


def test_a_cut_body_is_framed_well_and_is_no_json(crm):
    crm.sandbox.faults({"cut": "body"})
    status, length, body = _raw(crm, "/contacts")
    assert (status, length) == (200, len(body))
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        json.loads(body)


def test_a_malformed_body_is_no_json_either(crm):
    crm.sandbox.faults({"cut": "malformed"})
    status, length, body = _raw(crm, "/contacts/1")
    assert (status, length) == (200, len(body))
    with pytest.raises(ValueError, match="Extra data"):
        json.loads(body)


def test_a_cut_connection_ends_in_the_middle_of_the_body(crm):
    crm.sandbox.faults({"cut": "connection"})
    status, length, body = _raw(crm, "/contacts")
    assert status == 200
    assert len(body) < length


def test_per_page_is_ignored_and_the_envelope_changes_for_one_request(crm):
    crm.sandbox.faults({"operation": "list", "nth": 1, "per_page": 3}, {"nth": 2, "envelope": "flat"})
    first, second, third = (crm.get("/contacts", per_page=100).json() for _ in range(3))
    assert (len(first["data"]), first["meta"]["per_page"]) == (3, 3)
    assert second["total"] == len(third["data"]) == 25


def test_rows_move_between_the_pages_of_one_walk(crm):
    crm.sandbox.faults(
        {"query": "page=2", "mutate": {"delete": [1], "touch": [20], "insert": [{"first_name": "Novo"}]}},
    )
    first = crm.ids(order="id", per_page=10, page=1)
    second = crm.ids(order="id", per_page=10, page=2)
    assert first == list(range(1, 11))
    assert second == list(range(12, 22))
    assert crm.stamp(20) == "2026-06-01T08:00:00.000000Z"
    assert crm.sandbox.contact(26)["first_name"] == "Novo"


def test_effects_of_several_rules_add_up_and_the_first_decides(crm):
    crm.sandbox.faults(
        {"name": "moves", "mutate": {"delete": [1]}},
        {"name": "fails", "nth": 1, "status": 503},
        {"name": "fails otherwise", "nth": 1, "status": 500},
    )
    assert crm.get("/contacts").status_code == 503
    assert crm.sandbox.contact(1)["deleted_at"]
    assert crm.sandbox.log()[0]["fault"] == "moves, fails, fails otherwise"


def test_rules_tell_how_often_they_met_and_fired(crm):
    crm.sandbox.faults({"name": "second", "operation": "list", "nth": 2, "status": 500})
    for _ in range(3):
        crm.get("/contacts")
    rules = crm.sandbox.control("GET", "/__control/faults")
    assert [(rule["name"], rule["met"], rule["fired"]) for rule in rules] == [("second", 3, 1)]
    crm.sandbox.control("PUT", "/__control/faults", {"faults": [{"status": 500}]})
    (rule,) = crm.sandbox.control("GET", "/__control/faults")
    assert re.fullmatch("fault [0-9]+", rule["name"])
    crm.sandbox.clear_faults()
    assert crm.sandbox.control("GET", "/__control/faults") == []


WRONG = [
    {"operation": "lists", "status": 500},
    {"statsu": 500},
    {"operation": "list"},
    {"status": 99},
    {"status": "500"},
    {"status": 500, "nth": 0},
    {"status": 500, "rate": 2},
    {"status": 500, "path": "("},
    {"reset": "later"},
    {"cut": "twice"},
    {"envelope": "none"},
    {"per_page": 0},
    {"delay_seconds": -1},
    {"delay_seconds": "1"},
    {"retry_after": 5},
    {"status": 429, "retry_after": "1\r\nX-Odd: 1"},
    {"status": 429, "retry_after": [1]},
    {"status": 429, "retry_after": None},
    {"status": 500, "headers": {"X-Odd": "1\n2"}},
    {"status": 500, "headers": {"X Odd": "1"}},
    {"status": 500, "headers": {"X-Odd": "日"}},
    {"mutate": {"explode": [1]}},
    {"mutate": {"delete": "1"}},
    {"mutate": {}},
    "status: 500",
    None,
]


@pytest.mark.parametrize("rule", WRONG, ids=str)
def test_a_bad_rule_is_refused_in_one_sentence(crm, rule):
    with pytest.raises(ValueError, match=r"^rule 1"):
        crm.sandbox.control("POST", "/__control/faults", [rule])
    assert crm.sandbox.control("GET", "/__control/faults") == []


def test_a_file_of_rules_is_yaml_or_json(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("seed: 3\nfaults:\n  - {operation: list, nth: 2, status: 429, retry_after: 1}\n")
    rules, seed = load(path)
    assert (len(rules), seed, rules[0].operations) == (1, 3, ("list",))
    path = tmp_path / "faults.json"
    path.write_text('[{"status": 500}]')
    assert load(path)[0][0].effects == {"status": 500}


@given(
    rule=st.dictionaries(
        st.sampled_from((*SELECTORS, *EFFECTS)),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-2, 600),
            st.floats(),
            st.text(max_size=5),
            st.lists(st.integers()),
        ),
        max_size=4,
    ),
)
def test_whatever_a_rule_holds_it_works_or_is_refused(rule):
    try:
        rules, _seed = parse([rule])
    except SandboxError:
        return
    assert rules[0].effects
    for operation in OPERATIONS:
        if rules[0].meets(operation, "contacts", "GET", "/contacts", ""):
            rules[0].fires(random.Random(1))  # noqa: S311  repeatable chance is the point
