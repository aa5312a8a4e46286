"""Inputs at the edges: each is one input and what must come of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

FREE = {"type": "object", "properties": {}}
GONE = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}


def message(**content):
    return json.dumps(content) + "\n"


def test_a_version_that_was_announced_but_cut_off_deletes_nothing(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(20))))
    schema, *records = singer(*(person(n) for n in range(5))).splitlines(keepends=True)
    versioned = [message(**json.loads(line), version=7) for line in records]
    announced = message(type="ACTIVATE_VERSION", stream="contacts", version=7)
    run(crm, schema + announced + "".join(versioned), allow_deletes=True)
    assert len(crm.contacts()) == 20


def test_a_key_too_long_to_search_refuses_its_record_alone(crm, run, person, singer):
    ran = run(crm, singer(person(1), person(2, email="x" * 200_000 + "@example.com"), person(3)), max_tries=2)
    assert sorted(c["email"] for c in crm.contacts()) == ["person1@example.com", "person3@example.com"], (
        ran.errors[-300:]
    )


def test_records_are_written_while_the_pipe_stays_open_and_silent(crm, command, person, singer):
    process = subprocess.Popen(
        command(crm), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    process.stdin.write(singer(person(1), state={"n": 1}).encode())
    process.stdin.flush()
    until = time.monotonic() + 45
    while time.monotonic() < until and not crm.contacts():
        time.sleep(0.5)
    written = len(crm.contacts())
    process.kill()
    process.communicate()
    assert written == 1


def test_the_next_records_come_in_while_these_are_written(crm, command, person, singer):
    crm.settings(latency_ms=300)
    wide = "x" * 1_000  # what a pipe and its reader cannot hold for long
    lines = singer(*(person(n, job_title=wide) for n in range(1_900)), state={"n": 1}).encode()
    process = subprocess.Popen(
        command(crm), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    process.stdin.write(lines)
    process.stdin.flush()
    written = len(crm.contacts())
    process.send_signal(signal.SIGTERM)
    states, _ = process.communicate(timeout=60)
    assert written < 900
    assert (process.returncode, states) == (143, b"")


def ended_by_a_signal_while(crm, command, lines, is_time):
    """End a run by SIGTERM once something is so, while its input goes on; return its exit code, states and errors."""
    process = subprocess.Popen(
        command(crm, request_timeout=3_000, max_tries=1),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdin.write(lines.encode())
    process.stdin.flush()
    while not is_time():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    return process.returncode, out, errors.decode()


@pytest.mark.parametrize("app_version", ["1.1", "1.7"])
def test_a_signal_waits_for_no_read_that_is_slow(
    appcrm_sandbox_factory, app_version, command, person, singer, tmp_path
):
    crm = appcrm_sandbox_factory(contacts=0, app_version=app_version)
    crm.faults({"operation": ["search", "list"], "delay_seconds": 900})
    lines = singer(*(person(n) for n in range(3)), state={"n": 3})
    code, states, errors = ended_by_a_signal_while(crm, command, lines, lambda: crm.counts()["in_flight"])
    assert (code, states) == (143, b""), errors
    assert not (tmp_path / "rejects.singer.jsonl").exists()


def test_a_signal_waits_for_a_create_in_flight(crm, command, person, singer):
    crm.faults({"operation": "create", "delay_seconds": 3})
    lines = singer(person(1), state={"n": 1})

    def is_creating():
        return crm.control("GET", "/__control/faults")[0]["met"]

    code, states, errors = ended_by_a_signal_while(crm, command, lines, is_creating)
    assert (code, states) == (143, b'{"n":1}\n'), errors
    assert len(crm.contacts()) == 1


def test_what_ends_the_run_ends_it_while_the_pipe_stays_open_and_silent(crm, command, person, singer):
    crm.faults({"operation": "create", "status": 401})
    process = subprocess.Popen(
        command(crm), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdin.write(singer(person(1), state={"n": 1}).encode())
    process.stdin.flush()
    assert process.wait(timeout=60) == 1
    said = process.stderr.read().decode()
    process.communicate()
    assert "auth_token" in said.splitlines()[-1]


def test_an_address_handed_from_one_contact_to_another_follows_the_order(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(40))))
    ids = {c["email"]: c["id"] for c in crm.contacts()}
    crm.settings(latency_ms=10)
    records = []
    for n in range(0, 40, 2):
        giver, taker = ids[f"person{n}@example.com"], ids[f"person{n + 1}@example.com"]
        records += [
            person(n, id=giver, email=f"moved{n}@example.com"),
            person(n, id=taker, email=f"person{n}@example.com"),
        ]
    ran = run(crm, singer(*records, keys=["id"]), match_on=["id"])
    assert (ran.code, ran.operations["reject"]) == (0, 0), ran.errors[-300:]


def test_a_delete_that_is_forbidden_is_one_reject_and_the_others_go(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(6))))
    number = crm.find("person0@example.com")["id"]
    crm.faults(
        {"operation": "delete", "path": f"/contacts/{number}$", "status": 403, "body": {"message": "no"}}
    )
    ran = run(crm, singer(*(person(n, **GONE) for n in range(6))), allow_deletes=True)
    assert ran.operations == {"delete": 5, "reject": 1}, ran.errors[-300:]


@pytest.mark.parametrize("keys", [["phones.number"], ["id"]])
def test_a_taken_address_is_a_reject_where_it_is_no_match_key(crm, run, person, singer, keys):
    run(crm, singer(person(1)))
    record = person(1, city="New", phones=[{"number": "+55 11 7", "type": "work"}])
    ran = run(crm, singer(record), match_on=keys)
    assert (ran.code, ran.operations) == (1, {"reject": 1}), ran.receipts
    assert crm.contacts()[0]["city"] is None


def test_an_unclear_create_is_looked_up_by_its_address_where_the_key_is_an_id(crm, run, person, singer):
    crm.faults({"operation": "create", "reset": "after_commit"})
    ran = run(crm, singer(person(1)), match_on=["id"])
    assert (ran.code, ran.operations) == (0, {"create": 1}), ran.receipts


def test_a_contact_deleted_since_its_look_up_is_created_again(crm, run, singer):
    run(
        crm,
        singer({"first_name": "A", "phones": [{"number": "+55 11 7"}]}, keys=[]),
        match_on=["phones.number"],
    )
    number = crm.contacts()[0]["id"]
    crm.faults({"operation": "update", "nth": 1, "mutate": {"purge": [number]}})
    record = {"first_name": "A", "city": "New", "phones": [{"number": "+55 11 7"}]}
    ran = run(crm, singer(record, keys=[]), match_on=["phones.number"])
    assert (ran.code, len(crm.contacts())) == (0, 1), ran.errors[-300:]


@pytest.mark.parametrize(
    "bad",
    [
        message(type="SCHEMA", stream="contacts", schema=[1]),
        message(type="SCHEMA", stream="contacts", schema=FREE, key_properties=5),
        message(type="SCHEMA", stream="contacts", schema=FREE, key_properties=[["a"]]),
        message(type="SCHEMA", stream="contacts", schema={"properties": {"email": 7}}),
        message(type="ACTIVATE_VERSION", stream="contacts", version=[]),
        message(type="BATCH", stream="contacts", encoding=1, manifest=2),
        message(type="BATCH", stream="other", encoding={"format": "jsonl"}, manifest=[]),
        message(type="RECORD", stream="contacts", record={"email": "a@example.com"}, version=[1]),
    ],
    ids=range(8),
)
def test_an_odd_message_is_one_sentence_and_what_came_before_is_written(crm, run, person, singer, bad):
    ran = run(crm, singer(person(1), state={"n": 1}) + bad, allow_deletes=True)
    assert ("Traceback" in ran.errors, ran.states, len(crm.contacts())) == (False, [{"n": 1}], 1), ran.errors[
        -600:
    ]


@pytest.mark.parametrize(
    "raw",
    [
        '"cf_lifetime_value": NaN',
        '"cf_chinook_id": 1' + "0" * 30,
        '"last_name": "\\ud800"',
        '"user_id": 1' + "0" * 30,
        '"companies": [1' + "0" * 30 + "]",
    ],
)
def test_a_value_no_crm_can_hold_refuses_its_record_alone(crm, run, person, singer, raw):
    odd = message(type="RECORD", stream="contacts", record=person(2)).replace(
        '"first_name"', raw + ', "first_name"', 1
    )
    ran = run(
        crm,
        singer(person(1), schema=FREE) + odd + message(type="RECORD", stream="contacts", record=person(3)),
    )
    names = {c["email"] for c in crm.contacts()}
    assert {"person1@example.com", "person3@example.com"} <= names, ran.errors[-400:]
    assert "Traceback" not in ran.errors


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_DELETES", "5%"),
        ("MAX_REJECTS", "5%"),
        ("MATCH_ON", '["email"]'),
        ("MATCH_ON", "email"),
        ("CUSTOM_FIELDS", '["vip"]'),
    ],
)
def test_a_setting_from_the_environment_works(crm, command, person, singer, name, value):
    line = [*command(crm), "--config", "ENV"]
    done = subprocess.run(
        line,
        input=singer(person(1)),
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, f"TARGET_APPCRM_{name}": value},
    )
    assert done.returncode == 0, done.stderr[-400:]


def test_a_field_that_cannot_be_searched_does_not_cost_minutes(appcrm_sandbox_factory, run, person, singer):
    crm = appcrm_sandbox_factory(contacts=150)
    crm.declare_field("cf_key", "text")
    crm.faults(
        {"operation": "search", "query": "cf_key", "status": 500, "body": {"message": "Unknown column"}}
    )
    ran = run(crm, singer(person(1, cf_key="K1")), match_on=["cf_key"], max_tries=8)
    assert ran.code == 0, ran.errors[-300:]
    assert ran.requests["search"] <= 3


def test_create_only_leaves_the_associations_of_what_is_there_alone(
    appcrm_sandbox_factory, run, person, singer
):
    crm = appcrm_sandbox_factory(contacts=5)
    run(crm, singer(person(1)))
    schema = {"type": "object", "properties": {"contact_id": {"type": "integer"}}}
    record = {"contact_id": 1, "email": "person1@example.com", "companies": [1]}
    ran = run(
        crm,
        singer(record, stream="contact_associations", schema=schema, keys=["contact_id"]),
        mode="create_only",
    )
    assert ran.operations == {"skipped": 1}


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_no_record_and_no_token_reach_the_log(crm, command, person, singer, level):
    lines = (
        singer(person(1, street="SECRET-STREET 9"), {**person(2), "city": {"x": "SECRET-CITY"}})
        + '{"SECRET-LINE'
    )
    done = subprocess.run(
        command(crm),
        input=lines,
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, "LOGLEVEL": level},
    )
    assert crm.token not in done.stderr
    assert "SECRET" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("external_id_field", 5), ("load_method", "append-only"), ("rejects_path", 5)]
)
def test_a_setting_that_cannot_work_is_one_sentence(crm, run, person, singer, name, value):
    ran = run(crm, singer(person(1)), **{name: value})
    assert (ran.code, sum(ran.requests.values())) == (1, 0)
    assert name in ran.errors.strip().splitlines()[-1]
    assert "Traceback" not in ran.errors
