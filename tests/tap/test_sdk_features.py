"""What the SDK gives every tap keeps working: stream maps, flattening, BATCH, logs."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from running import choose, config_of, discover, run

TAP = [sys.executable, "-c", "from tap_appcrm.cli import main; main()"]


def test_stream_maps_change_names_and_values(appcrm_sandbox):
    maps = {
        "contacts": {
            "__alias__": "people",
            "id": "id",
            "email": "email.upper() if email else None",
            "__else__": None,
        }
    }
    output = run(config_of(appcrm_sandbox, stream_maps=maps))
    records = output.records("people")
    assert len(records) == 25
    assert set(records[0]) == {"id", "email"}
    assert all(record["email"] == record["email"].upper() for record in records if record["email"])
    assert output.of_type("SCHEMA", "people")


def test_a_filter_of_a_stream_map_leaves_records_out_and_the_bookmark_moves(appcrm_sandbox):
    maps = {"contacts": {"__filter__": "id < 6"}}
    output = run(config_of(appcrm_sandbox, stream_maps=maps))
    assert sorted(output.ids()) == [1, 2, 3, 4, 5]
    assert "replication_key_value" in output.state["bookmarks"]["contacts"]


def test_flattening_flattens(appcrm_sandbox):
    output = run(config_of(appcrm_sandbox, flattening_enabled=True, flattening_max_depth=1))
    record = output.records()[0]
    assert "user__name" in record
    assert "user" not in record
    assert len(output.records()) == 25


def test_batches_hold_every_contact_and_state_follows_them(appcrm_sandbox_factory, tmp_path):
    sandbox = appcrm_sandbox_factory(contacts=250)
    batch = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": f"file://{tmp_path}"},
        "batch_size": 120,
    }
    output = run(config_of(sandbox, batch_config=batch))
    rows = []
    for message in output.of_type("BATCH"):
        for url in message["manifest"]:
            with gzip.open(url.removeprefix("file://"), "rt", encoding="utf-8") as file:
                rows += [json.loads(line) for line in file]
    assert sorted(row["id"] for row in rows) == [row["id"] for row in sandbox.contacts()]
    assert len(output.of_type("BATCH")) == 3
    assert output.of_type("RECORD") == []
    assert output.messages[-1]["type"] == "STATE"
    assert set(rows[0]) == set(output.of_type("SCHEMA")[0]["schema"]["properties"])


def test_logs_can_be_structured(appcrm_sandbox, tmp_path):
    logs = tmp_path / "logs.yml"
    logs.write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"json": {"()": "singer_sdk.logging.StructuredFormatter"}},
                "handlers": {
                    "file": {
                        "class": "logging.FileHandler",
                        "filename": str(tmp_path / "log"),
                        "formatter": "json",
                    }
                },
                "root": {"level": "DEBUG", "handlers": ["file"]},
            }
        )
    )
    config = tmp_path / "config.json"
    config.write_text(json.dumps(config_of(appcrm_sandbox)))
    done = subprocess.run(
        [*TAP, "--config", str(config)],
        capture_output=True,
        text=True,
        env={**os.environ, "SINGER_SDK_LOG_CONFIG": str(logs), "TAP_APPCRM_LOGLEVEL": "DEBUG"},
        check=True,
    )
    lines = [json.loads(line) for line in Path(tmp_path / "log").read_text().splitlines()]
    assert any("25 records" in str(line["message"]) for line in lines)
    assert appcrm_sandbox.token not in done.stdout + done.stderr + (tmp_path / "log").read_text()


def test_about_tells_every_setting_and_marks_the_secret():
    done = subprocess.run([*TAP, "--about", "--format=json"], capture_output=True, text=True, check=True)
    about = json.loads(done.stdout)
    assert "auth_token" in about["settings"]["properties"]
    assert about["settings"]["properties"]["auth_token"]["secret"] is True
    assert {"state", "catalog", "discover", "batch", "stream-maps", "activate-version"} <= set(
        about["capabilities"]
    )


def wrongly_typed(config, **properties):
    """A catalog of contacts in which some properties have other types than the CRM's values."""
    catalog = choose(discover(config), "contacts")
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] == "contacts":
            entry["schema"]["properties"] |= properties
    return catalog


def test_values_that_do_not_fit_go_into_a_column_of_their_own_and_no_schema_changes(
    appcrm_sandbox_factory, caplog
):
    sandbox = appcrm_sandbox_factory(contacts=230)
    config = config_of(sandbox)
    output = run(config, catalog=wrongly_typed(config, city={"type": ["integer", "null"]}))
    [schema] = [message["schema"] for message in output.of_type("SCHEMA")]
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for record in output.records():
        validator.validate(record)
    expected = {row["id"]: row["city"] and {"city": row["city"]} for row in sandbox.contacts()}
    assert {record["id"]: record["_appcrm_misfits"] for record in output.records()} == expected
    assert {record["city"] for record in output.records()} == {None}
    count = sum(city is not None for city in expected.values())
    [warning] = [message for message in caplog.messages if "do not fit" in message]
    assert f"city ({count})" in warning
    assert not any(row["city"] and row["city"] in warning for row in sandbox.contacts())


def test_every_keyword_of_a_given_catalog_reaches_the_schema_message(appcrm_sandbox):
    config = config_of(appcrm_sandbox)
    given = {
        "type": "string",
        "x-sql-datatype": "text",
        "x-mine": {"a": 1},
        "$comment": "ours",
        "maxLength": 90,
    }
    output = run(config, catalog=wrongly_typed(config, city=given))
    [schema] = [message["schema"] for message in output.of_type("SCHEMA")]
    assert schema["properties"]["city"] == given | {"type": ["string", "null"]}


def test_characters_that_no_warehouse_can_hold_are_left_out_and_told_once(appcrm_sandbox, caplog):
    appcrm_sandbox.mutate(set={"3": {"street": "Rua\0 A", "city": "\0"}, "4": {"street": "B\0"}})
    output = run(config_of(appcrm_sandbox))
    streets = {record["id"]: record["street"] for record in output.records()}
    assert (streets[3], streets[4]) == ("Rua A", "B")
    [warning] = [message for message in caplog.messages if "no warehouse can hold" in message]
    assert "street (2), city (1)" in warning
    assert "\0" not in warning


def test_characters_that_no_warehouse_can_hold_are_left_out_of_mapped_records_too(appcrm_sandbox):
    appcrm_sandbox.mutate(set={"3": {"street": "Rua\0 A"}})
    output = run(config_of(appcrm_sandbox, stream_maps={"contacts": {"way": "street"}}))
    assert {record["id"]: record["way"] for record in output.records()}[3] == "Rua A"
