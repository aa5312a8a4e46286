"""Settings are checked before anything is sent, and never shown."""

from __future__ import annotations

import pytest

from appcrm.errors import SettingsError
from appcrm.settings import (
    SETTINGS_SCHEMA,
    ApiSettings,
    account_of,
)

GOOD = {"api_url": "https://acme.appcrm.com.br/api", "auth_token": "secret-token-1234"}


def read(**changes):
    return ApiSettings.from_config({**GOOD, **changes}, user_agent="test/1")


def test_the_defaults_are_those_of_the_schema():
    settings = read()
    for name, schema in SETTINGS_SCHEMA.items():
        if "default" in schema:
            assert getattr(settings, name) == schema["default"]


@pytest.mark.parametrize(
    "url",
    ["http://localhost:1/api", "http://127.0.0.1:8765/api", "http://[::1]:1/api", "http://127.8.0.1/api"],
)
def test_plain_http_is_allowed_on_loopback(url):
    assert read(api_url=url).api_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.appcrm.com.br/api",
        "http://127.0.0.1.example.com/api",
        "http://localhost.example.com/api",
        "ftp://acme.appcrm.com.br/api",
        "acme.appcrm.com.br/api",
        "https://",
        "https://user:pass@acme.appcrm.com.br/api",
        "https://acme.appcrm.com.br/api?x=1",
        "https://acme.appcrm.com.br:port/api",
        "https://[::1/api",
        "",
        None,
        7,
    ],
)
def test_an_address_that_cannot_work_is_refused_in_one_sentence_that_names_the_setting(url):
    with pytest.raises(SettingsError, match=r"^api_url[^\n]*$"):
        read(api_url=url)


def test_a_trailing_slash_is_no_difference():
    assert read(api_url=GOOD["api_url"] + "/").api_url == GOOD["api_url"]


def test_white_space_around_a_token_is_cut_off():
    assert read(auth_token=" secret-token-1234\n").auth_token == GOOD["auth_token"]


@pytest.mark.parametrize("token", ["", " ", None, "two\nlines", "ação", 7])
def test_a_token_that_cannot_work_is_refused_without_being_shown(token):
    with pytest.raises(SettingsError) as caught:
        read(auth_token=token)
    assert "auth_token" in str(caught.value)
    assert str(token) not in str(caught.value) or not str(token).strip()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("requests_per_minute", 0),
        ("concurrency", 0),
        ("concurrency", 65),
        ("concurrency", "many"),
        ("max_tries", 0),
        ("max_tries", 1.5),
        ("max_retry_wait", -1),
        ("request_timeout", True),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=name):
        read(**{name: value})


def test_a_number_from_the_environment_may_be_text():
    assert read(concurrency="4").concurrency == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, True, "9" * 400, "٣", [], {}, "1.5"])
@pytest.mark.parametrize("name", ["concurrency", "request_timeout", "requests_per_minute"])
def test_what_is_no_whole_number_is_refused(name, value):
    with pytest.raises(SettingsError, match=name):
        read(**{name: value})


def test_an_account_is_its_address_with_the_host_in_lower_case():
    assert account_of("HTTPS://Acme.AppCRM.com.br:8443/Api") == "https://acme.appcrm.com.br:8443/Api"
    assert read(api_url="https://ACME.appcrm.com.br/api/").account == "https://acme.appcrm.com.br/api"
