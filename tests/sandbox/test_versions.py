"""Which version of AppCRM the sandbox is, and how it says so."""

import pytest

from appcrm_sandbox.app_version import NEWEST, VERSIONS


def test_the_newest_version_is_the_default(crm):
    assert crm.get("/contacts").headers["X-App-Version"] == NEWEST == list(VERSIONS)[-1] == "1.7"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_carries_its_version(with_switches, version):
    crm = with_switches(app_version=version, rate_limit=4)
    answers = [
        crm.get("/contacts/1"),
        crm.post("/contacts", email="x"),
        crm.get("/nowhere"),
        crm.delete("/contacts"),
        crm.get("/contacts"),
        crm.call("GET", "/contacts", headers={"Authorization": "Bearer wrong"}),
        crm.call("GET", "/contacts", headers={"Origin": "http://example.com"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 404, 405, 429, 401, 419]
    assert {answer.headers["X-App-Version"] for answer in answers} == {version}


def test_an_unknown_version_is_one_sentence(appcrm_sandbox_factory):
    with pytest.raises(Exception, match=r"app_version must be one of 1\.1, 1\.5, 1\.6, 1\.7, not '2\.0'"):
        appcrm_sandbox_factory(app_version="2.0")
