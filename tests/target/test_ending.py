"""However a run ends: receipts and rejects on disk, no state that lies, one sentence, the right exit code."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import types

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appcrm.errors import ServerFault, Unauthenticated
from target_appcrm.errors import InputError, RunStopped, Unwritable
from target_appcrm.load import Terminated, exit_code
from target_appcrm.target import TargetAppcrm


def records_of(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["record"] for line in lines if '"RECORD"' in line]


class Odd(BaseException):
    """Nothing that anybody foresaw."""


EDGES = (
    "client.create_contact",
    "client.search_contacts",
    "client.list_contacts",
    "ctx.lookups.find",
    "ctx.lookups.remember",
    "log.tell",
    "log.make_durable",
    "log.keep",
    "states.note",
    "states.done",
    "pipeline.take",
    "pipeline.drain",
    "pipeline.finish",
    "_receipts.flush",
    "_receipts.tell",
    "_receipts.end",
    "_rejects.write",
    "_rejects.close",
    "_workers.close",
    "_index.close",
    "_write_summary",
)
KINDS = (
    OSError(28, "No space left on device"),
    ValueError("x"),
    RecursionError(),
    MemoryError(),
    KeyError("k"),
    KeyboardInterrupt(),
    SystemExit(3),
    Odd(),
    RunStopped("stopped"),
    InputError("bad"),
    Unwritable("no"),
    ServerFault("status 500", operation="create", path="/contacts", status=500),
    Unauthenticated("status 401", operation="create", path="/contacts", status=401),
)


def invoked(target, config, path):
    """Run a target on a file in this process; return its exit code."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with path.open() as file:
            target.invoke(config=types.SimpleNamespace(config=config, parse_env=False), file_input=file)
    except SystemExit as error:
        return error.code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def failing_at(edge, kind, after, made):
    """Return a target that raises an exception at the nth call of one of its parts."""

    class Failing(TargetAppcrm):
        def __init__(self, **options):
            super().__init__(**options)
            made.append(self)
            owner, _, name = edge.rpartition(".")
            part = self.load
            for each in filter(None, owner.split(".")):
                part = getattr(part, each)
            original, calls, lock = getattr(part, name), iter(range(1_000_000)), threading.Lock()

            def fail(*arguments, **options):
                with lock:
                    number = next(calls)
                if number == after:
                    raise kind
                return original(*arguments, **options)

            object.__setattr__(part, name, fail)

    return Failing


@settings(
    # Each is a run of its own: few in the suite, ten times as many under `make search`.
    max_examples=settings.default.max_examples * 2 // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(edge=st.sampled_from(EDGES), kind=st.sampled_from(KINDS), after=st.integers(0, 4))
def test_any_exception_at_any_edge_ends_in_order(
    crm, tmp_path_factory, capfd, person, singer, edge, kind, after
):
    folder = tmp_path_factory.mktemp("run")
    config = {
        "api_url": crm.url,
        "auth_token": crm.token,
        "rejects_path": str(folder / "rejects.jsonl"),
        "receipts_path": str(folder / "receipts.jsonl"),
        "summary_path": str(folder / "summary.json"),
        "max_tries": 1,
        "max_rejects": 100,
    }

    def address(n):
        # One CRM serves all examples, and each has people of its own.
        return f"person{n}@{folder.name}.example.com"

    lines = "".join(
        singer(
            *(person(n, email=address(n)) for n in range(start, start + 3)),
            person(50 + start, email=address(50 + start), first_name=None),
            state={"n": start + 3},
        )
        for start in (0, 3, 6)
    )
    path = folder / "input.jsonl"
    path.write_text(lines)
    capfd.readouterr()
    made = []
    failing = failing_at(edge, kind, after, made)
    code = invoked(failing, config, path)
    out, errors = capfd.readouterr()
    assert "Traceback" not in errors
    held = {row["email"] for row in crm.contacts()}
    assert len(held) == len(crm.contacts())
    rejected = {record["email"] for record in records_of(folder / "rejects.jsonl")}
    for state in map(json.loads, out.splitlines()):
        assert {address(n) for n in range(state["n"])} <= held | rejected, (state, edge, kind)
    if edge != "_workers.close":
        assert not [
            thread for thread in threading.enumerate() if thread.name.startswith(("worker", "states"))
        ]
    assert made[0].load.pipeline.open_groups == 0
    if code == 0:
        assert {address(n) for n in range(9)} <= held | rejected


@pytest.mark.parametrize(
    ("error", "signum", "code"),
    [
        (None, None, 0),
        (ValueError(), None, 1),
        (Terminated("x"), signal.SIGTERM, 143),
        (Terminated("x"), signal.SIGINT, 130),
        (KeyboardInterrupt(), None, 130),
        (SystemExit(2), None, 2),
    ],
)
def test_exit_codes(error, signum, code):
    assert exit_code(error, signum) == code


def shell(command, tail, lines, **options):
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {tail}', "sh", *command],
        input=lines,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
        **options,
    )


