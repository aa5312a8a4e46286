"""What ``--test`` tells of an account, on each version of the CRM."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appcrm.account_check import AccountCheck, AccountRefused, Finding, check_account, report_of
from appcrm.client import Client
from appcrm.settings import ApiSettings


def settings_of(sandbox, **given):
    config = {"api_url": sandbox.url, "auth_token": sandbox.token, "max_retry_wait": 0, **given}
    return ApiSettings.from_config(config, user_agent="test/1")


def checked(sandbox, **given):
    settings = settings_of(sandbox, **given)
    return check_account(Client.from_settings(settings), settings)


ABLE = {
    "1.1": {"search_id_in": False, "search_in": False},
    "1.5": {"fields": True, "trash": True, "list_with": True, "search_id_in": False, "search_in": True},
    "1.6": {"fields": True, "trash": True, "list_with": True, "search_id_in": False, "search_in": True},
    "1.7": {"fields": True, "trash": True, "list_with": True, "search_id_in": True, "search_in": False},
}


@pytest.mark.parametrize("version", ABLE)
def test_each_version_is_told_with_what_it_can_do_in_six_requests_that_write_nothing(
    appcrm_sandbox_factory, version
):
    sandbox = appcrm_sandbox_factory(contacts=250, app_version=version, rate_limit=90)
    sandbox.reset_log()
    check = checked(sandbox)
    assert check.app_version is not None
    assert check.app_version.startswith(version)
    assert check.contacts == len(sandbox.contacts())
    assert check.requests_per_minute == 90
    assert {name: getattr(check, name).works for name in ABLE[version]} == ABLE[version]
    assert sandbox.counts()["total"] <= 6
    assert {entry["method"] for entry in sandbox.log()} == {"GET"}


def test_a_ceiling_of_ones_own_decides_how_long_a_first_load_takes(appcrm_sandbox_factory):
    sandbox = appcrm_sandbox_factory(contacts=250, rate_limit=90)
    lines = list(report_of(replace(checked(sandbox), own_ceiling=3), page_size=100))
    assert "Rate limit: 90 requests a minute, shared with its user's own screen; " in lines[2]
    assert "requests_per_minute lowers it to 3" in lines[2]
    assert "Reading all 250 contacts: 7 requests, about 2 minutes at 3 a minute" in lines
    assert lines[-1].endswith("it may see 250 contacts")


def test_an_empty_crm_says_by_its_version_what_no_contact_can_show(appcrm_sandbox_factory):
    check = checked(appcrm_sandbox_factory(contacts=0, app_version="1.6"))
    assert (check.contacts, check.permissions) == (0, None)
    assert check.list_with.works is check.search_in.works is True
    assert "it may see 0 contacts" in list(report_of(check, page_size=100))[-1]


def test_a_server_that_refuses_with_is_asked_without(appcrm_sandbox):
    appcrm_sandbox.faults({"operation": "list", "query": "with=", "status": 500})
    check = checked(appcrm_sandbox)
    assert check.list_with == Finding(works=False, detail="status 500")
    assert check.contacts == 25


def test_an_ability_whose_answer_is_lost_stays_open(appcrm_sandbox):
    appcrm_sandbox.faults({"operation": "trash", "reset": "before_commit"})
    check = checked(appcrm_sandbox)
    assert check.trash.works is None
    assert "Trash: cannot be told (no answer)" in "\n".join(report_of(check, page_size=100))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 401}, "The address is good, the token is not"),
        ({"status": 403}, "may not list contacts"),
        ({"status": 404}, "does not lead to the API"),
        ({"status": 200, "body": "html"}, "does not lead to the API"),
        ({"status": 503}, "The API could not be tried"),
    ],
)
def test_what_is_wrong_is_named_within_three_requests(appcrm_sandbox, fault, told):
    appcrm_sandbox.faults({"operation": "list", **fault})
    with pytest.raises(AccountRefused, match=told):
        checked(appcrm_sandbox)
    assert appcrm_sandbox.counts()["total"] <= 3


def test_what_the_token_may_not_do_is_said():
    able = Finding(works=True)
    check = AccountCheck(
        api_url="https://acme.appcrm.com.br/api",
        app_version=None,
        contacts=None,
        permissions={"view": True, "update": True, "delete": False},
        requests_per_minute=None,
        own_ceiling=None,
        fields=able,
        trash=able,
        list_with=able,
        search_id_in=able,
        search_in=able,
    )
    lines = list(report_of(check, page_size=100))
    assert "Token: good; with the newest contact it may view, update, and not delete" in lines
    assert "Rate limit: the CRM tells none" in lines
    assert lines[-1].endswith("it may see an unknown number of contacts")


def test_the_settings_show_no_token_when_they_are_printed(appcrm_sandbox):
    assert appcrm_sandbox.token not in repr(settings_of(appcrm_sandbox))
