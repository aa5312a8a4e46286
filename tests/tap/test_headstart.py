"""Requests that are sent while the SDK is imported: the same ones, of a run that will certainly send them."""

import copy
import json
import subprocess
import sys
import time

import pytest
from running import choose, config_of, written_by

from tap_appcrm.headstart import HeadStart, plan_of
from tap_appcrm.source.thread_pool import Terminated
from tap_appcrm.tap import TapAppcrm

CONTACTS = 250
PAGE_SIZE = 10
EARLY_REQUESTS = 1 + CONTACTS // PAGE_SIZE
"""The newest page and all pages by id; the newest page once more comes when all was emitted."""

MAIN = "from tap_appcrm.start import main; main()"
LATE = "from tap_appcrm.tap import TapAppcrm; TapAppcrm.cli()"
# The import of the SDK waits until the sandbox was asked so many times.
LATE_IMPORT = """
import builtins, json, sys, time, urllib.request

origin, count = sys.argv[1:3]
del sys.argv[1:3]
at_once = builtins.__import__

def late(name, *rest, **named):
    if name == "singer_sdk" and builtins.__import__ is late:
        builtins.__import__ = at_once
        for _ in range(3000):
            with urllib.request.urlopen(origin + "/__log/counts") as answer:
                if json.load(answer)["total"] >= int(count):
                    break
            time.sleep(0.01)
        else:
            sys.exit("nothing was sent before the import")
    return at_once(name, *rest, **named)

builtins.__import__ = late
from tap_appcrm.start import main
main()
"""


@pytest.fixture
def crm(appcrm_sandbox_factory):
    return appcrm_sandbox_factory(contacts=CONTACTS, seed=3)


class Files:
    """The files of a command, which a test may change before it asks for the command."""

    def __init__(self, crm, folder):
        self.config = config_of(crm, page_size=PAGE_SIZE)
        self.state = {}
        tap = TapAppcrm(config=self.config)
        self.catalog = json.loads(json.dumps(tap.catalog_dict))
        self._folder = folder

    def arguments(self):
        words = []
        for name in ("config", "catalog", "state"):
            path = self._folder / f"{name}.json"
            path.write_text(json.dumps(getattr(self, name)))
            words += [f"--{name}", str(path)]
        return words

    def entry(self, stream):
        return next(entry for entry in self.catalog["streams"] if entry["tap_stream_id"] == stream)

    def metadata(self, stream, *breadcrumb):
        return next(
            item["metadata"]
            for item in self.entry(stream)["metadata"]
            if item["breadcrumb"] == list(breadcrumb)
        )


@pytest.fixture
def files(crm, tmp_path):
    made = Files(crm, tmp_path)
    crm.reset_log()
    return made


