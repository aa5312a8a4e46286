"""The command line itself: what cannot be read is one sentence, and nothing is sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = Path(sys.executable).parent / "target-appcrm"


def ended(*arguments, lines="", **environment):
    done = subprocess.run(
        [str(TARGET), *map(str, arguments)],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("content", ['{"api_url":', "", "[1]", "7", None])
def test_a_configuration_that_is_no_json_object_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    assert f"--config: {path} cannot be read as a JSON object" in ended("--config", path)
    assert "cannot be read as a JSON object" in ended("--config", tmp_path)


@pytest.mark.parametrize(
    ("setting", "value", "kind"),
    [("CONCURRENCY", "ten", "integer"), ("STREAM_MAPS", "{bad", "object"), ("MAX_TRIES", "", "integer")],
)
def test_a_variable_that_cannot_be_read_is_named_without_its_value(setting, value, kind):
    last = ended(
        "--config=ENV",
        TARGET_APPCRM_API_URL="http://127.0.0.1:9/api",
        TARGET_APPCRM_AUTH_TOKEN="t0ken",
        **{f"TARGET_APPCRM_{setting}": value},
    )
    assert f"TARGET_APPCRM_{setting} cannot be read" in last
    assert f"must be of type {kind}" in last
    assert not value or value not in last


def test_an_address_that_is_not_the_apis_names_the_setting(crm, command, person, singer):
    arguments = command(crm, api_url=crm.origin + "/crm")[1:]
    assert "Check api_url" in ended(*arguments, lines=singer(person(1)))


def test_a_reader_of_states_that_is_gone_ends_the_run_in_one_sentence(crm, command, person, singer):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command(crm),
        input=singer(person(1), state={"at": 1}),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "a state cannot be written to standard output (Broken pipe)" in done.stderr
    assert [contact["first_name"] for contact in crm.contacts()] == [person(1)["first_name"]]


# --test


def tested(crm, tmp_path, **given):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"api_url": crm.url, "auth_token": crm.token, **given}))
    return subprocess.run(
        [str(TARGET), "--config", str(path), "--test"],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )


def test_the_account_is_told_and_nothing_is_written_neither_contact_nor_file(crm, tmp_path):
    before, files = crm.contacts(trashed=True), {*tmp_path.iterdir()}
    done = tested(crm, tmp_path, receipts_path="receipts.jsonl", rejects_path="rejects.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    for part in ("Address", "Token", "Rate limit", "Fields list", "Trash", "Writing 1000 contacts"):
        assert part in done.stderr
    assert f"it may see {len(crm.contacts())} contacts" in done.stderr.splitlines()[-1]
    assert crm.contacts(trashed=True) == before
    assert {path.name for path in {*tmp_path.iterdir()} - files} <= {"config.json"}
    assert {entry["method"] for entry in crm.log()} == {"GET"}


def test_a_wrong_token_or_setting_is_one_sentence_and_exit_code_1(crm, tmp_path):
    done = tested(crm, tmp_path, auth_token="wr0ng")
    assert done.returncode == 1
    assert "The address is good, the token is not" in done.stderr.splitlines()[-1]
    assert "wr0ng" not in done.stderr
    done = tested(crm, tmp_path, dryrun=True)
    assert done.returncode == 1
    assert "dry_run" in done.stderr.splitlines()[-1]