def test_a_full_disk_under_the_receipts_ends_the_run_with_a_true_state(crm, command, person, singer):
    lines = singer(*(person(n) for n in range(30)), state={"n": 30})
    done = shell(command(crm, receipts_path="/dev/full"), "", lines)
    assert done.returncode == 1
    assert "receipts_path" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    for state in map(json.loads, done.stdout.splitlines()):
        assert state["n"] <= len(crm.contacts())


def test_closed_standard_input_is_one_sentence(crm, command):
    done = shell(command(crm), "<&-", "")
    assert (done.returncode, done.stdout) == (1, "")
    assert "standard input is closed" in done.stderr.strip().splitlines()[-1]


def test_rejects_may_go_into_a_device_that_cannot_be_synchronised(crm, command, person, singer):
    lines = singer(person(1, first_name=None), person(2), state={"n": 2})
    done = shell(command(crm, rejects_path="/dev/null", max_rejects=1), "", lines)
    assert (done.returncode, done.stdout) == (0, '{"n":2}\n'), done.stderr


def test_a_full_disk_under_the_rejects_lets_no_state_past_them(crm, command, person, singer):
    lines = singer(person(1, first_name=None), state={"n": 1})
    done = shell(command(crm, rejects_path="/dev/full"), "", lines)
    assert (done.returncode, done.stdout) == (1, "")
    assert "rejects_path" in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("tail", [">&-", ">/dev/full"])
def test_a_standard_output_that_takes_no_state_is_one_sentence(crm, command, person, singer, tail):
    done = shell(command(crm), tail, singer(person(1), state={"n": 1}))
    assert (done.returncode, len(crm.contacts())) == (1, 1)
    assert "standard output" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_closed_standard_error_changes_nothing(crm, command, person, singer):
    done = shell(command(crm), "2>&-", singer(person(1), state={"n": 1}))
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {"n": 1}, "")


def test_a_closed_standard_input_is_one_sentence(crm, command):
    done = shell(command(crm), "<&-", None)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)


def test_ctrl_c_says_that_you_stopped_it_and_exits_with_130(crm, command, person, singer):
    process = subprocess.Popen(
        command(crm), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdin.write(singer(person(1), state={"n": 1}))
    process.stdin.flush()
    until = time.monotonic() + 45
    while time.monotonic() < until and not crm.contacts():
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, json.loads(out)) == (130, {"n": 1})
    assert "Stopped by you" in errors.strip().splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 302, "headers": {"Location": "/login"}},
        {"status": 402, "body": {"message": "pay"}},
        {"status": 405, "body": {"message": "no"}},
        {"status": 403, "body": "<html>no</html>", "headers": {"Content-Type": "text/html"}},
        {"status": 404, "body": "<html>no</html>", "headers": {"Content-Type": "text/html"}},
        {"status": 401, "body": {"message": "Unauthenticated."}},
    ],
    ids=str,
)
def test_what_is_no_record_s_fault_stops_the_run_and_rejects_nobody(crm, run, person, singer, fault):
    crm.faults({"operation": "create", **fault})
    lines = singer(person(0, first_name=None), state={"n": 0}) + singer(
        *(person(n) for n in range(1, 60)), state={"n": 60}
    )
    ran = run(crm, lines, concurrency=2)
    assert (ran.code, ran.states, len(ran.rejects)) == (1, [{"n": 0}], 1), ran.errors
    assert ran.requests["create"] <= 4


def test_ten_server_faults_on_writes_stop_the_run_whatever_is_unchanged_between(crm, run, person, singer):
    run(crm, singer(*(person(n) for n in range(100))))
    crm.faults({"operation": "update", "status": 500, "body": {"message": "no"}})
    lines = singer(*(person(n, **({"city": "x"} if n % 2 else {})) for n in range(100)))
    ran = run(crm, lines, max_tries=1, concurrency=1)
    assert (ran.code, ran.requests["update"]) == (1, 10), ran.errors
    assert "10 writes in a row" in ran.errors.strip().splitlines()[-1]
