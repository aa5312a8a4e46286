"""How a request is sent, tried again, and named when it fails."""

from __future__ import annotations

import json
import socket

import pytest

from appcrm import errors
from appcrm.client import Client, ListQuery
from appcrm.settings import ApiSettings

OK = b'{"id": 7, "first_name": "Ana"}'


def test_a_request_carries_the_token_and_never_a_referer_or_origin(server, client, answer):
    answer({"body": OK})
    client.retrieve_contact(7)
    headers = {name.lower(): value for name, value in server.asked[0].headers.items()}
    assert headers["authorization"] == "Bearer secret-token-1234"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"] == "test/1"
    assert not {"referer", "origin", "cookie"} & set(headers)


def test_a_cookie_of_one_answer_is_not_sent_with_the_next_request(server, client, answer):
    answer({"body": OK, "headers": {"Set-Cookie": "XSRF-TOKEN=1; path=/"}}, {"body": OK})
    client.retrieve_contact(7)
    client.retrieve_contact(7)
    assert "Cookie" not in server.asked[1].headers


def test_a_netrc_entry_does_not_replace_the_token(server, client, answer, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    answer({"body": OK})
    client.retrieve_contact(7)
    assert server.asked[0].headers["Authorization"].startswith("Bearer ")


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "body": b"<html>Whoops</html>", "headers": {"Content-Type": "text/html"}},
        {"status": 502, "body": b""},
        {"status": 503, "body": b'{"message": "Service Unavailable"}'},
        {"status": 408, "body": b""},
        {"body": b'{"id": 7, "first_na'},
        {"body": b""},
        {"body": b"<html>login</html>"},
        {"body": b'{"id": 7, "first_name": "\xff\xfe"}'},
        {"status": 500, "body": b'{"message": "\xff\xfe"}'},
        {"body": OK[:10], "cut": True},
        {"reset": True},
    ],
    ids=[
        "500 html",
        "502 empty",
        "503",
        "408",
        "cut json",
        "empty",
        "html",
        "no utf-8",
        "no utf-8 in an error",
        "cut body",
        "reset",
    ],
)
def test_a_passing_fault_is_tried_again(client, answer, fault):
    answer(fault, {"body": OK})
    assert client.retrieve_contact(7) == {"id": 7, "first_name": "Ana"}
    assert client.requests_sent == 2


def test_waits_double_and_stay_below_the_setting(make_client, answer, waits):
    answer({"status": 500})
    with pytest.raises(errors.ServerFault):
        make_client(max_tries=8, max_retry_wait=5).retrieve_contact(7)
    assert len(waits) == 7
    for exponent, wait in enumerate(waits):
        assert min(5, 0.25 * 2**exponent) <= wait <= min(5, 0.5 * 2**exponent)


def test_a_retry_after_is_obeyed_even_beyond_the_longest_wait(make_client, answer, waits):
    answer({"status": 429, "headers": {"Retry-After": "300"}}, {"body": OK})
    make_client(max_retry_wait=5).retrieve_contact(7)
    assert 300 <= sum(waits) < 302


def test_a_retry_after_on_a_503_is_obeyed(client, answer, waits):
    answer({"status": 503, "headers": {"Retry-After": "17"}}, {"body": OK})
    client.retrieve_contact(7)
    assert waits == [17.0]


def test_a_create_is_sent_once_when_its_outcome_is_unknown(server, client, answer):
    for fault in (
        {"status": 500},
        {"reset": True},
        {"status": 201, "body": b"<html>"},
        {"status": 201, "body": b"{}"},
    ):
        server.asked.clear()
        answer(fault)
        with pytest.raises(errors.RetriableError) as caught:
            client.create_contact({"first_name": "Ana"})
        assert caught.value.outcome_unknown
        assert len(server.asked) == 1


def test_a_create_that_was_refused_for_the_rate_limit_is_sent_again(client, answer):
    answer({"status": 429, "headers": {"Retry-After": "1"}}, {"status": 201, "body": OK})
    assert client.create_contact({"first_name": "Ana"})["id"] == 7


def test_a_create_that_never_left_is_sent_again_and_its_outcome_is_known(waits):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    settings = ApiSettings.from_config(
        {"api_url": f"http://127.0.0.1:{port}/api", "auth_token": "t", "max_tries": 3}, user_agent="test/1"
    )
    client = Client.from_settings(settings, sleep=waits.append)
    with pytest.raises(errors.ConnectionFault) as caught:
        client.create_contact({"first_name": "Ana"})
    assert not caught.value.outcome_unknown
    assert client.requests_sent == 3
    assert "api_url" in str(caught.value)


