"""What the environment says of proxies and certificates counts, and a connection that fails says how."""

from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess

import pytest
import trustme
from scripted_server import Answer, ScriptedServer

from appcrm.errors import ConnectionFault, SettingsError

OK = b'{"id": 7, "first_name": "Ana"}'
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
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
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.port}")
    answer({"status": 407})
    with pytest.raises(ConnectionFault, match="the proxy"):
        make_client(api_url=ENCRYPTED).retrieve_contact(7)
    assert (server.asked[0].method, server.asked[0].target) == ("CONNECT", "crm.invalid:443")
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_what_goes_to_this_machine_goes_past_proxies(
    make_client, server, answer, monkeypatch, host, variable
):
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    answer({"body": OK})
    make_client(api_url=f"http://{host}:{server.port}/api").retrieve_contact(7)
    assert server.asked[0].target == "/api/contacts/7"


@pytest.mark.parametrize("scheme", ["socks5h", "socks5", "socks4"])
def test_a_socks_proxy_without_its_extra_is_named_before_the_first_request(make_client, monkeypatch, scheme):
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:9")
    with pytest.raises(SettingsError, match=r"SOCKS.*requests\[socks\]"):
        make_client(api_url=ENCRYPTED)


def test_a_create_that_reached_no_proxy_never_left(make_client, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ConnectionFault, match="the proxy") as caught:
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
