"""What the environment says of proxies and certificates counts, and a connection that fails says how."""

from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess

import pytest
import trustme
from scripted_server import Answer, ScriptedServer

from appcrm.connections import may_need_proxy, path_of
from appcrm.errors import ConnectionFault, SettingsError

OK = b'{"id": 7, "first_name": "Ana"}'
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PROXIED = "http://127.0.0.1:9/api"
ENCRYPTED = "https://crm.invalid/api"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ScriptedServer(context)
    server.answers = [Answer(body=OK)]
    server.start()
    yield server
    server.stop()


def test_a_certificate_of_the_networks_own_is_taken_where_the_environment_names_it(
    make_client, tls_server, authority, tmp_path, monkeypatch
):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    assert make_client(api_url=tls_server.url).retrieve_contact(7)["first_name"] == "Ana"


def test_a_certificate_that_cannot_be_verified_ends_the_run_and_names_the_variable(
    make_client, tls_server, waits
):
    with pytest.raises(SettingsError, match="REQUESTS_CA_BUNDLE"):
        make_client(api_url=tls_server.url).retrieve_contact(7)
    assert not waits
    assert not tls_server.asked


@pytest.mark.skipif(shutil.which("openssl") is None, reason="only openssl tells the names in such a folder")
def test_a_folder_of_certificates_is_taken_where_the_environment_names_it(
    make_client, tls_server, authority, tmp_path, monkeypatch
):
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    name = subprocess.run(
        [shutil.which("openssl"), "x509", "-hash", "-noout", "-in", str(pem)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    pem.rename(tmp_path / f"{name}.0")
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path))
    assert make_client(api_url=tls_server.url).retrieve_contact(7)["first_name"] == "Ana"


def test_certificates_are_read_alike_with_a_proxy_in_the_environment(
    make_client, tls_server, authority, tmp_path, monkeypatch
):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(SettingsError, match="REQUESTS_CA_BUNDLE"):
        make_client(api_url=tls_server.url).retrieve_contact(7)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    assert make_client(api_url=tls_server.url).retrieve_contact(7)["first_name"] == "Ana"


@pytest.mark.parametrize(
    ("environment", "platform", "needed"),
    [
        ({}, "linux", False),
        ({"HTTPS_PROXY": ""}, "linux", False),
        ({"https_proxy": "http://proxy.invalid"}, "linux", True),
        ({"ALL_PROXY": "socks5://proxy.invalid"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_requests_is_asked_for_a_proxy_only_where_there_can_be_one(environment, platform, needed):
    assert may_need_proxy(environment, platform) == needed


def test_an_address_with_letters_of_its_own_language_is_no_mistake(make_client):
    make_client(api_url="https://ação.invalid/api")


def test_an_address_that_cannot_be_requested_is_named_before_the_first_request(make_client):
    with pytest.raises(SettingsError, match="api_url"):
        make_client(api_url="https://" + "a" * 64 + "ã.invalid/api")


def test_a_bundle_that_is_not_there_is_named_before_the_first_request(
    make_client, tls_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(SettingsError, match=r"missing\.pem.*REQUESTS_CA_BUNDLE"):
        make_client(api_url=tls_server.url)


def test_an_encrypted_connection_that_fails_for_another_reason_is_tried_again(make_client, server, waits):
    with pytest.raises(ConnectionFault, match="the encrypted connection failed"):
        make_client(api_url=server.url.replace("http:", "https:")).retrieve_contact(7)
    assert len(waits) == 2


def test_requests_go_through_the_proxy_of_the_environment(make_client, server, answer, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
    answer({"body": OK})
    assert make_client(api_url=PROXIED).retrieve_contact(7)["id"] == 7
    assert server.asked[0].target == f"{PROXIED}/contacts/7"
    assert server.asked[0].headers["Host"] == "127.0.0.1:9"


def test_an_address_that_needs_no_proxy_is_asked_directly(make_client, server, answer, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answer({"body": OK})
    make_client().retrieve_contact(7)
    assert server.asked[0].target == "/api/contacts/7"


def test_a_create_that_reached_no_proxy_never_left(make_client, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ConnectionFault, match="the proxy refused") as caught:
        make_client(api_url=ENCRYPTED).create_contact({"first_name": "Ana"})
    assert not caught.value.outcome_unknown


def test_a_proxy_that_is_no_address_is_named_before_the_first_request(make_client, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://")
    with pytest.raises(SettingsError, match="proxy"):
        make_client(api_url=ENCRYPTED)


def test_a_compressed_body_is_read(client, answer):
    answer({"body": gzip.compress(OK), "headers": {"Content-Encoding": "gzip"}})
    assert client.retrieve_contact(7)["first_name"] == "Ana"


def test_a_body_that_is_not_compressed_as_it_says_is_tried_again(client, answer, waits):
    answer({"body": OK, "headers": {"Content-Encoding": "gzip"}}, {"body": OK})
    assert client.retrieve_contact(7)["id"] == 7
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://crm.invalid", "/"),
        ("https://crm.invalid/api/contacts", "/api/contacts"),
        ("https://crm.invalid/api/contacts?q=a?", "/api/contacts?q=a?"),
    ],
)
def test_a_request_line_holds_path_and_query(url, path):
    assert path_of(url) == path
