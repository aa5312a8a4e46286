"""The command: flags, messages, exit codes."""

import contextlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from importlib.metadata import version

import pytest
import requests

from appcrm_sandbox.cli import main

COMMAND = [sys.executable, "-c", "from appcrm_sandbox.cli import main; main()"]


def run(*arguments, **given):
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False, **given
    )


@pytest.fixture
def refused_at_start(capsys, monkeypatch, tmp_path):
    """What the command says and exits with, in this process: a Python of its own for each case is slow."""

    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said, code = capsys.readouterr(), ended.value.code
        # What Python does with an exit code that is a sentence.
        text, code = (f"{said.err}{code}\n", 1) if isinstance(code, str) else (said.err, code)
        return subprocess.CompletedProcess(arguments, code, said.out, text)

    return call


@contextlib.contextmanager
def serving(*flags, cwd):
    """A running command; gives the process and its first line."""
    process = subprocess.Popen([*COMMAND, "serve", *flags], stderr=subprocess.PIPE, text=True, cwd=cwd)
    try:
        yield process, process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


def _one_sentence(done, *, code, words):
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(words, done.stderr), done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "x"], "--port"),
        (["--port", "-1"], "--port"),
        (["--contacts", "many"], "--contacts"),
        (["--rate-limit", "0"], "--rate-limit"),
        (["--latency-ms", "-5"], "--latency-ms"),
        (["--envelope", "square"], "--envelope"),
        (["--app-version", "1.2"], "--app-version: invalid choice"),
        (["--colour"], "--colour"),
        (["--database"], "--database"),
        (["--database", ""], "--database: it is empty"),
        (["--host", ""], "--host: it is empty"),
    ],
)
def test_a_bad_flag_is_one_sentence(refused_at_start, flags, words, tmp_path):
    _one_sentence(refused_at_start("serve", *flags), code=2, words=words)
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"appcrm-sandbox v{version('appcrm-connectors')}\n")


