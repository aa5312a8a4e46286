"""The command itself, as a shell runs it: exit codes, last lines, signals, pipes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import choose, config_of, discover

TAP = [sys.executable, "-c", "from tap_appcrm.cli import main; main()"]
SECRET = "a-token-that-nobody-may-see"


class Ended:
    """How a run ended."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr
        self.last = done.stderr.strip().splitlines()[-2:] if done.stderr.strip() else []
        assert "Traceback" not in done.stderr


@pytest.fixture
def tap(tmp_path):
    def call(config, *arguments, loglevel="INFO"):
        path = tmp_path / "config.json"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        command = [*TAP, "--config", str(path), *map(str, arguments)]
        return Ended(
            subprocess.run(
                command, capture_output=True, text=True, check=False, env={**os.environ, "LOGLEVEL": loglevel}
            )
        )

    return call


def good(sandbox, **given):
    return {"api_url": sandbox.url, "auth_token": sandbox.token, **given}


WRONG = {
    "no token": ({"auth_token": None}, "auth_token"),
    "a token of the wrong kind": ({"auth_token": {"oops": SECRET}}, "auth_token must be of type string"),
    "a token with a line end": ({"auth_token": f"{SECRET}\nx"}, "auth_token"),
    "a refused token": ({"auth_token": SECRET}, "Check auth_token"),
    "an address that is none": ({"api_url": "acme"}, "api_url"),
    "an address in the clear": ({"api_url": "http://crm.example.com/api"}, "https://"),
    "an address where nothing listens": ({"api_url": "http://127.0.0.1:9/api", "max_tries": 1}, "api_url"),
    "no pages": ({"page_size": 0}, "page_size must be at least 1"),
    "pages too large": ({"page_size": 101}, "page_size must be at most 100"),
    "a date that is none": ({"start_date": "soon"}, "start_date"),
    "fields that are no schemas": ({"custom_fields": {"cf_a": "text"}}, "custom_fields.cf_a"),
    "fields of a type that there is not": (
        {"custom_fields": {"cf_a": {"type": ["txt", "null"]}}},
        "custom_fields.cf_a.type must be one of array, boolean",
    ),
    "items of a type that there is not": (
        {"custom_fields": {"cf_a": {"type": "array", "items": {"type": 7}}}},
        "custom_fields.cf_a.items.type must be one of",
    ),
}


