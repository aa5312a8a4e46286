"""What the ids of a contact mean: companies, deals, activities, users, sources, stages."""

import json

import pytest
from jsonschema import Draft202012Validator
from running import choose, config_of, discover, run, written_by

from tap_appcrm.tap import StreamsFailed, TapAppcrm

MOVING = ("companies", "deals", "activities")
SMALL = ("users", "sources", "pipeline_stages")


def test_neighbours_are_not_selected_by_default(appcrm_sandbox):
    output = run(config_of(appcrm_sandbox))
    assert {message["stream"] for message in output.of_type("SCHEMA")} == {"contacts"}


@pytest.mark.parametrize("stream", MOVING)
def test_a_neighbour_is_read_whole_and_then_by_what_changed(appcrm_sandbox_factory, tmp_path, stream):
    sandbox = appcrm_sandbox_factory(contacts=300)
    path = tmp_path / "receipt"
    config = config_of(sandbox, receipt_path=str(path), query="ana", start_date="2026-01-01")
    catalog = choose(discover(config_of(sandbox)), stream)
    first = run(config, catalog=catalog)
    receipt = json.loads(path.read_text())
    assert receipt["complete"] is True
    assert receipt["distinct_ids"] == receipt["total"] == len(first.records(stream)) > 5
    [schema] = first.of_type("SCHEMA", stream)
    validator = Draft202012Validator(schema["schema"])
    for record in first.records(stream):
        validator.validate(record)
        assert record["_appcrm_misfits"] is None
    sandbox.reset_log()
    second = run(config, catalog=catalog, state=first.state)
    assert sandbox.counts()["total"] == 1
    assert second.state["bookmarks"][stream] == first.state["bookmarks"][stream]


@pytest.mark.parametrize("stream", SMALL)
def test_a_small_list_is_read_whole_each_time_and_its_version_activated_behind_it(appcrm_sandbox, stream):
    config = config_of(appcrm_sandbox)
    catalog = choose(discover(config), stream)
    first = run(config, catalog=catalog)
    assert len({record["id"] for record in first.records(stream)}) == len(first.records(stream)) > 1
    kinds = [message["type"] for message in first.messages]
    assert kinds[-2:] == ["ACTIVATE_VERSION", "STATE"]
    assert kinds.count("ACTIVATE_VERSION") == 1
    second = run(config, catalog=catalog, state=first.state)
    assert second.records(stream) == first.records(stream)


def test_a_stream_that_the_token_may_not_see_fails_alone_and_the_exit_code_says_so(appcrm_sandbox):
    config = config_of(appcrm_sandbox)
    catalog = choose(discover(config), "contacts", "companies", "users")
    appcrm_sandbox.faults({"path": "/companies", "status": 403})
    output = written_by(lambda: TapAppcrm(config=config, catalog=catalog), fails=StreamsFailed, command=True)
    assert isinstance(output.error, StreamsFailed)
    assert "stream companies was not read" in str(output.error)
    assert len(output.records("contacts")) == 25
    assert len(output.records("users")) > 1
    assert output.records("companies") == []
    assert "replication_key_value" not in output.state["bookmarks"].get("companies", {})


def test_one_empty_answer_marks_no_user_as_gone(appcrm_sandbox):
    config = config_of(appcrm_sandbox)
    catalog = choose(discover(config), "users")
    first = run(config, catalog=catalog)
    empty = {"data": [], "meta": {"current_page": 1, "last_page": 1, "per_page": 100, "total": 0}}
    appcrm_sandbox.faults({"path": "/users", "nth": 1, "status": 200, "body": json.dumps(empty)})
    second = run(config, catalog=catalog, state=first.state)
    assert second.records("users") == first.records("users")