def ran(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def messages(text):
    found = [json.loads(line) for line in text.splitlines()]
    for message in found:
        message.pop("time_extracted", None)
    return found


def asked(crm):
    return sorted(entry["query"] for entry in crm.log())


def begun(files):
    """A head start whose requests have all been answered."""
    plan = plan_of(files.arguments())
    assert plan is not None
    head_start = HeadStart(plan)
    head_start.begin()
    for _ in range(3000):
        if head_start.client.requests_sent == EARLY_REQUESTS:
            return head_start
        time.sleep(0.01)
    pytest.fail(f"{head_start.client.requests_sent} requests were sent")


def read(files, head_start=None, **changes):
    """Run a tap on the files, with some of them changed, and return what it wrote."""
    tap = TapAppcrm(
        config=copy.deepcopy(changes.get("config", files.config)),
        catalog=copy.deepcopy(changes.get("catalog", files.catalog)),
        state=copy.deepcopy(changes.get("state", files.state)),
    )
    if head_start is not None:
        tap.take_over(head_start)
    return written_by(lambda: tap)


def test_pages_come_while_the_sdk_is_imported_and_the_output_is_the_same(crm, files):
    early = ran(LATE_IMPORT, crm.origin, str(EARLY_REQUESTS), *files.arguments())
    asked_early = asked(crm)
    crm.reset_log()
    late = ran(LATE, *files.arguments())
    assert messages(early.stdout) == messages(late.stdout)
    assert asked_early == asked(crm)
    assert f"{CONTACTS} in the CRM, {EARLY_REQUESTS + 1} requests" in early.stderr


def test_a_run_without_changes_stays_at_one_request(crm, files):
    crm.advance_clock(3600)
    files.state = read(files).state
    crm.reset_log()
    early = ran(LATE_IMPORT, crm.origin, "1", *files.arguments())
    assert crm.counts()["total"] == 1
    assert messages(early.stdout) == messages(ran(LATE, *files.arguments()).stdout)


def test_an_interrupted_backfill_goes_on_where_it_was(crm, files):
    whole = messages(ran(LATE, *files.arguments()).stdout)
    states = [message["value"] for message in whole if message["type"] == "STATE"]
    files.state = states[len(states) // 2 - 1]
    crm.reset_log()
    late = messages(ran(LATE, *files.arguments()).stdout)
    asked_late = asked(crm)
    assert 0 < sum(message["type"] == "RECORD" for message in late) < CONTACTS
    crm.reset_log()
    early = ran(LATE_IMPORT, crm.origin, str(len(asked_late) - 1), *files.arguments())
    assert messages(early.stdout) == late
    assert asked(crm) == asked_late


def test_a_failure_before_the_import_is_told_like_any_other(crm, files):
    crm.faults({"operation": "list", "nth": 1, "status": 503})
    files.config["max_retry_wait"] = 1
    done = ran(LATE_IMPORT, crm.origin, str(EARLY_REQUESTS), *files.arguments())
    told = [line for line in done.stderr.splitlines() if "trying again" in line]
    assert len(told) == 1
    assert "status 503" in told[0]
    assert "| INFO " in told[0]
    assert len(messages(done.stdout)) > CONTACTS


def test_a_refusal_before_the_import_ends_the_run_in_one_sentence(crm, files):
    files.config["auth_token"] = "wrong"
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *files.arguments()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Check auth_token" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert crm.counts()["total"] == 1


# What does not begin early


def wrong(key, value):
    return lambda files: files.config.update({key: value})


def selected(stream, *breadcrumb, is_selected):
    return lambda files: files.metadata(stream, *breadcrumb).update(selected=is_selected)


NOT_PLAIN = {
    "a setting of the wrong type": wrong("page_size", "10"),
    "a setting that is no number": wrong("page_size", True),  # noqa: FBT003  a value
    "a setting too small": wrong("page_size", 0),
    "a setting too large": wrong("page_size", 101),
    "a setting of no such choice": wrong("search_match", "nor"),
    "a date that is none": wrong("start_date", "soon"),
    "an address in the clear": wrong("api_url", "http://crm.example.com/api"),
    "a token that is no text": wrong("auth_token", 7),
    "a custom field that is no schema": wrong("custom_fields", {"cf_a": 1}),
    "a setting that nobody knows": wrong("page_sise", 10),
    "stream maps": wrong("stream_maps", {"contacts": {"a": "id"}}),
    "flattening": wrong("flattening_enabled", True),  # noqa: FBT003  a value
    "batches": wrong("batch_config", {}),
    "contacts not selected": selected("contacts", is_selected=False),
    "a property not selected": selected("contacts", "properties", "email", is_selected=False),
    "associations too": selected("contact_associations", is_selected=True),
    "everything in each run": lambda files: files.entry("contacts").update(replication_method="FULL_TABLE"),
    "no such stream": lambda files: files.entry("contacts").update(tap_stream_id="people"),
    "a catalog that is none": lambda files: setattr(files, "catalog", []),
    "a state that is none": lambda files: setattr(files, "state", {"contacts": {}}),
    "a bookmark that is none": lambda files: setattr(
        files, "state", {"bookmarks": {"contacts": {"replication_key_value": "soon"}}}
    ),
    "a bookmark of the other stream that is none": lambda files: setattr(
        files, "state", {"bookmarks": {"contact_associations": {"replication_key_value": "soon"}}}
    ),
}


@pytest.mark.parametrize("change", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain_or_not_right_sends_nothing_early(files, change):
    assert plan_of(files.arguments()) is not None
    change(files)
    assert plan_of(files.arguments()) is None


OTHER_COMMANDS = {
    "discovery": lambda words: [*words, "--discover"],
    "the test": lambda words: [*words, "--test"],
    "no catalog": lambda words: words[:2] + words[4:],
    "no settings": lambda words: words[2:],
    "settings twice": lambda words: [*words, *words[:2]],
    "settings of the environment": lambda words: ["--config=ENV", *words[2:]],
    "a file that is not there": lambda words: [*words[:-1], words[-1] + ".gone"],
    "a value that is missing": lambda words: words[:-1],
    "a file behind a pipe": lambda words: [*words[:-1], "/dev/stdin"],
}


@pytest.mark.parametrize("change", OTHER_COMMANDS.values(), ids=OTHER_COMMANDS)
def test_other_commands_send_nothing_early(files, change):
    assert plan_of(change(files.arguments())) is None


def test_an_option_may_hold_its_file_behind_an_equals_sign(files):
    words = files.arguments()
    joined = [f"{option}={path}" for option, path in zip(words[::2], words[1::2], strict=True)]
    assert plan_of(joined) == plan_of(words)


# Where the tap finds that it would read something else


def test_the_tap_goes_on_with_the_reading_that_has_begun(crm, files):
    output = read(files, begun(files))
    assert sorted(output.ids()) == [contact["id"] for contact in crm.contacts()]
    assert crm.counts()["total"] == EARLY_REQUESTS + 1


OLD_BOOKMARK = {"replication_key": "updated_at", "replication_key_value": "2000-01-01T00:00:00.000000Z"}
CHANGES = {
    "settings": lambda files: {"config": {**files.config, "page_size": PAGE_SIZE + 1}},
    "limit": lambda files: {"config": {**files.config, "requests_per_minute": 6_000}},
    "state": lambda files: {"state": {**files.state, "bookmarks": {"contacts": OLD_BOOKMARK}}},
    "selection": lambda files: {"catalog": choose(files.catalog, "contacts", only=("id", "email"))},
    "stream map": lambda files: {"config": {**files.config, "stream_maps": {"contacts": {"x": "id"}}}},
    "another stream": lambda files: {"catalog": choose(files.catalog, "contacts", "contact_associations")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_tap_that_would_read_something_else_begins_its_own_reading(crm, files, caplog, change):
    head_start = begun(files)
    caplog.set_level("INFO")
    output = read(files, head_start, **change(files))
    assert sorted(output.ids()) == [contact["id"] for contact in crm.contacts()]
    assert f"{EARLY_REQUESTS} requests were sent early and are not used" in caplog.text


def test_a_reading_that_is_abandoned_sends_no_more(crm, files):
    crm.settings(latency_ms=50)
    plan = plan_of(files.arguments())
    head_start = HeadStart(plan)
    head_start.begin()
    head_start.abandon()
    with pytest.raises(Terminated):
        next(iter(head_start.reading.steps()))
    assert head_start.client.requests_sent <= 1