@pytest.mark.parametrize(("given", "told"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("loglevel", ["INFO", "DEBUG"])
def test_what_is_wrong_is_told_in_one_sentence_and_no_secret(tap, appcrm_sandbox, given, told, loglevel):
    config = {key: value for key, value in good(appcrm_sandbox, **given).items() if value is not None}
    ended = tap(config, loglevel=loglevel)
    assert ended.code == 1
    assert any(told in line for line in ended.last), ended.last
    assert SECRET not in ended.out + ended.err
    assert ended.out == ""


def test_a_field_that_cannot_be_searched_names_the_setting_and_blames_no_order(tap, appcrm_sandbox, tmp_path):
    catalog = tmp_path / "catalog.json"
    catalog.write_text(tap(good(appcrm_sandbox), "--discover").out)
    ended = tap(good(appcrm_sandbox, query="a", search_fields="bogus:="), "--catalog", catalog)
    assert ended.code == 1
    assert "search_fields" in ended.last[-1]
    assert "refuses order" not in ended.err


def test_a_declared_field_is_refused_alike_with_a_catalog_and_without(tap, appcrm_sandbox, tmp_path):
    catalog = tmp_path / "catalog.json"
    catalog.write_text(tap(good(appcrm_sandbox), "--discover").out)
    wrong = good(appcrm_sandbox, custom_fields={"cf_a": {"type": "text"}})
    ways = [tap(wrong, "--discover"), tap(wrong, "--catalog", catalog)]
    assert [ended.code for ended in ways] == [1, 1]
    assert all("custom_fields.cf_a.type" in "".join(ended.last) for ended in ways)


@pytest.mark.parametrize("rename", ["people", None])
def test_a_catalog_that_selects_nothing_reads_nothing_and_is_told(tap, appcrm_sandbox, tmp_path, rename):
    found = json.loads(tap(good(appcrm_sandbox), "--discover").out)
    for entry in found["streams"]:
        if rename:
            entry["tap_stream_id"] = entry["stream"] = rename
        else:
            entry["metadata"] = [{"breadcrumb": [], "metadata": {"selected": False}}]
    (tmp_path / "catalog.json").write_text(json.dumps(found))
    ended = tap(good(appcrm_sandbox), "--catalog", tmp_path / "catalog.json")
    assert (ended.code, ended.out) == (0, "")
    told = [line for line in ended.err.splitlines() if "WARNING" in line]
    assert len(told) == 1
    assert "selects no stream" in told[0]
    assert "contacts or contact_associations" in told[0]
    assert (rename or "contacts") in told[0]


def test_a_setting_that_nobody_knows_stops_the_run_and_names_the_nearest(tap, appcrm_sandbox):
    ended = tap(good(appcrm_sandbox, page_sise=10), "--discover")
    assert (ended.code, ended.out) == (1, "")
    assert "page_sise is not a setting of tap-appcrm: did you mean page_size?" in ended.last[-1]
    assert appcrm_sandbox.counts()["total"] == 0


def test_a_setting_that_the_sdk_knows_does_nothing_and_says_so(tap, appcrm_sandbox):
    ended = tap(good(appcrm_sandbox, hard_delete=True, default_target_schema="x"), "--discover")
    assert ended.code == 0
    assert "do nothing in a tap: default_target_schema, hard_delete" in ended.err


def test_a_variable_that_all_but_names_a_setting_stops_the_run(tap, appcrm_sandbox, monkeypatch):
    monkeypatch.setenv("TAP_APPCRM_PAGESIZE", "10")
    monkeypatch.setenv("TAP_APPCRM_OWNER", "somebody")
    ended = tap(good(appcrm_sandbox), "--discover")
    assert ended.code == 1
    assert "did you mean TAP_APPCRM_PAGE_SIZE?" in ended.last[-1]
    assert "OWNER" not in ended.err


def test_an_expression_that_is_none_names_stream_maps(tap, appcrm_sandbox):
    ended = tap(good(appcrm_sandbox, stream_maps={"contacts": {"city": "oops(("}}))
    assert ended.code == 1
    assert "stream_maps" in ended.last[-1]


def test_a_variable_that_cannot_be_read_is_named_without_its_value(monkeypatch, appcrm_sandbox):
    monkeypatch.setenv("TAP_APPCRM_API_URL", appcrm_sandbox.url)
    monkeypatch.setenv("TAP_APPCRM_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("TAP_APPCRM_PAGE_SIZE", "ten")
    done = subprocess.run([*TAP, "--config=ENV", "--discover"], capture_output=True, text=True, check=False)
    ended = Ended(done)
    assert ended.code == 1
    assert "TAP_APPCRM_PAGE_SIZE cannot be read: page_size must be of type integer" in ended.last[-1]
    assert "ten" not in ended.last[-1]


def test_a_wrong_path_names_the_setting(tap, appcrm_sandbox):
    ended = tap(good(appcrm_sandbox, api_url=appcrm_sandbox.origin + "/crm"))
    assert ended.code == 1
    assert "Check api_url" in ended.last[-1]


@pytest.mark.parametrize("flag", ["--config", "--state", "--catalog"])
@pytest.mark.parametrize("content", ['{"a":', "[1]", "7"])
def test_a_file_that_is_no_json_object_is_named(tap, appcrm_sandbox, tmp_path, flag, content):
    path = tmp_path / "broken.json"
    path.write_text(content)
    ended = tap(good(appcrm_sandbox), flag, path)
    assert ended.code != 0
    assert flag in ended.last[-1]


def test_the_token_shows_at_no_log_level(tap, appcrm_sandbox):
    ended = tap(good(appcrm_sandbox), loglevel="DEBUG")
    assert ended.code == 0
    assert appcrm_sandbox.token not in ended.out + ended.err
    email = appcrm_sandbox.contact(1)["email"]
    assert email not in ended.err, "no record in a log"


# --test

TESTED = {
    "good": ({}, 0, "it may see 25 contacts"),
    "token": ({"auth_token": SECRET}, 1, "The address is good, the token is not"),
    "address": ({"api_url": "http://127.0.0.1:9/api"}, 1, "The address does not lead to the API"),
}


@pytest.mark.parametrize(("given", "code", "told"), TESTED.values(), ids=TESTED)
def test_the_connection_test_says_which_part_is_wrong(tap, appcrm_sandbox, given, code, told):
    ended = tap(good(appcrm_sandbox, **given), "--test")
    assert ended.code == code
    assert told in ended.last[-1]
    assert ended.out == ""
    assert appcrm_sandbox.counts()["total"] <= 6


def test_the_connection_test_is_told_at_every_log_level_and_writes_no_file(tap, appcrm_sandbox, tmp_path):
    config = good(appcrm_sandbox, receipt_path=str(tmp_path / "receipt"))
    ended = tap(config, "--test", loglevel="ERROR")
    for part in ("Address", "Token", "Rate limit", "Trash", "Reading all 25 contacts: 5 requests"):
        assert part in ended.err
    assert not (tmp_path / "receipt").exists()


def test_the_connection_test_tells_a_lacking_permission_and_a_wrong_path(tap, appcrm_sandbox):
    appcrm_sandbox.faults({"operation": "list", "status": 403})
    ended = tap(good(appcrm_sandbox), "--test")
    assert (ended.code, "may not list contacts" in ended.last[-1]) == (1, True)
    ended = tap(good(appcrm_sandbox, api_url=appcrm_sandbox.origin + "/crm"), "--test")
    assert (ended.code, "does not lead to the API" in ended.last[-1]) == (1, True)


def test_the_connection_test_gives_up_after_three_requests(tap, appcrm_sandbox):
    appcrm_sandbox.faults({"operation": "list", "status": 500})
    assert tap(good(appcrm_sandbox, max_retry_wait=0), "--test").code == 1
    assert appcrm_sandbox.counts()["total"] == 3


# Signals and pipes


def started(tmp_path, config, *arguments):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    return subprocess.Popen(
        [*TAP, "--config", str(path), *map(str, arguments)],
        stdout=(tmp_path / "out").open("wb"),
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )


def wait_for_records(process, tmp_path, count):
    """Wait until so many records were written."""
    while (tmp_path / "out").read_bytes().count(b'"RECORD"') < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def written(tmp_path):
    """The whole lines that were written."""
    return [line for line in (tmp_path / "out").read_text().splitlines(keepends=True) if line.endswith("\n")]


def ids(lines):
    messages = [json.loads(line) for line in lines]
    return [message["record"]["id"] for message in messages if message["type"] == "RECORD"]


def last_state(lines):
    return next((m["value"] for m in map(json.loads, reversed(lines)) if m["type"] == "STATE"), None)


@pytest.fixture
def slow(appcrm_sandbox_factory):
    return appcrm_sandbox_factory(contacts=5000, latency_ms=60)


def go_on(tmp_path, sandbox, lines):
    """Run again from the last STATE; returns the ids that this reads."""
    path = tmp_path / "state.json"
    path.write_text(json.dumps(last_state(lines) or {}))
    process = started(tmp_path, good(sandbox), "--state", path)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return ids(written(tmp_path))


def test_sigterm_writes_the_state_and_exits_with_143(slow, tmp_path):
    process = started(tmp_path, good(slow, concurrency=1))
    wait_for_records(process, tmp_path, 1500)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    lines = written(tmp_path)
    assert json.loads(lines[-1])["type"] == "STATE"
    again = go_on(tmp_path, slow, lines)
    assert set(ids(lines)) | set(again) == {row["id"] for row in slow.contacts()}
    assert len(ids(lines)) + len(again) <= 5000 + 300


@pytest.mark.parametrize("after", [50, 1250, 4900])
def test_sigkill_loses_nothing_and_costs_what_came_after_the_last_state(slow, tmp_path, after):
    process = started(tmp_path, good(slow))
    wait_for_records(process, tmp_path, after)
    process.kill()
    process.communicate(timeout=30)
    lines = written(tmp_path)
    again = go_on(tmp_path, slow, lines)
    assert set(ids(lines)) | set(again) == {row["id"] for row in slow.contacts()}
    # A STATE stands at least every five hundred records.
    assert len(ids(lines)) + len(again) <= 5000 + 600


def test_a_loader_that_dies_ends_the_tap_with_a_sentence(slow, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(good(slow)))
    process = subprocess.Popen(
        [*TAP, "--config", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=30) == 1
    assert "Traceback" not in err
    assert "the loader closed the pipe" in err.strip().splitlines()[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("arguments", [[], ["--discover"]])
def test_a_full_disk_behind_standard_output_ends_the_tap_with_a_sentence(slow, tmp_path, arguments):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(good(slow)))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TAP, "--config", str(path), *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "make room" in done.stderr.strip().splitlines()[-1]


def test_a_long_read_tells_how_far_it_is(appcrm_sandbox_factory, tmp_path):
    sandbox = appcrm_sandbox_factory(contacts=2500, latency_ms=300)
    process = started(tmp_path, good(sandbox, concurrency=1))
    began = time.monotonic()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert time.monotonic() > began
    progress = [line for line in err.splitlines() if "of 2,500 contacts" in line]
    assert progress
    assert "requests a minute" in progress[-1]
    assert " left" in progress[-1]
    assert "2500 records of 2500 contacts" in err


def catalog_with(appcrm_sandbox, tmp_path, **entry):
    catalog = choose(discover(config_of(appcrm_sandbox)), "contacts")
    [contacts] = [each for each in catalog["streams"] if each["tap_stream_id"] == "contacts"]
    contacts.update(entry)
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps(catalog))
    return path


def test_the_key_goes_out_also_where_the_schema_of_the_catalog_lacks_it(tap, appcrm_sandbox, tmp_path):
    path = catalog_with(appcrm_sandbox, tmp_path, schema={"type": "object", "properties": {}})
    messages = [
        json.loads(line) for line in tap(config_of(appcrm_sandbox), "--catalog", path).out.splitlines()
    ]
    assert "id" in next(each for each in messages if each["type"] == "SCHEMA")["schema"]["properties"]
    ids = {each["record"]["id"] for each in messages if each["type"] == "RECORD"}
    assert ids == {row["id"] for row in appcrm_sandbox.contacts()}


@pytest.mark.parametrize("method", ["FULLTABLE", "full_table", "LOG_BASED"])
def test_a_replication_method_that_there_is_not_is_refused(tap, appcrm_sandbox, tmp_path, method):
    done = tap(
        config_of(appcrm_sandbox),
        "--catalog",
        catalog_with(appcrm_sandbox, tmp_path, replication_method=method),
    )
    assert done.code == 1
    assert "replication_method of contacts must be INCREMENTAL or FULL_TABLE" in done.err


def test_a_catalog_whose_properties_are_no_object_is_none(tap, appcrm_sandbox, tmp_path):
    path = catalog_with(appcrm_sandbox, tmp_path, schema={"type": "object", "properties": None})
    assert "is not a catalog in JSON" in tap(config_of(appcrm_sandbox), "--catalog", path).err