@pytest.mark.parametrize("status", sorted(errors.STATUS_ERRORS))
def test_every_mapped_status_raises_its_error(make_client, answer, status):
    answer({"status": status, "body": b'{"message": "no"}'})
    with pytest.raises(errors.STATUS_ERRORS[status]) as caught:
        make_client(max_tries=1).retrieve_contact(7)
    assert caught.value.status == status
    assert str(status) in str(caught.value)


def test_every_error_of_the_tree_can_come_of_a_response():
    def leaves(kind):
        below = kind.__subclasses__()
        return {kind} if not below else set().union(*map(leaves, below))

    raised_elsewhere = {
        errors.AnswerTooLarge,
        errors.ConnectionFault,
        errors.MalformedBody,
        errors.UnknownHost,
        errors.WaitTooLong,
    }
    mapped = {errors.error_for_status(status) for status in range(300, 600)}
    assert leaves(errors.ApiError) == mapped | raised_elsewhere


def test_a_refused_field_is_named_in_the_message_and_its_texts_are_kept_apart(client, answer):
    body = {"message": "Dados inválidos", "errors": {"email": ["ana@example.com já existe"]}}
    answer({"status": 422, "body": json.dumps(body).encode()})
    with pytest.raises(errors.InvalidRecord) as caught:
        client.create_contact({"first_name": "Ana"})
    assert caught.value.field_errors == {"email": ["ana@example.com já existe"]}
    assert "email" in str(caught.value)
    assert "ana@example.com" not in str(caught.value)


def test_messages_hold_neither_the_token_nor_what_was_searched_for(make_client, answer):
    answer({"status": 500})
    with pytest.raises(errors.ServerFault) as caught:
        make_client(max_tries=1).search_contacts("ana@example.com", search_fields="email:=")
    assert "ana@example.com" not in str(caught.value)
    assert "secret-token" not in str(caught.value)


def test_a_redirect_within_the_address_is_followed_for_a_read(server, client, answer):
    answer({"status": 302, "headers": {"Location": "/api/v2/contacts/7"}}, {"body": OK})
    assert client.retrieve_contact(7)["id"] == 7
    assert server.asked[1].target == "/api/v2/contacts/7"


@pytest.mark.parametrize(
    "location", ["http://localhost:1/x", "https://127.0.0.1/x", "//example.com/x", "http://127.0.0.1:1/"]
)
def test_a_redirect_elsewhere_never_gets_the_token(server, client, answer, location):
    answer({"status": 302, "headers": {"Location": location}})
    with pytest.raises(errors.RedirectRefused, match="api_url"):
        client.retrieve_contact(7)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_404_behind_a_redirect_is_not_the_contacts_own(client, answer, status):
    answer({"status": 302, "headers": {"Location": "/login"}}, {"status": status})
    with pytest.raises(errors.RedirectRefused, match=f"redirects to a page that answers {status}"):
        client.retrieve_contact(7)


def test_a_redirected_write_is_not_sent_anywhere_else(server, client, answer):
    answer({"status": 301, "headers": {"Location": "/elsewhere"}})
    with pytest.raises(errors.RedirectRefused):
        client.create_contact({"first_name": "Ana"})
    assert len(server.asked) == 1


def test_redirects_without_end_are_an_error(client, answer):
    answer({"status": 302, "headers": {"Location": "/api/contacts/7"}})
    with pytest.raises(errors.RedirectRefused):
        client.retrieve_contact(7)


def test_the_nine_calls_go_to_the_vendors_endpoints(server, client, answer):
    answer({"body": b'{"data": [], "meta": {"total": 0}}'})
    client.list_contacts(ListQuery(order="updated_at|desc", select=("first_name", "id")), 2)
    answer({"body": b"[]"})
    client.search_contacts("Ana", search_fields="email:like;phones.number:=", take=1)
    answer({"body": OK})
    client.retrieve_contact(7)
    client.create_contact({"first_name": "Ana"})
    client.update_contact(7, {"first_name": "Ana"})
    client.attach(7, {"companies": [1]})
    client.detach(7, {"companies": [1]})
    client.sync(7, {"companies": []})
    answer({"status": 204, "body": b""})
    client.delete_contact(7)
    assert [(asked.method, asked.target.partition("?")[0]) for asked in server.asked] == [
        ("GET", "/api/contacts"),
        ("GET", "/api/contacts/search"),
        ("GET", "/api/contacts/7"),
        ("POST", "/api/contacts"),
        ("PUT", "/api/contacts/7"),
        ("PUT", "/api/associations/contacts/7"),
        ("DELETE", "/api/associations/contacts/7"),
        ("POST", "/api/associations/contacts/7"),
        ("DELETE", "/api/contacts/7"),
    ]
    assert server.asked[0].target.endswith(
        "?order=updated_at%7Cdesc&per_page=100&page=2&select=first_name;id"
    )
    assert "search_fields=email:like;phones.number:%3D" in server.asked[1].target
    assert json.loads(server.asked[6].body) == {"companies": [1]}


