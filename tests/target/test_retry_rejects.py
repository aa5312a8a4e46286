"""A refused record comes again each night until it is accepted, superseded, or removed by hand."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest


@pytest.fixture
def nights(crm, command, tmp_path):
    """Run the target night after night on one rejects file."""
    path = tmp_path / "open.singer.jsonl"

    def night(lines="", **settings):
        done = subprocess.run(
            command(crm, rejects_path=str(path), retry_rejects=True, **settings),
            input=lines,
            text=True,
            capture_output=True,
            check=False,
            timeout=120,
        )
        done.rejects = [
            json.loads(line)
            for line in (path.read_text().splitlines() if path.exists() else ())
            if '"RECORD"' in line
        ]
        assert "Traceback" not in done.stderr
        return done

    night.path = path
    return night


def test_it_comes_again_until_it_is_accepted(crm, nights, person, singer):
    crm.mutate(insert=[person(1, email="taken@example.com")])
    number = crm.contacts()[0]["id"]
    crm.mutate(delete=[number])
    first = nights(singer(person(1, email="taken@example.com"), person(2)))
    assert (first.returncode, len(first.rejects)) == (1, 1)
    assert "open rejects: 1, oldest 0 days" in first.stderr
    second = nights()
    assert (second.returncode, second.rejects) == (1, first.rejects)
    crm.mutate(purge=[number])
    third = nights()
    assert (third.returncode, third.rejects) == (0, []), third.stderr
    assert crm.find("taken@example.com")
    assert nights.path.read_text() == ""


def test_an_identical_record_stands_there_once_and_keeps_its_age(nights, person, singer):
    lines = singer(person(1, first_name=None))
    first = nights(lines)
    second = nights(lines)
    assert second.rejects == first.rejects
    assert second.returncode == 1


@pytest.mark.parametrize("keys", [("email",), ()])
def test_a_newer_record_of_its_key_supersedes_it(crm, nights, person, singer, keys):
    nights(singer(person(1, first_name=None, city="Old"), keys=keys))
    ran = nights(singer(person(1, city="New"), keys=keys))
    assert (ran.returncode, ran.rejects) == (0, []), ran.stderr
    assert [row["city"] for row in crm.contacts()] == ["New"]
    assert crm.counts()["operations"]["create"] == 1


def test_a_newer_one_that_is_refused_takes_its_place(nights, person, singer):
    nights(singer(person(1, first_name=None, city="Old")))
    ran = nights(singer(person(1, first_name=None, city="New")))
    assert [message["record"]["city"] for message in ran.rejects] == ["New"]


def test_what_may_be_in_the_crm_already_is_never_sent_again_but_counts_as_open(crm, nights, singer):
    crm.faults({"operation": "create", "reset": "after_commit"})
    first = nights(singer({"first_name": "Nobody"}, keys=[]))
    assert [message["reason"] for message in first.rejects] == ["outcome unknown"]
    crm.faults()
    second = nights()
    assert (second.rejects, len(crm.contacts())) == (first.rejects, 1)
    assert "open rejects: 1" in second.stderr


def test_killed_at_any_moment_nothing_refused_is_lost(crm, command, nights, person, singer):
    refused = [person(n, first_name=None) for n in range(30)]
    nights(singer(*refused))
    crm.settings(latency_ms=20)
    later = [person(n, first_name=None) for n in range(100, 130)]
    lines = singer(*(person(n) for n in range(200, 260)), state={"n": 1}) + singer(*later, state={"n": 2})
    for wanted in (5, 30):
        process = subprocess.Popen(
            command(crm, rejects_path=str(nights.path), retry_rejects=True),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        process.stdin.write(lines.encode())
        process.stdin.close()
        while crm.counts()["operations"].get("create", 0) < wanted and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kept = {
            json.loads(line)["record"]["email"]
            for line in nights.path.read_text().splitlines()
            if '"RECORD"' in line
        }
        assert {record["email"] for record in refused} <= kept
    crm.settings(latency_ms=0)
    ran = nights(lines)
    assert {message["record"]["email"] for message in ran.rejects} == {
        record["email"] for record in (*refused, *later)
    }


def test_a_dry_run_plans_them_and_leaves_the_file_alone(nights, person, singer):
    nights(singer(person(1, first_name=None)))
    before = nights.path.read_bytes()
    ran = nights(singer(person(1)), dry_run=True)
    assert nights.path.read_bytes() == before
    assert "1 create" in ran.stderr


def test_it_needs_one_fixed_file(crm, command):
    line = command(crm, rejects_path="rejects-{started_at}.jsonl", retry_rejects=True)
    done = subprocess.run(line, input="", text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "retry_rejects" in done.stderr.strip().splitlines()[-1]


def test_a_file_of_something_else_is_one_sentence_and_no_request(crm, nights):
    nights.path.write_text('{"type": "STATE"}\nnot json\n{"a": 1}\n')
    ran = nights()
    assert ran.returncode == 1
    assert "rejects_path" in ran.stderr.strip().splitlines()[-1]
    assert crm.counts()["operations"] == {}
