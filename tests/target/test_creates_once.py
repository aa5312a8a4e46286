"""A create whose answer is lost never doubles a contact, and none is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest


def emails(crm):
    return Counter(contact["email"] for contact in crm.contacts())


@pytest.mark.parametrize(
    "fault",
    [
        {"reset": "after_commit"},
        {"reset": "before_commit"},
        {"status": 500, "body": "<html></html>"},
        {"status": 502, "body": "", "after_commit": True},
        {"cut": "body"},
        {"cut": "malformed"},
    ],
    ids=str,
)
def test_no_contact_is_doubled_when_every_first_create_fails(crm, run, person, singer, fault):
    crm.faults({"operation": "create", "every": 2, **fault})
    ran = run(crm, singer(*(person(n) for n in range(25)), state={"n": 25}), max_tries=12)
    assert (ran.code, ran.states) == (0, [{"n": 25}]), ran.errors[-2000:]
    assert emails(crm) == {f"person{n}@example.com": 1 for n in range(25)}
    assert ran.operations == {"create": 25}


def test_a_create_that_commits_and_drops_every_time_is_looked_up_not_repeated(crm, run, person, singer):
    crm.faults({"operation": "create", "reset": "after_commit"})
    ran = run(crm, singer(*(person(n) for n in range(15))))
    assert ran.code == 0, ran.errors[-2000:]
    assert set(emails(crm).values()) == {1}
    assert ran.requests["create"] == 15


def test_without_a_key_an_unclear_create_is_a_reject_that_says_so(crm, run, singer):
    crm.faults({"operation": "create", "reset": "after_commit"})
    ran = run(crm, singer({"first_name": "Nobody"}, keys=[]))
    assert ran.code == 1
    assert len(crm.contacts()) == 1
    (receipt,) = ran.receipts
    assert receipt["operation"] == "reject"
    assert "outcome unknown" in receipt["reason"]
    assert [record["first_name"] for record in ran.rejects] == ["Nobody"]


def test_an_email_that_was_taken_meanwhile_becomes_an_update(crm, run, person, singer):
    crm.faults({"operation": "create", "nth": 1, "mutate": {"insert": [person(1, city="Theirs")]}})
    ran = run(crm, singer(person(1, city="Ours")))
    assert ran.code == 0, ran.errors[-2000:]
    assert ran.operations == {"update": 1}
    assert [contact["city"] for contact in crm.contacts()] == ["Ours"]


def test_an_email_held_by_a_contact_in_the_trash_is_a_reject_that_says_where_to_look(
    crm, run, person, singer
):
    run(crm, singer(person(1)))
    crm.mutate(delete=[crm.find("person1@example.com")["id"]])
    ran = run(crm, singer(person(1), person(2)))
    assert (ran.code, ran.operations) == (1, {"reject": 1, "create": 1})
    assert any("trash" in (receipt["reason"] or "") for receipt in ran.receipts)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_and_replayed_there_is_one_contact_for_each_key(
    crm, run, command, person, singer, seed
):
    chance = random.Random(seed)  # noqa: S311  a moment to kill at, no secret
    crm.settings(latency_ms=5)
    lines = singer(*(person(n, city=f"City{n}", tags=["a"]) for n in range(150)), state={"done": 150})
    for _ in range(3):
        before = crm.counts()["total"]
        process = subprocess.Popen(
            command(crm), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        feeding = threading.Thread(target=process.communicate, args=(lines.encode(),))
        feeding.start()
        wanted = before + chance.randrange(3, 80)
        while crm.counts()["total"] < wanted and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        feeding.join()
    crm.settings(latency_ms=0)
    ran = run(crm, lines)
    assert (ran.code, ran.states) == (0, [{"done": 150}]), ran.errors[-2000:]
    held = crm.contacts()
    assert sorted(contact["email"] for contact in held) == sorted(
        f"person{n}@example.com" for n in range(150)
    )
    assert all(contact["city"] == f"City{contact['email'][6:-12]}" for contact in held)


def test_sigterm_finishes_what_is_in_flight_writes_a_true_state_and_exits_with_143(
    crm, command, person, singer
):
    crm.settings(latency_ms=20)
    lines = "".join(
        singer(*(person(n) for n in range(start, start + 10)), state={"done": start + 10})
        for start in range(0, 2_000, 10)
    )
    process = subprocess.Popen(
        command(crm), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    results = []
    feeding = threading.Thread(target=lambda: results.append(process.communicate(lines)))
    feeding.start()
    while crm.counts()["operations"].get("create", 0) < 60:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    feeding.join(timeout=30)
    assert process.returncode == 143
    (out, errors) = results[0]
    assert "Traceback" not in errors
    states = [int(line.partition(":")[2].strip(" }")) for line in out.splitlines()]
    held = {contact["email"] for contact in crm.contacts()}
    assert states, errors
    assert {f"person{n}@example.com" for n in range(states[-1])} <= held
    assert len(held) < 2_000


def test_a_token_that_dies_in_the_middle_stops_the_run_at_once_and_no_state_lies(crm, run, person, singer):
    crm.faults({"operation": "create", "after": 20, "status": 401, "body": {"message": "Unauthenticated."}})
    lines = singer(*(person(n) for n in range(5)), state={"n": 5}) + singer(
        *(person(n) for n in range(5, 200)), state={"n": 200}
    )
    ran = run(crm, lines)
    assert ran.code == 1
    assert "auth_token" in ran.errors.strip().splitlines()[-1]
    assert ran.states in ([{"n": 5}], [])
    assert ran.requests["create"] <= 20 + 8
