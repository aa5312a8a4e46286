"""However a run ends: one sentence, the right exit code, a true state, the receipt on disk."""

import errno
import io
import json
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import Output, choose, config_of, discover, run

from tap_appcrm.command import ended
from tap_appcrm.output.receipt import ReceiptBook
from tap_appcrm.output.record_writer import RecordWriter
from tap_appcrm.output.stream_sync import StreamSync
from tap_appcrm.source.list_source import ListSource
from tap_appcrm.source.records import RecordMaker
from tap_appcrm.source.thread_pool import Terminated
from tap_appcrm.tap import TapAppcrm

TAP = [sys.executable, "-c", "from tap_appcrm.cli import main; main()"]


@pytest.fixture
def tap(tmp_path, appcrm_sandbox):
    """`tap(*arguments, given, redirected, **environment)`: the finished command."""

    def call(*arguments, given=None, redirected="", **environment):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config_of(appcrm_sandbox, **given or {})))
        command = [*TAP, "--config", str(path), *map(str, arguments)]
        if redirected:
            command = ["bash", "-c", f'"$@" {redirected}', "bash", *command]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
            timeout=60,
        )

    return call


def last_line(done):
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "unhandled error" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


# Standard streams


def test_a_closed_standard_output_is_one_sentence(tap):
    done = tap(redirected=">&-")
    assert done.returncode == 1
    assert "Standard output is closed" in last_line(done)


@pytest.mark.parametrize("redirected", ["<&-", "2>&-", "<&- 2>&-", "2>/dev/full"])
def test_a_run_that_cannot_be_told_of_still_reads_everything(tap, redirected):
    done = tap(redirected=redirected)
    assert done.returncode == 0
    assert done.stdout.count('"type":"RECORD"') == 25
    assert "Traceback" not in done.stderr


def test_a_failure_that_cannot_be_told_of_has_its_exit_code(tap):
    assert tap(given={"auth_token": "wrong"}, redirected="2>&-").returncode == 1


# Files of the command line


