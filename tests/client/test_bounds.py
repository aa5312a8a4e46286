"""Whatever a server sends, in whatever time: one of our errors in one sentence, in bounded time and memory."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_server import RawServer

from appcrm import errors
from appcrm.client import Client, ListQuery
from appcrm.settings import ApiSettings
from appcrm.transport import MOST_BODY_BYTES

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b'{"id": 7, "first_name": "Ana"}'


@pytest.fixture(scope="module")
def raw():
    server = RawServer()
    yield server
    server.stop()


@pytest.fixture
def ask(raw):
    return client_of(raw, request_timeout=1, max_tries=1)


def client_of(raw, **changes):
    config = {"api_url": raw.url, "auth_token": "secret-token", "max_tries": 2, **changes}
    return Client.from_settings(ApiSettings.from_config(config, user_agent="test/1"), sleep=lambda _: None)


def whole(status=200, headers=(), body=JSON):
    lines = [f"HTTP/1.1 {status} Any".encode(), f"Content-Length: {len(body)}".encode()]
    lines += [b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("pieces", "pause"),
    [
        ([OK + b"Content-Length: 1000000\r\n\r\n", b" "], 0.05),
        ([OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"], 0.05),
        ([OK + b"\r\n", b" "], 0.05),
        ([OK, b"X-Header: 1\r\n"], 0.05),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"], 0.001),
        ([b"HTTP/1.1 100 Continue\r\n", b"X: 1\r\n"], 0.05),
        ([b"H", b"T"], 0.05),
        ([b""], 0.05),
    ],
    ids=[
        "body",
        "chunks",
        "body without length",
        "headers",
        "100",
        "headers of 100",
        "status line",
        "nothing",
    ],
)
def test_a_slow_answer_ends_when_its_time_is_over_however_it_drips(raw, ask, pieces, pause):
    raw.says(*pieces, pause=pause, forever=True)
    with pytest.raises(errors.ConnectionFault, match=r"within 1 s|too long|connection broke") as caught:
        ask.create_contact({"first_name": "Ana"})
    assert caught.value.outcome_unknown


def test_a_read_in_flight_ends_at_once_when_the_run_does(raw):
    raw.says(OK + b"Content-Length: 1000000\r\n\r\n", b" ", pause=0.05, forever=True)
    client = client_of(raw, request_timeout=300, max_tries=1)
    seen = []

    def read():
        try:
            client.retrieve_contact(7)
        except errors.ConnectionFault as error:
            seen.append(error)

    before = raw.asked
    thread = threading.Thread(target=read)
    thread.start()
    while raw.asked == before:
        time.sleep(0.01)
    client.break_off_reads()
    thread.join(30)
    assert not thread.is_alive()
    assert len(seen) == 1


def bomb(size):
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b" " * 2**20
    return b"".join(pack.compress(zeros) for _ in range(size // 2**20)) + pack.flush()


def test_a_body_that_unpacks_to_more_than_the_ceiling_is_never_held(raw):
    raw.says(whole(headers=[b"Content-Encoding: gzip"], body=bomb(4 * MOST_BODY_BYTES)))
    client = client_of(raw)
    tracemalloc.start()
    with pytest.raises(errors.AnswerTooLarge, match=r"64 MB.*page_size"):
        client.list_contacts(ListQuery())
    assert tracemalloc.get_traced_memory()[1] < 3 * MOST_BODY_BYTES
    tracemalloc.stop()


def test_a_bomb_in_a_bomb_is_never_held(raw):
    raw.says(whole(headers=[b"Content-Encoding: gzip, gzip"], body=gzip.compress(bomb(4 * MOST_BODY_BYTES))))
    client = client_of(raw)
    tracemalloc.start()
    with pytest.raises(errors.ApiError):
        client.list_contacts(ListQuery())
    assert tracemalloc.get_traced_memory()[1] < 3 * MOST_BODY_BYTES
    tracemalloc.stop()


def test_a_create_whose_answer_is_too_large_may_have_been_carried_out(raw):
    raw.says(OK + b"\r\n", b" " * 2**20, forever=True)
    with pytest.raises(errors.AnswerTooLarge) as caught:
        client_of(raw).create_contact({"first_name": "Ana"})
    assert caught.value.outcome_unknown


def test_of_an_error_no_more_than_its_beginning_is_read(raw, ask):
    raw.says(b"HTTP/1.1 500 Oops\r\n\r\n", b" " * 2**16, forever=True)
    with pytest.raises(errors.ServerFault, match="status 500"):
        ask.retrieve_contact(7)


DATES = [
    "Thu, 01 Jan 1970 00:00:00 -0000",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 99 Foo 2026 99:99:99 +9999",
]
NUMBERS = ["1e300", "-1e300", "nan", "inf", "-5", "0", "1.5", "9" * 400, "\u0663", "", "0x10", "1_000"]


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("number", NUMBERS)
def test_odd_dates_and_numbers_in_headers_are_no_wait_and_no_error(raw, ask, date, number):
    text = number.encode()
    odd = [
        b"Date: " + date.encode(),
        *(name + text for name in (b"X-RateLimit-Reset: ", b"X-RateLimit-Limit: ")),
    ]
    raw.says(whole(headers=[*odd, b"X-RateLimit-Remaining: " + text]))
    assert ask.retrieve_contact(7)["id"] == 7
    raw.says(whole(429, [*odd, b"Retry-After: " + text], b"{}"))
    with pytest.raises((errors.RateLimited, errors.WaitTooLong)):
        ask.retrieve_contact(7)


@pytest.mark.parametrize("date", DATES)
def test_a_page_whose_date_is_odd_has_its_rows(raw, ask, date):
    raw.says(whole(headers=[b"Date: " + date.encode()], body=b'{"data": [{"id": 1}]}'))
    assert ask.list_contacts(ListQuery()).rows == [{"id": 1}]


@pytest.mark.parametrize("told", ["3601", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_of_more_than_an_hour_ends_the_run_and_says_until_when(raw, told, status):
    raw.says(whole(status, [b"Retry-After: " + told.encode()], b"{}"))
    client = client_of(raw, max_tries=8)
    before = raw.asked
    with pytest.raises(
        errors.WaitTooLong, match=r"asks to wait (until \d{4}-\d\d-\d\d \d\d:\d\d UTC|for more than)"
    ):
        client.retrieve_contact(7)
    with pytest.raises(errors.WaitTooLong):
        client.retrieve_contact(8)
    assert raw.asked == before + 1, "nothing is sent inside a Retry-After"


@pytest.mark.parametrize(
    "location",
    ["http://[::1", "http://127.0.0.1:abc/", "http://127.0.0.1:99999/", "//[", "\xff\xfe", "http://\x00"],
)
def test_a_redirect_to_what_is_no_address_is_one_sentence(raw, ask, location):
    raw.says(whole(302, [b"Location: " + location.encode("latin-1")], b""))
    with pytest.raises(errors.ApiError) as caught:
        ask.retrieve_contact(7)
    assert errors.one_sentence(caught.value).isprintable()


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'{"message": ' + b"[" * 100_000])
@pytest.mark.parametrize("status", [200, 422, 500])
def test_a_body_nested_without_end_is_a_fault_like_any_other(raw, ask, body, status):
    raw.says(whole(status, body=body))
    for call in (lambda: ask.retrieve_contact(7), lambda: ask.list_contacts(ListQuery())):
        with pytest.raises(errors.ApiError):
            call()


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Content-Length: 9223372036854775808\r\n\r\n" + JSON,
        OK + b"Content-Length: 5, 7\r\n\r\n" + JSON,
        OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n" + JSON,
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + JSON,
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + JSON,
        OK + b"X: \xff\xfe\x00\r\nContent-Length: 2\r\n\r\n{}",
        OK + b": : :\r\n\r\n",
        OK + b"X: 1\r\n" * 500 + b"\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n",
        b"\x16\x03\x01",
        b"",
    ],
)
def test_a_head_that_is_no_http_is_one_of_our_errors(raw, ask, head):
    raw.says(head)
    with pytest.raises(errors.ApiError) as caught:
        ask.retrieve_contact(7)
    assert errors.one_sentence(caught.value).isprintable()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMED = st.dictionaries(
    st.sampled_from(
        ["data", "meta", "id", "total", "per_page", "last_page", "current_page", "message", "errors"]
    ),
    VALUES | st.just([{"id": -1}]),
    max_size=5,
)
BODIES = (
    st.binary(max_size=40)
    | (VALUES | NAMED).map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.just("data"), NAMED).map(lambda value: json.dumps(value).encode())
)
HEADER_NAMES = [
    *(b"Date", b"Retry-After", b"X-RateLimit-Reset", b"X-RateLimit-Limit", b"X-RateLimit-Remaining"),
    *(
        b"Location",
        b"Content-Type",
        b"Content-Encoding",
        b"X-App-Version",
        b"Set-Cookie",
        b"Transfer-Encoding",
    ),
]
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(HEADER_NAMES),
        st.binary(max_size=30) | st.sampled_from([b"gzip", b"chunked", b"1e300"]),
    ),
    max_size=4,
).map(lambda pairs: [name + b": " + value.replace(b"\n", b"").replace(b"\r", b"") for name, value in pairs])


@given(status=st.integers(100, 999), headers=HEADERS, body=BODIES)
@settings(
    derandomize=True,
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_answer_is_a_result_or_one_of_our_errors(raw, status, headers, body):
    raw.says(whole(status, headers, body))
    client = client_of(raw, request_timeout=1, max_tries=1)
    for call in (
        lambda: client.list_contacts(ListQuery()),
        lambda: client.search_contacts("x", search_fields="email:="),
        lambda: client.create_contact({"first_name": "Ana"}),
        lambda: client.delete_contact(7),
    ):
        with contextlib.suppress(errors.AppcrmError):
            call()


@given(st.binary(max_size=200))
@settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_bytes_are_one_of_our_errors(raw, sent):
    raw.says(sent)
    with pytest.raises(errors.AppcrmError):
        client_of(raw, request_timeout=1, max_tries=1).retrieve_contact(7)
