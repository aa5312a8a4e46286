"""How many requests the connectors may take: the API allows about 90 a minute, so every one more is a minute lost."""

import json
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest

TAP = Path(sys.executable).parent / "tap-appcrm"
TARGET = Path(sys.executable).parent / "target-appcrm"
CONTACTS = 1_050
PAGES = ceil(CONTACTS / 100)
# To find 200 new records and 50 changed ones. Where addresses cannot be searched for by the hundred (no `in` in 1.1,
# for ids alone in 1.7), reading these eleven pages is cheapest, or filters for some thirty, and one to prove them.
LOOKUPS_OF_NEW = {"1.1": PAGES + 1, "1.5": 4, "1.6": 4, "1.7": PAGES + 1}
LOOKUPS_OF_CHANGED = {"1.1": PAGES + 1, "1.5": 2, "1.6": 2, "1.7": 4}
SENT = ("first_name", "last_name", "email", "job_title")


@pytest.fixture(params=["1.1", "1.5", "1.6", "1.7"])
def version(request):
    return request.param


@pytest.fixture
def crm(version, appcrm_sandbox_factory):
    return appcrm_sandbox_factory(contacts=CONTACTS, seed=4, app_version=version)


@pytest.fixture
def config(crm, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"api_url": crm.url, "auth_token": crm.token}))
    return path


class Reader:
    """Runs the tap as a user does, with the catalog and the state of its last run."""

    def __init__(self, crm, config, folder):
        self._crm = crm
        self._command = [TAP, "--config", config]
        catalog = folder / "catalog.json"
        catalog.write_text(self._run("--discover"))
        self._command += ["--catalog", catalog]
        self._state = folder / "state.json"

    def _run(self, *options):
        done = subprocess.run([*self._command, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self):
        """Return how many records came and how many requests that took."""
        self._crm.reset_log()
        messages = [
            json.loads(line)
            for line in self._run(*(["--state", self._state] if self._state.exists() else [])).splitlines()
        ]
        self._state.write_text(json.dumps([m for m in messages if m["type"] == "STATE"][-1]["value"]))
        return sum(m["type"] == "RECORD" for m in messages), self._crm.counts()["total"]


@pytest.fixture
def reader(crm, config, tmp_path):
    # What is seeded ends at the present, so that what is touched from here on is later than all of it.
    crm.advance_clock(3600)
    return Reader(crm, config, tmp_path)


def test_a_first_read_takes_its_pages_and_four_requests_at_most(reader):
    records, requests = reader.read()
    assert records >= CONTACTS
    assert requests <= PAGES + 4


def test_a_night_without_changes_takes_one_request_to_read(reader):
    reader.read()
    assert reader.read()[1] == 1


@pytest.mark.parametrize("changed", [1, 11, 50, 350])
def test_a_night_takes_the_pages_of_what_changed_and_two_requests_at_most(crm, reader, changed):
    reader.read()
    for row in crm.contacts()[:changed]:
        # Each at a second of its own: ties in unstable order cost a sweep besides.
        crm.advance_clock(1)
        crm.mutate(touch=[row["id"]])
    records, requests = reader.read()
    assert records >= changed
    assert requests <= (1 if changed < 100 else ceil(changed / 100) + 2)


def write(crm, config, records):
    """Write records; return the requests by operation."""
    schema = {"type": "object", "properties": {name: {"type": ["string", "null"]} for name in SENT}}
    head = {"type": "SCHEMA", "stream": "contacts", "schema": schema, "key_properties": ["email"]}
    lines = [head, *({"type": "RECORD", "stream": "contacts", "record": record} for record in records)]
    crm.reset_log()
    done = subprocess.run(
        [TARGET, "--config", config],
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return crm.counts()["operations"]


def known(crm):
    """Return what the CRM holds as the source would send it."""
    return [{name: row[name] for name in SENT} for row in crm.contacts() if row["email"]]


def test_new_contacts_take_one_request_each_and_few_to_look_them_up(crm, config, version):
    new = [{"first_name": f"N{n}", "email": f"new{n}@example.org"} for n in range(200)]
    operations = write(crm, config, new)
    assert operations.pop("create") == len(new)
    assert sum(operations.values()) <= LOOKUPS_OF_NEW[version]


def test_writing_what_the_crm_holds_already_takes_no_more_than_reading_it_once(crm, config):
    operations = write(crm, config, known(crm))
    assert operations.keys() <= {"list", "search"}
    assert sum(operations.values()) <= PAGES + 1


def test_a_night_of_one_percent_takes_a_fiftieth_of_a_search_and_a_write_for_each_record(crm, config):
    records = known(crm)
    for record in records[:: ceil(len(records) / 10)]:
        record["job_title"] = "Moved up"
    operations = write(crm, config, records)
    assert operations["update"] == len(records[:: ceil(len(records) / 10)])
    assert sum(operations.values()) <= 2 * len(records) / 50


def test_the_changed_records_alone_take_an_update_each_and_few_look_ups(crm, config, version):
    records = [record | {"job_title": "Moved up"} for record in known(crm)[:50]]
    operations = write(crm, config, records)
    assert operations.pop("update") == len(records)
    assert sum(operations.values()) <= LOOKUPS_OF_CHANGED[version]