@pytest.mark.parametrize(
    ("flag", "content", "told"),
    [
        ("--state", "", "is empty. Leave out --state"),
        ("--state", " \n", "is empty. Leave out --state"),
        ("--state", "{}\n{}\n", "take the last line"),
        ("--state", "[" * 100_000, "is not a state in JSON"),
        ("--state", "\x80", "is not a state in JSON"),
        ("--catalog", "", "is empty"),
        ("--config", "", "is empty"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_do(tap, tmp_path, flag, content, told):
    path = tmp_path / "given.json"
    path.write_text(content, encoding="latin-1")
    done = tap(flag, path)
    assert done.returncode == 1
    assert told in last_line(done)
    assert done.stdout == ""


def test_a_byte_order_mark_is_taken_in_every_file(tap, tmp_path, appcrm_sandbox):
    catalog = json.dumps(choose(discover(config_of(appcrm_sandbox)), "contacts"))
    contents = {"state": "{}", "catalog": catalog, "config": json.dumps({"page_size": 10})}
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8-sig")
    done = tap(*(word for name in contents for word in (f"--{name}", tmp_path / name)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"type":"RECORD"') == 25


# Logs


def test_nothing_but_what_people_need_is_told(tap):
    told = tap().stderr
    assert "METRIC" not in told
    assert "env var" not in told
    assert "25 records of 25 contacts" in told


@pytest.mark.parametrize("level", ["WARNING", "error", "CRITICAL"])
@pytest.mark.parametrize("variable", ["LOGLEVEL", "TAP_APPCRM_LOGLEVEL"])
def test_no_log_level_hides_the_summary(tap, variable, level):
    told = tap(**{variable: level}).stderr.splitlines()
    assert len(told) == 1
    assert "25 records of 25 contacts" in told[0]


def test_metrics_are_told_where_they_are_asked_for(tap):
    assert "METRIC" in tap(TAP_APPCRM_LOGLEVEL="DEBUG").stderr


def test_a_log_level_that_is_none_is_named(tap):
    done = tap(LOGLEVEL="verbose")
    assert done.returncode == 1
    assert "LOGLEVEL must be one of DEBUG, INFO" in last_line(done)


# Signals


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGINT, 130, "Stopped by you: the state is written"),
        (signal.SIGTERM, 143, "the state is written"),
    ],
)
def test_a_signal_writes_the_state_and_says_so(appcrm_sandbox_factory, tmp_path, number, code, told):
    sandbox = appcrm_sandbox_factory(contacts=3000, latency_ms=60)
    path, out, receipt = tmp_path / "config.json", tmp_path / "out", tmp_path / "receipt"
    path.write_text(json.dumps(config_of(sandbox, concurrency=1, receipt_path=str(receipt))))
    with out.open("wb") as output:
        process = subprocess.Popen(
            [*TAP, "--config", str(path)], stdout=output, stderr=subprocess.PIPE, text=True
        )
        while out.read_bytes().count(b'"RECORD"') < 500:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "Signal received: writing state, then exiting" in err
    assert told in err.strip().splitlines()[-1]
    assert json.loads(out.read_text().splitlines()[-1])["type"] == "STATE"
    assert json.loads(receipt.read_text())["complete"] is False


# Receipts


def test_a_receipt_is_private_and_leaves_no_other_file(tap, tmp_path):
    path = tmp_path / "new" / "receipt.jsonl"
    assert tap(given={"receipt_path": str(path)}).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_receipt_goes_through_a_fifo_once_and_the_fifo_stays(tap, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    done = tap(given={"receipt_path": str(fifo)})
    reader.join(timeout=30)
    assert done.returncode == 0, done.stderr
    [receipt] = [json.loads(line) for line in read[0].splitlines()]
    assert (receipt["stream"], receipt["complete"]) == ("contacts", True)
    assert fifo.is_fifo()


def test_a_receipt_goes_into_a_device_which_stays_one(tap):
    assert tap(given={"receipt_path": "/dev/null"}).returncode == 0
    assert Path("/dev/null").is_char_device()


def test_a_receipt_is_not_written_through_a_link(tap, tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    done = tap(given={"receipt_path": str(tmp_path / "link")})
    assert done.returncode == 1
    assert "receipt_path" in last_line(done)
    assert "symbolic link" in last_line(done)
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_behind_the_receipt_is_one_sentence(tap):
    done = tap(given={"receipt_path": "/dev/full"})
    assert done.returncode == 1
    assert "receipt_path" in last_line(done)


# Stream maps


def test_a_stream_map_that_fails_on_a_record_names_itself_and_no_value(tap, appcrm_sandbox):
    appcrm_sandbox.mutate(set={"3": {"city": None}})
    done = tap(given={"stream_maps": {"contacts": {"place": "city + ' (BR)'"}}})
    assert done.returncode == 1
    assert "stream_maps: the map of contacts fails on the record of id 3 (TypeError)" in last_line(done)


# Told to end

INTERRUPTED_WHILE_LOADING = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "singer_sdk":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
from {package}.__main__ import main
main()
"""


@pytest.mark.parametrize("package", ["tap_appcrm", "target_appcrm"])
def test_ctrl_c_while_the_command_is_being_loaded_is_one_sentence(package):
    program = INTERRUPTED_WHILE_LOADING.format(package=package)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 130
    assert done.stderr == "Stopped by you, before anything was read\n"


def test_requests_in_flight_are_broken_off_when_the_run_is_told_to_end():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        tap = TapAppcrm(config={"api_url": url, "auth_token": "t"}, catalog={"streams": []})
        waiting = tap.workers.submit(tap.client.retrieve_contact, 1)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(30)  # below request_timeout, at which the client would give up by itself
            assert connection.recv(65536)
            tap.stop.tell(signal.SIGTERM)
            assert connection.recv(1) == b""
        with pytest.raises(Terminated):
            waiting.result(timeout=30)


# Anything anywhere


class Unheard(BaseException):
    """What nobody foresees."""


EDGES = {
    "a request": (ListSource, "_page"),
    "a record is made": (RecordMaker, "make"),
    "a record is written": (RecordWriter, "write"),
    "a checkpoint": (StreamSync, "_checkpoint"),
    "a state is written": (StreamSync, "_save"),
    "the end": (StreamSync, "_end"),
    "a receipt is written": (ReceiptBook, "_write"),
}
ERRORS = [
    RuntimeError("ana@example.com"),
    KeyError("ana@example.com"),
    RecursionError(),
    MemoryError(),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EMFILE, "Too many open files", "/somewhere"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    UnicodeEncodeError("utf-8", "ana@example.com", 0, 1, "odd"),
    KeyboardInterrupt(),
    SystemExit("ana@example.com"),
    Unheard("ana@example.com"),
]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    from appcrm_sandbox.testing import start  # noqa: PLC0415  only this test needs a server for many examples

    sandbox = start(tmp_path_factory.mktemp("endings") / "crm.sqlite3", contacts=320, seed=3)
    yield sandbox
    sandbox.stop()


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(edge=st.sampled_from(sorted(EDGES)), error=st.sampled_from(ERRORS), nth=st.integers(1, 4))
def test_whatever_is_raised_wherever_the_run_ends_in_order(crowd, tmp_path, caplog, edge, error, nth):
    owner, name = EDGES[edge]
    path = tmp_path / "receipt.jsonl"
    path.unlink(missing_ok=True)
    config = config_of(crowd, receipt_path=str(path), page_size=50)
    real, calls = getattr(owner, name), []

    def raising(*arguments, **options):
        calls.append(1)
        if len(calls) == nth:
            raise error
        return real(*arguments, **options)

    caplog.clear()
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(owner, name, raising)
        code = ended(lambda: TapAppcrm(config=config).run())
        out.flush()
        text = out.buffer.getvalue().decode()
    assert text == "" or text.endswith("\n")
    output = Output(text)
    if len(calls) < nth:
        assert code == 0
        return
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert not any(record.exc_info for record in caplog.records)
    assert "ana@example.com" not in caplog.text
    if edge != "a receipt is written":
        [receipt] = [json.loads(line) for line in path.read_text().splitlines()]
        assert (
            receipt["complete"] is (edge == "a state is written" and bool(output.state) and nth > 3)
            or not (receipt["complete"])
        )
    again = run(config_of(crowd), state=output.state)
    assert {*output.ids(), *again.ids()} == {row["id"] for row in crowd.contacts()}