def test_every_resource_is_listed_and_retrieved_by_one_grammar(server, client, answer):
    answer({"body": b'{"data": [{"id": 3, "name": "Acme"}], "meta": {"total": 1}}'})
    assert client.list_page("companies", ListQuery(order="updated_at|desc")).rows == [
        {"id": 3, "name": "Acme"}
    ]
    client.list_page("pipeline-stages", ListQuery())
    client.list_page("deals", ListQuery(), 2, trashed=True)
    answer({"body": b'{"id": 3}'})
    assert client.retrieve("companies", 3) == {"id": 3}
    assert [asked.target.partition("?")[0] for asked in server.asked] == [
        "/api/companies",
        "/api/pipeline-stages",
        "/api/trashed/deals",
        "/api/companies/3",
    ]


@pytest.mark.parametrize("status", [302, 400, 402, 403, 404, 405, 406, 410, 415, 422, 451])
def test_a_page_for_people_in_answer_to_a_write_is_no_records_fault(client, answer, status):
    answer({"status": status, "body": b"<html>Sign in</html>", "headers": {"Content-Type": "text/html"}})
    with pytest.raises(errors.NoRecordsFault, match=rf"status {status}.*api_url"):
        client.create_contact({"first_name": "Ana"})


@pytest.mark.parametrize("status", [301, 302, 307, 401, 402, 405, 411, 415, 419, 451])
def test_a_refusal_that_no_record_causes_is_told_apart_and_says_what_to_check(client, answer, status):
    answer({"status": status, "body": b'{"message": "no"}', "headers": {"Location": "/login"}})
    with pytest.raises(errors.NoRecordsFault, match=rf"status {status}.*[Cc]heck"):
        client.update_contact(7, {"first_name": "Ana"})


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refusal_of_one_record_is_none_of_the_endpoint(client, answer, status):
    answer({"status": status, "body": b'{"error": "no"}'})
    with pytest.raises(errors.FatalError) as caught:
        client.update_contact(7, {"first_name": "Ana"})
    assert not isinstance(caught.value, errors.NoRecordsFault)
    assert caught.value.detail == "no"


def test_a_page_for_people_with_status_200_has_deleted_nothing(client, answer):
    answer({"body": b"<html>Sign in</html>"})
    with pytest.raises(errors.MalformedBody):
        client.delete_contact(7)


def test_names_of_fields_that_a_server_invents_are_not_shown(client, answer):
    invented = ["ana@example.com", "\x1b[31mred", "secret-token-1234", "x" * 500, "maria_silva"]
    fields = {key: ["no"] for key in [*invented, "email", "phones.0.number", "cf_plan"]}
    answer({"status": 422, "body": json.dumps({"errors": fields}).encode()})
    with pytest.raises(errors.InvalidRecord) as caught:
        client.create_contact({"first_name": "Ana", "cf_plan": 1})
    assert "on a field that was not sent, cf_plan, email, phones.0.number" in str(caught.value)
    assert not [name for name in invented if name in str(caught.value)]


def test_the_crms_version_is_told_once_and_stands_in_every_error(client, answer, caplog):
    caplog.set_level("INFO")
    answer({"body": OK, "headers": {"X-App-Version": "1.6.2"}}, {"body": OK}, {"status": 404, "body": b"{}"})
    client.retrieve_contact(7)
    client.retrieve_contact(7)
    assert [record.message for record in caplog.records] == ["The CRM is AppCRM 1.6.2"]
    with pytest.raises(errors.NotFound, match=r"AppCRM 1\.6\.2"):
        client.retrieve_contact(7)
    assert client.abilities.version == (1, 6)


@pytest.mark.parametrize("logger", ["urllib3", "urllib3.connectionpool", "requests"])
def test_at_debug_no_library_logs_what_was_asked_for(client, answer, caplog, logger):
    caplog.set_level("DEBUG")
    caplog.set_level("DEBUG", logger=logger)
    answer({"body": b"[]"})
    client.search_contacts("ana@example.com", search_fields="email:=")
    assert not [record for record in caplog.records if "ana" in record.getMessage()]


def test_a_host_whose_name_is_not_known_says_so_at_once(make_client, waits):
    with pytest.raises(errors.UnknownHost, match=r"nowhere\.invalid is not known.*api_url"):
        make_client(api_url="https://nowhere.invalid/api", max_tries=8).retrieve_contact(7)
    assert not waits
