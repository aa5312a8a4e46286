"""The extractor for receipts hands every line over once, and waits for a line that is still being written."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

TAP = Path(__file__).parents[2] / "examples" / "receipts" / "tap_receipts.py"
SCHEMA = {
    "type": "SCHEMA",
    "stream": "appcrm_receipts",
    "schema": {"properties": {"at": {"type": "string"}, "operation": {"type": "string"}}},
    "key_properties": [],
}


def receipt(operation):
    return {
        "type": "RECORD",
        "stream": "appcrm_receipts",
        "record": {"at": "2026-01-01", "operation": operation},
    }


def write(path, *messages, mode="a"):
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(json.dumps(message) + "\n" for message in messages)


@pytest.fixture
def tap(tmp_path):
    """`tap(pattern)`: its messages; each call goes on from the state of the one before."""
    state = tmp_path / "state.json"
    state.write_text("{}")

    def run(pattern):
        command = [str(TAP), "--config", json.dumps({"path": str(pattern)}), "--state", str(state)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        for message in messages:
            if message["type"] == "STATE":
                state.write_text(json.dumps(message["value"]))
        return messages

    return run


def operations(messages):
    return [message["record"]["operation"] for message in messages if message["type"] == "RECORD"]


def test_each_line_is_handed_over_once_with_its_origin_as_key(tap, tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    write(file, SCHEMA, receipt("create"), receipt("update"))
    first = tap(file)
    assert operations(first) == ["create", "update"]
    assert first[0]["key_properties"] == ["_sdc_source_file", "_sdc_source_line", "at"]
    assert first[1]["record"]["_sdc_source_file"] == "receipts.singer.jsonl"
    assert [m["record"]["_sdc_source_line"] for m in first if m["type"] == "RECORD"] == [2, 3]
    assert operations(tap(file)) == []

    write(file, SCHEMA, receipt("delete"))
    second = tap(file)
    assert second[0]["type"] == "SCHEMA"
    assert operations(second) == ["delete"]
    assert [m["record"]["_sdc_source_line"] for m in second if m["type"] == "RECORD"] == [5]


def test_a_line_that_is_still_being_written_waits_for_the_next_run(tap, tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    write(file, SCHEMA, receipt("create"))
    text = json.dumps(receipt("update"))
    with file.open("a", encoding="utf-8") as half:
        half.write(text[:20])
    assert operations(tap(file)) == ["create"]
    with file.open("a", encoding="utf-8") as rest:
        rest.write(text[20:] + "\n")
    assert operations(tap(file)) == ["update"]


def test_the_half_line_of_a_killed_run_is_passed_over_and_nothing_else_is(tap, tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    write(file, SCHEMA, receipt("create"))
    with file.open("a", encoding="utf-8") as half:
        half.write(json.dumps(receipt("update"))[:30] + "\n")
    write(file, SCHEMA, receipt("delete"))
    assert operations(tap(file)) == ["create", "delete"]
    assert operations(tap(file)) == []


def test_a_new_file_under_an_old_name_is_read_from_its_start(tap, tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    write(file, SCHEMA, receipt("create"), receipt("create"), receipt("create"))
    tap(file)
    write(file, SCHEMA, receipt("update"), mode="w")
    assert operations(tap(file)) == ["update"]


def test_a_pattern_reads_every_file_and_none_is_no_failure(tap, tmp_path):
    assert tap(tmp_path / "*.singer.jsonl") == []
    write(tmp_path / "a.singer.jsonl", SCHEMA, receipt("create"))
    write(tmp_path / "b.singer.jsonl", SCHEMA, receipt("update"))
    assert operations(tap(tmp_path / "*.singer.jsonl")) == ["create", "update"]


def test_a_line_that_is_no_message_ends_the_run_with_its_place(tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    file.write_text('{"type": "SCHEMA"\n')
    command = [str(TAP), "--config", json.dumps({"path": str(file)})]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert f"{file}, line 1: no Singer message" in done.stderr
    assert "Traceback" not in done.stderr
