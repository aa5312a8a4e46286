"""The control plane and the log."""

import datetime as dt

import pytest
import requests


def test_the_log_tells_what_was_asked_and_how_it_went(crm):
    crm.get("/contacts", per_page=5)
    crm.put("/contacts/1", first_name="Ana", email="not an address")
    listed, updated = crm.sandbox.log()
    assert {"n", "at", "method", "path", "query", "operation", "status", "duration_ms", "fault"} <= set(
        listed
    )
    assert (listed["method"], listed["path"], listed["query"], listed["operation"]) == (
        "GET", "/contacts", "per_page=5", "list",
    )  # fmt: skip
    assert (updated["operation"], updated["status"], updated["keys"]) == (
        "update",
        422,
        ["email", "first_name"],
    )
    assert [entry["n"] for entry in crm.sandbox.log(since=1)] == [2]
    assert [entry["n"] for entry in crm.sandbox.log("list")] == [1]


def test_neither_tokens_nor_values_are_kept_in_the_log(crm):
    crm.new(email="secret@x.example")
    kept = requests.get(f"{crm.sandbox.origin}/__log", timeout=10).text
    assert crm.sandbox.token not in kept
    assert "secret@x.example" not in kept


def test_the_control_plane_is_neither_logged_nor_limited(with_switches):
    crm = with_switches(rate_limit=1)
    for _ in range(3):
        assert crm.sandbox.counts()["total"] == 0


def test_the_log_begins_anew(crm):
    crm.get("/contacts")
    crm.sandbox.reset_log()
    assert (crm.sandbox.log(), crm.sandbox.counts()["total"]) == ([], 0)
    crm.get("/contacts")
    assert crm.sandbox.log()[0]["n"] == 1


def test_contacts_change_behind_the_clients_back(crm):
    inserted = crm.sandbox.mutate(insert=[{"first_name": "Novo", "email": "n@x.example"}])["inserted"]
    assert crm.get(f"/contacts/{inserted[0]}").json()["email"] == "n@x.example"
    crm.sandbox.mutate(
        delete=[1, 2], set={"3": {"cf_loyalty_points": 7, "updated_at": "2020-01-01 00:00:00"}}
    )
    assert crm.get("/contacts/3").json()["updated_at"] == "2020-01-01 00:00:00"
    crm.sandbox.mutate(restore=[1], purge=[2])
    assert crm.get("/contacts/1").status_code == 200
    assert crm.sandbox.contact(2) is None


@pytest.mark.parametrize(
    "script",
    [
        {"explode": [1]},
        {"delete": [True]},
        {"set": {"1": {"password": 1}}},
        {"set": {"1": {"first_name": ["a list"]}}},
        {"insert": [{"last_name": "without a first"}]},
        {"purge": [1]},
        [],
    ],
)
def test_a_mutation_that_makes_no_sense_is_refused(crm, script):
    before = crm.sandbox.contacts(trashed=True)
    with pytest.raises(ValueError, match=r"\.$|takes|was refused|mutation"):
        crm.sandbox.control("POST", "/__control/mutate", script)
    assert crm.sandbox.contacts(trashed=True) == before


def test_the_clock_stands_still_moves_on_and_runs(crm):
    crm.sandbox.advance_clock(90)
    assert crm.stamp(crm.new()) == "2026-06-01T08:01:30.000000Z"
    crm.sandbox.set_clock(None)
    real = dt.datetime.fromisoformat(crm.stamp(crm.new()).replace("Z", "+00:00"))
    assert abs(real - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(minutes=5)
    for nonsense in ({"now": "yesterday"}, {"now": 5}, {"advance_seconds": "1"}, {"later": 1}, []):
        with pytest.raises(ValueError, match=r"now|advance_seconds"):
            crm.sandbox.control("POST", "/__control/clock", nonsense)


def test_switches_out_of_range_change_nothing(crm):
    before = crm.sandbox.settings()
    for switches in (
        {"envelope": "x"},
        {"latency_ms": -1},
        {"rate_limit": 0},
        {"phone_unique": 1},
        {"colour": "red"},
    ):
        with pytest.raises(ValueError, match=r"must be|no switch"):
            crm.sandbox.settings(max_per_page=7, **switches)
    assert crm.sandbox.settings() == before
    assert "token" not in before


def test_a_web_page_from_elsewhere_cannot_control_it(crm):
    answer = requests.post(
        f"{crm.sandbox.origin}/__control/mutate",
        json={"delete": [1]},
        headers={"Origin": "https://evil.example"},
        timeout=10,
    )
    assert answer.status_code == 403
    assert crm.get("/contacts/1").status_code == 200


def test_a_field_declared_twice_is_one_and_a_changed_type_is_refused(crm):
    crm.sandbox.declare_field("cf_extra", "text")
    crm.sandbox.declare_field("cf_extra", "text")
    for name, kind in (
        ("cf_extra", "integer"),
        ("extra", "text"),
        ("cf_x; DROP", "text"),
        ("cf_y", "colour"),
    ):
        with pytest.raises(ValueError, match="custom field"):
            crm.sandbox.declare_field(name, kind)
