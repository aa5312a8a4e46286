"""The extractor for receipts hands every line over once, and waits for a line that is still being written."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from appcrm.receipts import Receipt, ReceiptWriter, Run

TAP = Path(__file__).parents[2] / "examples" / "receipts" / "tap_receipts.py"
AT = "2026-06-01T08:00:00.000000Z"
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


def as_the_target_writes(run_id, *receipts, ended=True):
    """The lines of one run."""
    lines, run = [], Run(run_id, AT, "https://acme.example/api")
    writer = ReceiptWriter(lines.append, run)
    for each in receipts:
        writer.write(each)
    if ended:
        writer.end(replace(run, ended_at=AT, exit_code=0))
    return lines


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


def test_runs_and_receipts_go_out_under_their_own_keys_with_a_schema_each_time(tap, tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    lines = as_the_target_writes("r1", Receipt("contacts", "create", AT), Receipt("contacts", "update", AT))
    file.write_bytes(b"".join(lines[:4]))
    first = tap(file)
    assert [(m["type"], m.get("stream"), m.get("key_properties")) for m in first[:2]] == [
        ("SCHEMA", "appcrm_runs", ["run_id"]),
        ("SCHEMA", "appcrm_receipts", ["run_id", "n"]),
    ]
    # In the middle of a run, what follows is no use to a loader without its SCHEMA.
    file.write_bytes(b"".join(lines))
    second = tap(file)
    assert [m["stream"] for m in second if m["type"] == "SCHEMA"] == ["appcrm_runs", "appcrm_receipts"]
    records = [m["record"] for m in second if m["type"] == "RECORD"]
    assert [(r["run_id"], r.get("n"), r.get("ended_at")) for r in records] == [
        ("r1", 2, None),
        ("r1", None, AT),
    ]
    assert [m["type"] for m in tap(file)] == ["SCHEMA", "SCHEMA", "STATE"]


def test_a_state_of_before_runs_had_records_goes_on(tap, tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    write(file, SCHEMA, receipt("create"))
    old = {"bookmarks": {"files": {str(file): {"line": 2, "offset": file.stat().st_size}}}}
    (tmp_path / "state.json").write_text(json.dumps(old))
    with file.open("ab") as more:
        more.writelines(as_the_target_writes("r1", Receipt("contacts", "update", AT)))
    assert operations([m for m in tap(file) if m.get("stream") == "appcrm_receipts"]) == ["update"]
    assert [m["type"] for m in tap(file)] == ["SCHEMA", "SCHEMA", "STATE"]


def test_what_no_warehouse_text_can_hold_is_left_out(tap, tmp_path):
    file = tmp_path / "receipts.singer.jsonl"
    odd = Receipt("contacts", "update", AT, changes={"street": ["a\0b", "c\ud800d"]}, key={"email": "\0"})
    file.write_bytes(b"\xef\xbb\xbf" + b"".join(as_the_target_writes("r1", odd)))
    (found,) = [
        m["record"] for m in tap(file) if m.get("stream") == "appcrm_receipts" and m["type"] == "RECORD"
    ]
    assert found["changes"] == {"street": ["ab", "cd"]}
    assert found["key"] == {"email": ""}


def test_a_run_is_one_row_of_postgresql_though_its_start_and_end_come_in_one_batch(
    tap, into_postgres, postgres, tmp_path
):
    file = tmp_path / "receipts.singer.jsonl"
    update = Receipt(
        "contacts", "update", AT, key={"email": "a@x.example"}, changes={"city": ["Recife", "Natal"]}
    )
    reject = Receipt("contacts", "reject", AT, key={"email": "b@x.example"}, reason="taken", cause="taken")
    with file.open("ab") as lines:
        lines.writelines(as_the_target_writes("r1", update, reject))
        lines.writelines(as_the_target_writes("killed", update, ended=False))
        lines.writelines(as_the_target_writes("r2", update))
    into_postgres("".join(json.dumps(message) + "\n" for message in tap(file)))
    with postgres.connect() as connection:
        ask = lambda query: connection.execute(query).fetchall()  # noqa: E731  three of a kind
        runs = "SELECT run_id, ended_at IS NOT NULL, exit_code FROM appcrm.appcrm_runs ORDER BY run_id"
        assert ask(runs) == [("killed", False, None), ("r1", True, 0), ("r2", True, 0)]
        receipts = "SELECT run_id, n, operation FROM appcrm.appcrm_receipts ORDER BY run_id, n"
        rows = [("killed", 1, "update"), ("r1", 1, "update"), ("r1", 2, "reject"), ("r2", 1, "update")]
        assert ask(receipts) == rows
        assert len(ask((TAP.parent / "receipts.sql").read_text())) == 4

        # The end of a run that a later load brings takes the place of its start.
        with file.open("ab") as lines:
            lines.writelines(as_the_target_writes("killed", ended=True)[-1:])
        into_postgres("".join(json.dumps(message) + "\n" for message in tap(file)))
        assert ask(runs)[0] == ("killed", True, 0)
        assert ask(receipts) == rows
