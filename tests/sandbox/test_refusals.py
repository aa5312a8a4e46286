"""Who is turned away, with which body and which headers."""

import pytest

from appcrm_sandbox.limits import WINDOW_SECONDS, Limiter


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic sandbox-token", "Bearer sandbox-token x"]
)
def test_a_wrong_token_is_unauthenticated(crm, header):
    answer = crm.call("GET", "/contacts", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json() == {"message": "Unauthenticated."}
    assert not [name for name in answer.headers if name.startswith("X-RateLimit")]


@pytest.mark.parametrize("header", ["Referer", "Origin"])
def test_a_referer_or_an_origin_asks_for_a_csrf_token(crm, header):
    answer = crm.call("GET", "/contacts", headers={header: crm.sandbox.origin})
    assert (answer.status_code, answer.json()) == (419, {"message": "CSRF token mismatch."})
    assert not [name for name in answer.headers if name.startswith("X-RateLimit")]


@pytest.mark.parametrize(
    "path", ["/contacts/999", "/contacts/x", "/nothing", "/contacts/99999999999999999999", ""]
)
def test_what_is_not_there_is_not_found_in_json(crm, path):
    answer = crm.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"]


def test_a_method_that_a_path_does_not_know_is_refused_with_those_it_does(crm):
    answer = crm.call("PATCH", "/contacts/1", json={})
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, PUT, DELETE"


def test_an_answer_says_what_the_limit_is(crm):
    first, second = crm.get("/contacts"), crm.get("/contacts/999")
    assert first.headers["X-RateLimit-Limit"] == "1000000"
    assert int(second.headers["X-RateLimit-Remaining"]) == int(first.headers["X-RateLimit-Remaining"]) - 1


def test_a_request_line_beyond_8_kb_is_a_414_of_the_web_server_and_not_of_the_crm(crm):
    line = len("GET /api/contacts?q= HTTP/1.1\r\n")
    assert crm.get("/contacts", q="x" * (8192 - line)).status_code == 200
    for length in (8193 - line, 60_000):
        answer = crm.get("/contacts", q="x" * length)
        assert answer.status_code == 414
        assert answer.headers["Content-Type"] == "text/html"
        assert "X-App-Version" not in answer.headers


def test_past_the_limit_a_request_is_refused_until_the_window_ends(with_switches):
    crm = with_switches(rate_limit=3)
    remaining = [crm.get("/contacts/1").headers["X-RateLimit-Remaining"] for _ in range(3)]
    assert remaining == ["2", "1", "0"]
    answer = crm.get("/contacts/1")
    assert (answer.status_code, answer.json()) == (429, {"message": "Too Many Attempts."})
    assert 1 <= int(answer.headers["Retry-After"]) <= WINDOW_SECONDS
    assert int(answer.headers["X-RateLimit-Reset"]) > 1_700_000_000
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert crm.sandbox.counts()["statuses"] == {"200": 3, "429": 1}


def test_the_limit_can_be_changed_while_it_serves(with_switches):
    crm = with_switches(rate_limit=1)
    assert [crm.get("/contacts/1").status_code for _ in range(2)] == [200, 429]
    crm.sandbox.settings(rate_limit=None)
    assert crm.get("/contacts/1").status_code == 200


def test_a_window_begins_with_its_first_request_and_lasts_a_minute():
    now = [1000.0]
    limiter = Limiter(lambda: now[0], lambda: 1_800_000_000.0)
    assert limiter.check(1, 1).allowed
    now[0] += 45.5
    refused = limiter.check(1, 1)
    assert not refused.allowed
    assert refused.headers["Retry-After"] == "15"
    assert refused.headers["X-RateLimit-Reset"] == "1800000015"
    now[0] += 14.5
    assert limiter.check(1, 1).allowed


def test_the_limit_is_a_users_own_whichever_token_they_use(with_switches):
    crm = with_switches(rate_limit=2)
    crm.sandbox.add_token("second", 1)
    crm.sandbox.add_token("other", 2)
    answers = [
        crm.call("GET", "/contacts/1", headers={"Authorization": f"Bearer {token}"})
        for token in (crm.sandbox.token, "second", "second", crm.sandbox.token, "other")
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429, 200]
    assert int(answers[2].headers["Retry-After"]) <= WINDOW_SECONDS
    assert answers[4].headers["X-RateLimit-Remaining"] == "1"