def test_no_command_is_one_sentence():
    _one_sentence(run(), code=2, words="serve")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "99999"], "99999.*another --port"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
        (["--token", ""], "token"),
        (["--custom-field", "lifetime"], "cf_"),
        (["--custom-field", "cf_x:colour"], "colour"),
        (["--faults", "none.yaml"], "none.yaml cannot be read"),
        (["--database", "no/such/crm.sqlite3"], "no folder"),
        (["--database", "."], "cannot be served: it is a folder"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(refused_at_start, flags, words):
    _one_sentence(refused_at_start("serve", "--port", "0", *flags), code=1, words=words)


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        _one_sentence(
            run("serve", "--port", port, cwd=tmp_path), code=1, words=f"{port}.*choose another --port"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["faults: [", "faults: 3", "- {status: 1}", "- {colour: red}", "seed: 1"])
def test_a_bad_faults_file_is_one_sentence(refused_at_start, text, tmp_path):
    (tmp_path / "faults.yaml").write_text(text)
    done = refused_at_start("serve", "--port", "0", "--faults", "faults.yaml")
    _one_sentence(done, code=1, words="the faults file faults.yaml")


def _spoil_header(path):
    path.write_bytes(b"this is no database, but long enough to be looked at" * 40)


def _spoil_middle(path):
    data = bytearray(path.read_bytes())
    for start in range(8192, len(data), 4096):
        data[start : start + 200] = b"\xff" * 200
    path.write_bytes(bytes(data))


def _cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _drop_a_table(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE field_options")


@pytest.mark.parametrize("spoil", [_spoil_header, _spoil_middle, _cut_short, _drop_a_table])
def test_a_corrupt_database_is_one_sentence_and_left_alone(refused_at_start, spoil, crm, tmp_path):
    path = crm.sandbox.snapshot(tmp_path / "crm.sqlite3")
    spoil(path)
    spoiled = path.read_bytes()
    done = refused_at_start("serve", "--port", "0", "--database", str(path))
    _one_sentence(done, code=1, words=r"crm\.sqlite3 (cannot be served|is corrupt)")
    assert path.read_bytes() == spoiled


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE contacts (id INTEGER)")
    before = path.read_bytes()
    done = run("serve", "--port", "0", "--database", str(path))
    _one_sentence(done, code=1, words="not one of a sandbox")
    assert path.read_bytes() == before


def test_without_the_extra_the_command_says_what_to_install(tmp_path):
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'uvicorn' else find(name, *rest)\n"
        "from appcrm_sandbox.cli import main; main(['serve'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    _one_sentence(done, code=1, words=re.escape("install appcrm-connectors[sandbox]"))


def test_the_pytest_plugin_loads_without_the_extra():
    code = (
        "import sys\n"
        "for name in ('starlette', 'uvicorn', 'faker', 'yaml'): sys.modules[name] = None\n"
        "import appcrm_sandbox.testing"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_serve_alone_serves_and_a_signal_ends_it_cleanly(tmp_path):
    with serving("--port", "0", cwd=tmp_path) as (process, line):
        url = re.search(r"http://127\.0\.0\.1:\d+/api", line).group()
        assert "200 contacts from appcrm-sandbox.sqlite3, seed 1" in line
        headers = {"Authorization": "Bearer sandbox-token"}
        assert requests.get(f"{url}/contacts", headers=headers, timeout=10).json()["meta"]["total"] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert (tmp_path / "appcrm-sandbox.sqlite3").exists()


def test_a_file_with_data_is_served_as_it_is(tmp_path):
    flags = ["--port", "0", "--database", "crm.sqlite3"]
    for contacts, words in (
        ("7", "7 contacts from crm.sqlite3, seed 4"),
        ("50", "7 contacts .* as they were"),
    ):
        with serving(*flags, "--contacts", contacts, "--seed", "4", cwd=tmp_path) as (process, line):
            assert re.search(words, line), line
            process.terminate()
            assert process.wait(10) == 0


def test_flags_reach_the_server(tmp_path):
    (tmp_path / "faults.json").write_text('{"faults": [{"operation": "search", "status": 503}]}')
    flags = [
        "--token", "t0ken", "--contacts", "30", "--rate-limit", "50", "--latency-ms", "1", "--faults", "faults.json",
        "--custom-field", "cf_plan:select:free|paid", "--no-phone-unique", "--max-per-page", "20", "--log-requests",
        "--no-phone-prefix",
        "--envelope", "flat", "--no-list-associations", "--show-activities", "--no-attach-by-domain",
        "--search-in", "ignored", "--unknown-search-field", "500", "--order-updated-at", "refused",
        "--search-minds-case", "--timestamps", "sql", "--shapes", "plain",
        "--app-version", "1.5",
    ]  # fmt: skip
    with serving("--port", "0", *flags, cwd=tmp_path) as (process, line):
        origin = re.search(r"http://[^/]+", line).group()
        headers = {"Authorization": "Bearer t0ken"}
        answer = requests.get(f"{origin}/api/contacts?per_page=100", headers=headers, timeout=10)
        assert (answer.json()["per_page"], answer.headers["X-RateLimit-Limit"]) == (20, "50")
        assert "cf_plan" in answer.json()["data"][0]
        assert requests.get(f"{origin}/api/contacts/search", headers=headers, timeout=10).status_code == 503
        held = requests.get(f"{origin}/__control/settings", timeout=10).json()
        assert held == {
            "latency_ms": 1, "rate_limit": 50, "max_per_page": 20, "fixed_per_page": None, "phone_unique": False,
            "list_associations": False, "show_activities": True, "attach_by_domain": False, "search_in": "ignored",
            "unknown_search_field": 500, "order_updated_at": "refused", "envelope": "flat", "timestamps": "sql",
            "shapes": "plain", "log_requests": True, "search_minds_case": True,
            "app_version": "1.5", "phone_prefix": False,
        }  # fmt: skip
        process.terminate()
        lines = process.stderr.read().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"GET /contacts\?per_page=100 list 200 [\d.]+ ms", lines[0])
    assert re.fullmatch(r"GET /contacts/search search 503 [\d.]+ ms \[fault 1\]", lines[1])
    assert "t0ken" not in "".join(lines)
