"""The pytest fixtures that the package offers."""

import requests


def _get(sandbox, path, **parameters):
    return requests.get(
        sandbox.url + path,
        params=parameters,
        headers={"Authorization": f"Bearer {sandbox.token}"},
        timeout=10,
    )


def test_the_fixture_serves_a_crm_with_people_in_it(appcrm_sandbox):
    answer = _get(appcrm_sandbox, "/contacts", per_page=100)
    assert answer.status_code == 200
    assert {row["id"] for row in answer.json()["data"]} == {row["id"] for row in appcrm_sandbox.contacts()}


def test_faults_log_and_counts_are_told_by_the_fixture(appcrm_sandbox):
    appcrm_sandbox.faults({"operation": "list", "nth": 1, "status": 429, "retry_after": 7})
    assert _get(appcrm_sandbox, "/contacts").headers["Retry-After"] == "7"
    assert _get(appcrm_sandbox, "/contacts").status_code == 200
    assert [entry["status"] for entry in appcrm_sandbox.log("list")] == [429, 200]
    assert appcrm_sandbox.counts()["operations"] == {"list": 2}
    appcrm_sandbox.reset_log()
    assert appcrm_sandbox.counts()["total"] == 0


def test_a_second_crm_with_other_switches_runs_beside_the_first(appcrm_sandbox, appcrm_sandbox_factory):
    other = appcrm_sandbox_factory(contacts=3, seed=9, envelope="flat")
    assert _get(other, "/contacts").json()["total"] == 3
    assert _get(appcrm_sandbox, "/contacts").json()["meta"]["total"] == 25


def test_mutations_and_the_clock_are_seen_by_the_next_request(appcrm_sandbox):
    appcrm_sandbox.set_clock("2026-03-01T10:00:00Z")
    appcrm_sandbox.mutate(touch=[3], delete=[4], set={"5": {"updated_at": None}})
    assert _get(appcrm_sandbox, "/contacts/3").json()["updated_at"] == "2026-03-01T10:00:00.000000Z"
    assert _get(appcrm_sandbox, "/contacts/4").status_code == 404
    assert _get(appcrm_sandbox, "/contacts/5").json()["updated_at"] is None
    assert appcrm_sandbox.contact(4)["deleted_at"] == "2026-03-01T10:00:00.000000Z"
