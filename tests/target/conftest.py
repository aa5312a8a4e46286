"""Runs target-appcrm as a user does, against a sandbox of its own."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

# Stands beside the tests, which are not a package.
sys.path.insert(0, str(Path(__file__).parent))

from imported_target import run_imported

TARGET = Path(sys.executable).parent / "target-appcrm"
TEXT = {"type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
IDS = {"type": ["array", "null"], "items": {"type": "integer"}}
SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": ["integer", "null"]},
        **dict.fromkeys(("first_name", "last_name", "email", "job_title", "city", "cf_text", "cf_key"), TEXT),
        "phones": {"type": ["array", "null"], "items": {"type": "object"}},
        "tags": {"type": ["array", "null"], "items": {"type": "string"}},
        **dict.fromkeys(("companies", "deals", "activities"), IDS),
        "cf_lifetime_value": NUMBER,
        "cf_last_order_at": {"type": ["string", "null"], "format": "date-time"},
        "cf_chinook_id": {"type": ["integer", "null"]},
        "_associations": {},
        "_sdc_deleted_at": TEXT,
    },
}


def person(number, **fields):
    return {
        "first_name": f"First{number}",
        "last_name": f"Last{number}",
        "email": f"person{number}@example.com",
        **fields,
    }


def singer(*records, stream="contacts", schema=SCHEMA, keys=("email",), state=None, version=None):
    """Return a stream as Singer lines: its SCHEMA, its records, and a state behind them."""
    versioned = {} if version is None else {"version": version}
    messages = [
        {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": list(keys)},
        *({"type": "RECORD", "stream": stream, "record": record, **versioned} for record in records),
    ]
    if version is not None:
        messages.append({"type": "ACTIVATE_VERSION", "stream": stream, "version": version})
    if state is not None:
        messages.append({"type": "STATE", "value": state})
    return "".join(json.dumps(message) + "\n" for message in messages)


@dataclass
class Ran:
    """What one run left."""

    code: int
    errors: str
    states: list
    receipts: list
    rejects: list
    rejects_path: Path
    requests: Counter
    runs: list

    @property
    def operations(self):
        return Counter(receipt["operation"] for receipt in self.receipts)


def records_of(path, stream=None):
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    messages = [json.loads(line) for line in lines]
    return [
        message["record"]
        for message in messages
        if message["type"] == "RECORD" and stream in (None, message["stream"])
    ]


@pytest.fixture
def command(tmp_path):
    """Write a configuration and return the command line."""

    def make(sandbox, **settings):
        config = {
            "api_url": sandbox.url,
            "auth_token": sandbox.token,
            "rejects_path": str(tmp_path / "rejects.singer.jsonl"),
            "max_tries": 4,
            "max_retry_wait": 1,
            **settings,
        }
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return [str(TARGET), "--config", str(path)]

    return make


@pytest.fixture
def run(command, tmp_path):
    """Run the target on lines; the sandbox's log begins anew."""

    def run(sandbox, lines, **settings):
        receipts = tmp_path / "receipts.singer.jsonl"
        receipts.unlink(missing_ok=True)
        rejects = tmp_path / "rejects.singer.jsonl"
        rejects.unlink(missing_ok=True)
        sandbox.reset_log()
        done = run_imported(
            command(sandbox, receipts_path=str(receipts), **settings)[1:],
            lines.encode("utf-8", "surrogatepass") if isinstance(lines, str) else lines,
            tmp_path,
            environment={**os.environ, "LOGLEVEL": "INFO"},
            timeout=200,
        )
        errors = done.stderr.decode()
        assert sandbox.token not in errors + done.stdout.decode()
        return Ran(
            code=done.returncode,
            errors=errors,
            states=[json.loads(line) for line in done.stdout.decode().splitlines()],
            receipts=records_of(receipts, "appcrm_receipts"),
            rejects=records_of(rejects),
            rejects_path=rejects,
            requests=Counter(sandbox.counts()["operations"]),
            runs=records_of(receipts, "appcrm_runs"),
        )

    return run


@pytest.fixture
def crm(appcrm_sandbox_factory):
    """A CRM without contacts."""
    return appcrm_sandbox_factory(contacts=0)


@pytest.fixture(name="person")
def make_person():
    """Return a maker of records: ``person(7, city="Recife")``."""
    return person


@pytest.fixture(name="singer")
def make_singer():
    """Return a maker of Singer lines: ``singer(record, …, state={…})``."""
    return singer
