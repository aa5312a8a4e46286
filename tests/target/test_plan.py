"""A plan is what alone is written, field by field, and may be applied twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

GONE = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}


@pytest.fixture
def people(crm, run, person, singer):
    run(crm, singer(*(person(n, city="Old") for n in range(4))))
    return crm


@pytest.fixture
def planned(people, run, tmp_path):
    """Plan a run of lines; return the settings that apply the plan."""

    def planned(lines, **settings):
        ran = run(people, lines, dry_run=True, **settings)
        assert (ran.code, ran.states) == (0, []), ran.errors
        assert not set(ran.requests) & {"create", "update", "delete", "attach", "detach", "sync"}
        plan = tmp_path / "plan.singer.jsonl"
        plan.write_bytes((tmp_path / "receipts.singer.jsonl").read_bytes())
        return {"plan_path": str(plan), **settings}

    return planned


def by_key(ran):
    return {
        receipt["key"].get("email"): (receipt["operation"], receipt["reason"]) for receipt in ran.receipts
    }


def test_exactly_the_plan_is_written_and_a_second_time_nothing(people, run, person, singer, planned):
    lines = singer(
        person(0, city="New"),
        person(1, city="Old"),
        person(9, city="Born"),
        person(2, **GONE),
        state={"n": 1},
    )
    apply = planned(lines, allow_deletes=True)
    ran = run(people, lines, **apply)
    assert (ran.code, ran.states) == (0, [{"n": 1}]), ran.errors
    assert ran.operations == {"update": 1, "unchanged": 1, "create": 1, "delete": 1}
    assert ran.runs[-1]["plan_run_id"]
    again = run(people, lines, **apply)
    assert (again.code, again.states) == (0, [{"n": 1}]), again.errors
    assert again.operations == {"unchanged": 3, "skipped": 1}


def test_what_the_plan_does_not_hold_is_refused_in_the_receipts_alone_and_no_state_passes_it(
    people, run, person, singer, planned
):
    apply = planned(singer(person(0, city="New"), person(1, city="Old"), person(2, city="New")))
    lines = singer(person(0, city="New"), state={"n": 1}) + singer(
        person(1, city="Other"), person(2, city="Else"), person(3, city="New"), person(9), state={"n": 2}
    )
    ran = run(people, lines, **apply)
    assert (ran.code, ran.states, ran.rejects) == (1, [{"n": 1}], [])
    refused = {email: reason for email, (operation, reason) in by_key(ran).items() if operation == "reject"}
    assert refused == {f"person{n}@example.com": "not in the plan" for n in (1, 2, 3, 9)}
    assert {row["city"] for row in people.contacts()} == {"New", "Old"}


def test_what_somebody_changed_since_is_left_alone_field_by_field(people, run, person, singer, planned):
    lines = singer(person(0, city="New"), person(1, city="New"), person(2, city="New"))
    apply = planned(lines)
    ids = {row["email"]: row["id"] for row in people.contacts()}
    time.sleep(1.1)
    people.mutate(
        set={
            str(ids["person0@example.com"]): {"city": "Theirs", "updated_at": "2099-01-01T00:00:00.000000Z"},
            str(ids["person1@example.com"]): {"job_title": "Boss", "last_name": "Theirs"},
        },
        touch=[ids["person1@example.com"]],
    )
    ran = run(people, lines, **apply)
    assert by_key(ran)["person0@example.com"] == ("reject", "changed since the plan")
    assert ran.code == 1
    rows = {row["email"]: row for row in people.contacts()}
    assert rows["person0@example.com"]["city"] == "Theirs"
    one = rows["person1@example.com"]
    assert (one["city"], one["job_title"], one["last_name"]) == ("New", "Boss", "Theirs")
    assert rows["person2@example.com"]["city"] == "New"


def test_a_planned_delete_of_a_contact_that_was_changed_is_refused(people, run, person, singer, planned):
    lines = singer(person(2, **GONE), state={"n": 1})
    apply = planned(lines, allow_deletes=True)
    people.mutate(set={str(people.find("person2@example.com")["id"]): {"city": "Theirs"}})
    ran = run(people, lines, **apply)
    assert (ran.code, ran.states) == (1, [])
    assert by_key(ran)["person2@example.com"] == ("reject", "changed since the plan")


@pytest.mark.parametrize("how", ["cut", "edited", "old", "settings", "account", "run", "nothing", "missing"])
def test_a_plan_that_must_not_be_applied_is_one_sentence_and_no_request(
    people, run, person, singer, planned, how, tmp_path
):
    lines = singer(person(0, city="New"))
    apply = planned(lines)
    plan = tmp_path / "plan.singer.jsonl"
    content = plan.read_text()
    if how == "cut":
        plan.write_text("".join(content.splitlines(keepends=True)[:-1]))
    elif how == "edited":
        plan.write_text(content.replace('"New"', '"Gnu"'))
    elif how == "old":
        apply["plan_max_age_hours"] = 0
    elif how == "settings":
        apply["null_handling"] = "clear"
    elif how == "account":
        plan.write_text(content)
        apply["api_url"] = people.url.replace("/api", "/api2")
    elif how == "run":
        run(people, singer(person(3, city="Wrote")))
        plan.write_bytes((tmp_path / "receipts.singer.jsonl").read_bytes())
    elif how == "nothing":
        plan.write_text("")
    else:
        plan.unlink()
    ran = run(people, lines, **apply)
    assert (ran.code, sum(ran.requests.values())) == (1, 0)
    assert "plan" in ran.errors.strip().splitlines()[-1]
    assert "Traceback" not in ran.errors
    assert people.find("person0@example.com")["city"] == "Old"


def test_a_plan_killed_in_the_middle_and_applied_again_ends_the_same(
    people, run, command, person, singer, planned
):
    lines = singer(*(person(n, city="New") for n in range(60)), state={"n": 1})
    apply = planned(lines)
    people.settings(latency_ms=20)
    process = subprocess.Popen(
        command(people, **apply), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    process.stdin.write(lines.encode())
    process.stdin.close()
    while people.counts()["operations"].get("create", 0) < 10 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    people.settings(latency_ms=0)
    ran = run(people, lines, **apply)
    assert (ran.code, ran.states) == (0, [{"n": 1}]), ran.errors
    assert sorted(row["city"] for row in people.contacts()) == ["New"] * 60


def test_associations_are_planned_and_applied(appcrm_sandbox_factory, run, person, singer, tmp_path):
    crm = appcrm_sandbox_factory(contacts=5)
    run(crm, singer(person(1, companies=[1])))
    lines = singer(person(1, companies=[1, 2], city="New"), person(2, companies=[3]))
    run(crm, lines, dry_run=True)
    plan = tmp_path / "plan.singer.jsonl"
    plan.write_bytes((tmp_path / "receipts.singer.jsonl").read_bytes())
    ran = run(crm, lines, plan_path=str(plan))
    assert (ran.code, ran.operations) == (0, {"update": 1, "create": 1}), ran.errors
    assert run(crm, lines, plan_path=str(plan)).operations == {"unchanged": 2}


def test_ceilings_stop_before_one_more_and_a_plan_beyond_them_tells_all(people, run, person, singer):
    lines = singer(*(person(n, city="New") for n in range(8)), state={"n": 1})
    ran = run(people, lines, max_creates=2, concurrency=1)
    assert (ran.code, ran.operations["create"], ran.states) == (1, 2, [])
    assert "max_creates" in ran.errors.strip().splitlines()[-1]
    lines = singer(*(person(n, city="Newer") for n in range(8)), state={"n": 1})
    ran = run(people, lines, max_updates="20%", dry_run=True)
    assert (ran.code, ran.operations) == (1, {"update": 6, "create": 2})
    assert "max_updates" in ran.errors.strip().splitlines()[-1]


def test_a_share_of_an_empty_crm_says_to_use_a_count(crm, run, person, singer):
    ran = run(crm, singer(person(1)), max_creates="5%")
    assert (ran.code, crm.contacts()) == (1, [])
    assert "use a count" in ran.errors.strip().splitlines()[-1]


def test_who_owns_a_field_decides_what_is_written_and_the_receipt_says_so(people, run, person, singer):
    run(people, singer(person(3, city="Old", job_title="Chef")))
    policy = {"city": "never", "job_title": "if_empty", "last_name": "on_create", "*": "always"}
    lines = singer(
        person(0, city="New", job_title="Boss", last_name="X"),
        person(3, city="New", job_title="Boss", last_name="X"),
        person(9, city="New", job_title="Boss", last_name="X"),
    )
    ran = run(people, lines, field_policy=policy)
    rows = {row["email"]: (row["city"], row["job_title"], row["last_name"]) for row in people.contacts()}
    assert rows["person0@example.com"] == ("Old", "Boss", "Last0")
    assert rows["person3@example.com"] == ("Old", "Chef", "Last3")
    assert rows["person9@example.com"] == (None, "Boss", "X")
    left = {receipt["key"]["email"]: receipt["left_alone"] for receipt in ran.receipts}
    assert left["person0@example.com"] == {"city": "never", "last_name": "on_create"}
    assert left["person3@example.com"] == {"city": "never", "job_title": "if_empty", "last_name": "on_create"}
    assert left["person9@example.com"] == {"city": "never"}


def test_the_run_s_record_stands_in_summary_path_and_in_the_receipts(people, run, person, singer, tmp_path):
    path = tmp_path / "deep" / "summary.json"
    ran = run(people, singer(person(1, city="New"), person(9, first_name=None)), summary_path=str(path))
    summary = json.loads(path.read_text())
    assert summary == ran.runs[-1]
    assert (summary["exit_code"], summary["counts"]["update"], summary["counts"]["reject"]) == (1, 1, 1)
    assert {receipt["run_id"] for receipt in ran.receipts} == {summary["run_id"]}
    assert ran.runs[0]["ended_at"] is None
    assert path.stat().st_mode & 0o777 == 0o600
