"""What the ids of a contact mean: companies, deals, activities, users, sources, stages."""

import json

import pytest
from jsonschema import Draft202012Validator
from running import choose, config_of, discover, run, written_by

from appcrm.errors import ServerFault
from tap_appcrm.replication.shrink import ShrunkTooMuch
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


EMPTY = {"data": [], "meta": {"current_page": 1, "last_page": 1, "per_page": 100, "total": 0}}


def fired(sandbox):
    return [rule["fired"] for rule in sandbox.control("GET", "/__control/faults")]


def test_one_empty_answer_marks_no_user_as_gone(appcrm_sandbox):
    config = config_of(appcrm_sandbox)
    catalog = choose(discover(config), "users")
    first = run(config, catalog=catalog)
    appcrm_sandbox.faults({"path": "/users", "nth": 1, "status": 200, "body": EMPTY})
    second = run(config, catalog=catalog, state=first.state)
    assert fired(appcrm_sandbox) == [1]
    assert second.records("users") == first.records("users")


def test_a_list_that_stays_empty_ends_with_an_error_before_any_version_is_activated(appcrm_sandbox):
    config = config_of(appcrm_sandbox, max_shrink=0)
    catalog = choose(discover(config), "users")
    first = run(config, catalog=catalog)
    appcrm_sandbox.faults({"path": "/users", "status": 200, "body": EMPTY})
    second = run(config, catalog=catalog, state=first.state, fails=ShrunkTooMuch)
    assert isinstance(second.error, ShrunkTooMuch)
    assert second.of_type("ACTIVATE_VERSION") == []


# Custom fields

LISTED = {
    "attribute": "cf_segment",
    "type": "Select",
    "label": "Segment",
    "options": [{"id": 7, "name": "A"}],
}


def discovered(config, capsys):
    TapAppcrm(config=config, setup_mapper=False).run_discovery()
    return json.loads(capsys.readouterr().out)


def schema_of(catalog, stream):
    return next(entry["schema"] for entry in catalog["streams"] if entry["tap_stream_id"] == stream)


@pytest.mark.parametrize("stream", ["companies", "deals"])
def test_custom_fields_of_a_neighbour_come_from_its_own_list(appcrm_sandbox, capsys, stream):
    path = f"/{stream}/index-fields"
    appcrm_sandbox.faults({"path": path, "status": 200, "body": [LISTED]})
    catalog = discovered(config_of(appcrm_sandbox), capsys)
    found = schema_of(catalog, stream)["properties"]["cf_segment"]
    assert found["type"] == ["integer", "null"]
    assert found["x-appcrm-options"] == [{"id": 7, "label": "A"}]
    [schema] = run(config_of(appcrm_sandbox), catalog=choose(catalog, stream)).of_type("SCHEMA", stream)
    assert "cf_segment" in schema["schema"]["properties"]


def test_a_run_asks_for_no_fields_of_neighbours_and_with_a_catalog_for_none(appcrm_sandbox, capsys):
    config = config_of(appcrm_sandbox)
    catalog = discovered(config, capsys)
    appcrm_sandbox.reset_log()
    run(config)
    assert [entry["path"] for entry in appcrm_sandbox.log("fields")] == ["/contacts/index-fields"]
    appcrm_sandbox.reset_log()
    run(config, catalog=choose(catalog, "companies", "deals"))
    assert appcrm_sandbox.log("fields") == []


def test_a_list_of_fields_that_is_refused_leaves_the_reviewed_schema(appcrm_sandbox, capsys):
    appcrm_sandbox.faults({"path": "/(companies|deals)/index-fields", "status": 404})
    catalog = discovered(config_of(appcrm_sandbox), capsys)
    for stream in ("companies", "deals"):
        assert schema_of(catalog, stream)["properties"].keys() >= {"id", "name", "updated_at"}


# Deletes, resume and FULL_TABLE of a neighbour


def gone(sandbox, stream, row_id):
    tap = TapAppcrm(config=config_of(sandbox), setup_mapper=False)
    tap.client.session.request("delete", "DELETE", f"/{stream}/{row_id}")


def tombstones(output, stream):
    return [record["id"] for record in output.records(stream) if record["_sdc_deleted_at"]]


@pytest.mark.parametrize("has_trash", [True, False])
def test_a_company_that_is_gone_becomes_a_tombstone_by_its_trash_or_by_the_sweep(
    appcrm_sandbox_factory, has_trash
):
    sandbox = appcrm_sandbox_factory(contacts=300)
    config = config_of(sandbox, detect_deletes=True, page_size=10)
    catalog = choose(discover(config), "companies")
    first = run(config, catalog=catalog)
    [lost, *_] = sorted(record["id"] for record in first.records("companies"))
    gone(sandbox, "companies", lost)
    if not has_trash:
        sandbox.faults({"path": "/trashed/companies", "status": 404})
    sandbox.reset_log()
    second = run(config, catalog=catalog, state=first.state)
    assert tombstones(second, "companies") == [lost]
    assert any("/trashed/companies" in entry["path"] for entry in sandbox.log())
    assert tombstones(run(config, catalog=catalog, state=second.state), "companies") == []


def test_a_first_load_of_a_neighbour_that_broke_off_goes_on_where_it_stood(appcrm_sandbox_factory):
    sandbox = appcrm_sandbox_factory(contacts=300)
    config = config_of(sandbox, page_size=1, max_tries=1, concurrency=1)
    catalog = choose(discover(config), "companies")
    sandbox.faults({"path": "/companies", "after": 8, "status": 500})
    broken = run(config, catalog=catalog, fails=ServerFault)
    assert isinstance(broken.error, ServerFault)
    sandbox.clear_faults()
    rest = run(config, catalog=catalog, state=broken.state)
    whole = {record["id"] for record in run(config, catalog=catalog).records("companies")}
    before = {record["id"] for record in broken.records("companies")}
    assert before
    assert before | {record["id"] for record in rest.records("companies")} == whole
    assert len(before) < len(whole)
    held = broken.state["bookmarks"]["companies"]["appcrm"]["backfill"]
    assert held["rows_below"] == len(whole) - len(before)


def test_a_full_table_read_of_a_neighbour_activates_its_version_behind_its_last_record(appcrm_sandbox):
    config = config_of(appcrm_sandbox)
    catalog = choose(discover(config), "companies", method="FULL_TABLE")
    output = run(config, catalog=catalog)
    kinds = [message["type"] for message in output.messages if message["type"] != "STATE"]
    assert kinds.count("ACTIVATE_VERSION") == 1
    assert kinds[-1] == "ACTIVATE_VERSION"
    [version] = {message["version"] for message in output.messages if "version" in message}
    assert version > 0
    appcrm_sandbox.faults({"path": "/companies", "after": 1, "status": 500})
    broken = run(
        config_of(appcrm_sandbox, max_tries=1, page_size=2),
        catalog=catalog,
        state=output.state,
        fails=ServerFault,
    )
    assert broken.of_type("ACTIVATE_VERSION") == []
