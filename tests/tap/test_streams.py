"""Both streams against the sandbox: associations, deletes, FULL_TABLE, selection, receipts."""

import json
from urllib.parse import parse_qs

import pytest
from running import choose, config_of, discover, run

from appcrm.errors import ApiError, SettingsError


def operations(sandbox):
    return sandbox.counts()["operations"]


def prepared(factory, contacts=250, **switches):
    sandbox = factory(contacts=contacts, seed=4, **switches)
    config = config_of(sandbox)
    catalog = discover(config)
    sandbox.reset_log()
    return sandbox, config, catalog


def linked(sandbox):
    return {row["id"]: (row["companies"], row["deals"]) for row in sandbox.contacts()}


def associations(output):
    return {
        record["contact_id"]: (sorted(record["companies"]), sorted(record["deals"]))
        for record in output.records("contact_associations")
    }


# Associations


def test_where_rows_carry_associations_they_cost_no_request(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    output = run(config, catalog=choose(catalog, "contacts", "contact_associations"))
    assert associations(output) == linked(sandbox)
    assert operations(sandbox) == {"list": 5}
    assert {r["id"]: sorted(r["companies"]) for r in output.records()} == {
        contact_id: companies for contact_id, (companies, _) in linked(sandbox).items()
    }


def test_where_rows_do_not_carry_them_each_contact_costs_one_request(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, list_associations=False)
    both = choose(catalog, "contacts", "contact_associations")
    first = run(config, catalog=both)
    assert associations(first) == linked(sandbox)
    assert operations(sandbox) == {"list": 5, "retrieve": 250}
    sandbox.reset_log()
    sandbox.mutate(touch=[7, 8])
    second = run(config, catalog=both, state=first.state)
    assert {7, 8} <= set(second.ids("contact_associations"))
    assert operations(sandbox) == {"list": 1, "retrieve": len(second.ids("contact_associations"))}


def test_a_refused_with_is_done_without(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, list_associations=False)
    sandbox.faults({"operation": "list", "query": "with=", "status": 422})
    output = run(config, catalog=choose(catalog, "contacts", "contact_associations"))
    assert associations(output) == linked(sandbox)
    assert operations(sandbox) == {"list": 6, "retrieve": 250}


def test_associations_alone_are_read_by_themselves(appcrm_sandbox_factory):
    for carries in (True, False):
        sandbox, config, catalog = prepared(appcrm_sandbox_factory, list_associations=carries)
        output = run(config, catalog=choose(catalog, "contact_associations"))
        assert associations(output) == linked(sandbox)
        assert output.records("contacts") == []


def test_no_state_says_that_associations_are_done_before_they_were_emitted(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, list_associations=False)
    both = choose(catalog, "contacts", "contact_associations")
    sandbox.faults({"operation": "retrieve", "after": 120, "status": 403})
    first = run(config, catalog=both, fails=ApiError)
    assert first.error is not None
    assert "replication_key_value" in first.state["bookmarks"]["contacts"]
    assert "replication_key_value" not in first.state["bookmarks"].get("contact_associations", {})
    sandbox.clear_faults()
    sandbox.reset_log()
    second = run(config, catalog=both, state=first.state)
    assert associations(first) | associations(second) == linked(sandbox)


def test_an_interrupted_read_of_associations_goes_on(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, 1500, list_associations=False)
    both = choose(catalog, "contacts", "contact_associations")
    sandbox.faults({"operation": "retrieve", "after": 1200, "status": 403})
    first = run(config, catalog=both, fails=ApiError)
    sandbox.clear_faults()
    sandbox.reset_log()
    second = run(config, catalog=both, state=first.state)
    assert associations(first) | associations(second) == linked(sandbox)
    assert operations(sandbox)["retrieve"] < 1500 - 900


def test_a_contact_deleted_before_its_retrieve_is_skipped(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, 30, list_associations=False)
    sandbox.faults({"operation": "retrieve", "nth": 1, "mutate": {"delete": [5]}})
    output = run(config, catalog=choose(catalog, "contacts", "contact_associations"))
    assert output.ids("contact_associations").count(5) == 0
    assert len(output.ids("contact_associations")) == 29


def test_associations_alone_go_on_after_a_delete_where_deletes_are_told_of_contacts(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True}
    alone = choose(catalog, "contact_associations")
    state = run(config, catalog=alone).state
    sandbox.mutate(delete=[3])
    run(config, catalog=alone, state=state)


def test_without_a_catalog_associations_are_not_read(appcrm_sandbox):
    output = run(config_of(appcrm_sandbox))
    assert len(output.records()) == 25
    assert output.of_type("SCHEMA", "contact_associations") == []


# Deletes

NO_TRASH = {"operation": "trash", "status": 404}


def test_a_deleted_contact_becomes_a_tombstone_once(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True}
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    sandbox.reset_log()
    quiet = run(config, catalog=contacts, state=first.state)
    assert operations(sandbox) == {"list": 1}, "nothing gone costs nothing"
    sandbox.mutate(delete=[3, 140])
    second = run(config, catalog=contacts, state=quiet.state)
    gone = [record for record in second.records() if record["_sdc_deleted_at"]]
    assert sorted(record["id"] for record in gone) == [3, 140]
    assert {
        value for record in gone for key, value in record.items() if key not in ("id", "_sdc_deleted_at")
    } == {None}
    third = run(config, catalog=contacts, state=second.state)
    assert not [record for record in third.records() if record["_sdc_deleted_at"]]
    sandbox.mutate(restore=[3])
    fourth = run(config, catalog=contacts, state=third.state)
    assert {record["id"]: record["_sdc_deleted_at"] for record in fourth.records()}[3] is None


@pytest.mark.parametrize("status", [403, 500])
def test_only_a_404_is_a_delete(appcrm_sandbox_factory, status):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True, "max_tries": 1}
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    sandbox.mutate(delete=[3])
    sandbox.faults(NO_TRASH, {"operation": "retrieve", "status": status})
    second = run(config, catalog=contacts, state=first.state)
    assert not [record for record in second.records() if record["_sdc_deleted_at"]]


@pytest.mark.parametrize("status", [403, 500])
def test_a_contact_that_could_not_be_asked_for_is_asked_for_again_until_a_404(appcrm_sandbox_factory, status):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True, "max_tries": 1}
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    sandbox.mutate(delete=[3, 9])
    sandbox.faults(NO_TRASH, {"operation": "retrieve", "status": status})
    second = run(config, catalog=contacts, state=first.state)
    third = run(config, catalog=contacts, state=second.state)
    assert not [record for record in [*second.records(), *third.records()] if record["_sdc_deleted_at"]]
    sandbox.clear_faults()
    fourth = run(config, catalog=contacts, state=third.state)
    assert [record["id"] for record in fourth.records() if record["_sdc_deleted_at"]] == [3, 9]
    sandbox.reset_log()
    run(config, catalog=contacts, state=fourth.state)
    assert operations(sandbox) == {"list": 1}


def test_hidden_contacts_cost_no_more_than_a_few_requests_a_run(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True, "max_shrink": 100}
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    sandbox.mutate(hide=list(range(1, 101)))
    state = run(config, catalog=contacts, state=first.state).state
    sandbox.mutate(delete=[120])
    sandbox.faults(NO_TRASH)
    sandbox.reset_log()
    third = run(config, catalog=contacts, state=state)
    assert [record["id"] for record in third.records() if record["_sdc_deleted_at"]] == [120]
    assert operations(sandbox)["retrieve"] == 21
    sandbox.mutate(show=list(range(1, 101)))
    assert not [r for r in run(config, catalog=contacts, state=third.state).records() if r["_sdc_deleted_at"]]


def test_a_revoked_token_while_deletes_are_confirmed_stops_the_run(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True}
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    sandbox.mutate(delete=[3])
    sandbox.faults(NO_TRASH, {"operation": "retrieve", "status": 401})
    second = run(config, catalog=contacts, state=first.state, fails=ApiError)
    assert second.error is not None
    sandbox.clear_faults()
    third = run(config, catalog=contacts, state=second.state)
    assert [record["id"] for record in third.records() if record["_sdc_deleted_at"]] == [3]


def test_a_contact_that_becomes_visible_untouched_is_emitted(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    sandbox.mutate(hide=[9])
    config |= {"detect_deletes": True}
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    assert 9 not in first.ids()
    sandbox.mutate(show=[9])
    assert 9 in run(config, catalog=contacts, state=first.state).ids()


def test_a_bookmark_without_a_set_learns_it_once(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    config |= {"detect_deletes": True}
    second = run(config, catalog=contacts, state=first.state)
    sandbox.reset_log()
    run(config, catalog=contacts, state=second.state)
    assert operations(sandbox) == {"list": 1}


def test_a_contact_emitted_by_a_run_that_failed_becomes_a_tombstone_when_it_goes(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True, "max_tries": 1}
    contacts = choose(catalog, "contacts")
    state = run(config, catalog=contacts).state
    sandbox.mutate(insert=[{"first_name": f"Short-lived {number}"} for number in range(150)])
    sandbox.faults({"operation": "list", "after": 2, "status": 500})
    failed = run(config, catalog=contacts, state=state, fails=ApiError)
    created = max(failed.ids())
    assert created > 250
    bookmarks = [state["bookmarks"]["contacts"]["replication_key_value"] for state in (state, failed.state)]
    assert bookmarks[0] == bookmarks[1]
    sandbox.clear_faults()
    sandbox.mutate(delete=[created])
    third = run(config, catalog=contacts, state=failed.state)
    assert [record["id"] for record in third.records() if record["_sdc_deleted_at"]] == [created]


def test_deletes_cannot_be_told_without_their_property_and_nothing_is_asked(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True}
    contacts = choose(catalog, "contacts", only=["email"])
    with pytest.raises(SettingsError, match="_sdc_deleted_at"):
        run(config, catalog=contacts)
    assert sandbox.counts()["total"] == 0


# FULL_TABLE


def test_a_full_table_read_activates_its_version_at_the_end(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    full = choose(catalog, "contacts", method="FULL_TABLE")
    first = run(config, catalog=full)
    kinds = [message["type"] for message in first.messages]
    assert kinds.count("ACTIVATE_VERSION") == 1, (
        "whatever the warehouse holds, nothing goes before all is read"
    )
    assert kinds[-2:] == ["ACTIVATE_VERSION", "STATE"]
    version = first.of_type("ACTIVATE_VERSION")[-1]["version"]
    assert {message["version"] for message in first.of_type("RECORD")} == {version}
    sandbox.mutate(delete=[3])
    second = run(config, catalog=full, state=first.state)
    assert [message["type"] for message in second.messages].count("ACTIVATE_VERSION") == 1
    assert second.of_type("ACTIVATE_VERSION")[0]["version"] > version
    assert sorted(second.ids()) == sorted(linked(sandbox))


def test_a_full_table_read_that_fails_activates_nothing(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    full = choose(catalog, "contacts", method="FULL_TABLE")
    first = run(config, catalog=full)
    sandbox.faults({"operation": "list", "after": 2, "status": 403})
    second = run(config, catalog=full, state=first.state, fails=ApiError)
    assert second.of_type("ACTIVATE_VERSION") == []


def test_an_incremental_read_goes_on_where_a_full_one_ended(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    first = run(config, catalog=choose(catalog, "contacts", method="FULL_TABLE"))
    sandbox.reset_log()
    run(config, catalog=choose(catalog, "contacts", method="INCREMENTAL"), state=first.state)
    assert operations(sandbox) == {"list": 1}


# Selection


def test_deselected_fields_are_neither_asked_for_nor_written(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    output = run(config, catalog=choose(catalog, "contacts", only=["email", "cf_newsletter"]))
    assert {tuple(record) for record in output.records()} == {
        ("id", "email", "updated_at", "cf_newsletter", "_appcrm_misfits")
    }
    assert output.of_type("SCHEMA")[0]["schema"]["properties"].keys() == output.records()[0].keys()
    assert {_select(request) for request in sandbox.log("list")} == {
        "id;first_name;user_id;updated_at;email;cf_newsletter"
    }


@pytest.mark.parametrize("status", [400, 403, 422, 500])
def test_a_refused_select_is_done_without(appcrm_sandbox_factory, status):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    sandbox.faults({"operation": "list", "query": "select=", "status": status})
    output = run(config, catalog=choose(catalog, "contacts", only=["email"]))
    assert sorted(output.ids()) == sorted(linked(sandbox))
    assert set(output.records()[0]) == {"id", "updated_at", "email", "_appcrm_misfits"}
    assert len(sandbox.log()) <= 8 + (status == 500)
    assert "order_refused" not in output.state["bookmarks"]["contacts"]["appcrm"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_scan_of_ids_does_without_a_refused_select(appcrm_sandbox_factory, status):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    config |= {"detect_deletes": True}
    contacts = choose(catalog, "contacts")
    first = run(config, catalog=contacts)
    sandbox.faults({"operation": "list", "query": "select=", "status": status})
    sandbox.mutate(delete=[3])
    second = run(config, catalog=contacts, state=first.state)
    assert [record["id"] for record in second.records() if record["_sdc_deleted_at"]] == [3]


@pytest.mark.parametrize("only", [["email", "tags"], ["email", "display_name"], ["email", "cf_interests"]])
def test_relations_and_computed_fields_are_asked_for_with_everything(appcrm_sandbox_factory, only):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    output = run(config, catalog=choose(catalog, "contacts", only=only))
    assert set(output.records()[0]) == {"id", "updated_at", "_appcrm_misfits", *only}
    assert {_select(request) for request in sandbox.log("list")} == {None}


def _select(request):
    return parse_qs(request["query"]).get("select", [None])[0]


def test_a_field_that_appears_later_is_told_by_name_and_found_by_the_next_discovery(
    appcrm_sandbox_factory, caplog
):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    sandbox.declare_field("cf_new_one", "text")
    run(config, catalog=choose(catalog, "contacts"))
    assert "cf_new_one" in caplog.text
    found = {entry["tap_stream_id"]: entry for entry in discover(config)["streams"]}
    assert "cf_new_one" in found["contacts"]["schema"]["properties"]


def test_pages_are_sampled_by_discovery_only(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, contacts=90)
    run(config, catalog=choose(catalog, "contacts"))
    assert operations(sandbox) == {"list": 1}
    sandbox.reset_log()
    discover(config | {"custom_fields_sample_pages": 0})
    assert sandbox.counts()["total"] == 0


# Receipts


def test_the_receipt_tells_each_stream(appcrm_sandbox_factory, tmp_path):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    path = tmp_path / "deep" / "receipt.jsonl"
    config |= {"receipt_path": str(path)}
    both = choose(catalog, "contacts", "contact_associations")
    output = run(config, catalog=both)
    receipts = [json.loads(line) for line in path.read_text().splitlines()]
    assert [receipt["stream"] for receipt in receipts] == ["contacts", "contact_associations"]
    contacts = receipts[0]
    assert list(contacts) == [
        "stream", "mode", "started_at", "ended_at", "requests", "records", "distinct_ids", "total", "complete",
        "repaired", "bookmark_before", "bookmark_after",
    ]  # fmt: skip
    assert (contacts["mode"], contacts["records"], contacts["distinct_ids"], contacts["total"]) == (
        "backfill",
        250,
        250,
        250,
    )
    assert contacts["complete"] is True
    assert contacts["requests"] == sandbox.counts()["total"]
    bookmark = output.state["bookmarks"]["contacts"]["replication_key_value"]
    assert (contacts["bookmark_before"], contacts["bookmark_after"]) == (None, bookmark)


def test_the_receipt_of_a_failed_run_says_so(appcrm_sandbox_factory, tmp_path):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    path = tmp_path / "receipts" / "receipt.jsonl"
    sandbox.faults({"operation": "list", "after": 2, "status": 403})
    run(config | {"receipt_path": str(path)}, catalog=choose(catalog, "contacts"), fails=ApiError)
    receipt = json.loads(path.read_text())
    assert (receipt["complete"], receipt["bookmark_after"]) == (False, None)
    assert list(path.parent.iterdir()) == [path], "no half-written file is left"


def test_a_query_narrows_what_is_read(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    wanted = sandbox.contact(7)["email"]
    output = run(config | {"query": wanted, "search_fields": "email:="}, catalog=choose(catalog, "contacts"))
    assert output.ids() == [7]


@pytest.mark.parametrize("before", ["incremental", "full table", "nothing"])
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"reset": "before_commit"}])
def test_no_version_is_activated_by_a_read_that_fails_whatever_the_state_says(
    appcrm_sandbox_factory, before, fault
):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory)
    method = {"incremental": "INCREMENTAL", "full table": "FULL_TABLE"}.get(before)
    state = run(config, catalog=choose(catalog, "contacts", method=method)).state if method else None
    sandbox.faults({"operation": "list", "after": 1, **fault})
    full = choose(catalog, "contacts", method="FULL_TABLE")
    failed = run(config | {"max_tries": 1}, catalog=full, state=state, fails=ApiError)
    assert failed.error is not None
    assert failed.of_type("ACTIVATE_VERSION") == []
    sandbox.clear_faults()
    again = run(config, catalog=full, state=failed.state)
    versions = {message["version"] for message in again.of_type("RECORD")}
    assert not versions & {message["version"] for message in failed.of_type("RECORD")}
    assert sorted(again.ids()) == sorted(linked(sandbox)), "it began anew"
    assert [message["version"] for message in again.of_type("ACTIVATE_VERSION")] == sorted(versions)


@pytest.mark.parametrize("version", ["1.1", "1.5", "1.6", "1.7"])
def test_deletes_are_found_by_the_trash_or_by_a_scan_in_every_version(appcrm_sandbox_factory, version):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, app_version=version)
    config |= {"detect_deletes": True}
    contacts = choose(catalog, "contacts")
    state = run(config, catalog=contacts).state
    sandbox.reset_log()
    state = run(config, catalog=contacts, state=state).state
    assert operations(sandbox) == {"list": 1}, "nothing gone costs nothing"
    sandbox.mutate(delete=[3, 9, 140])
    sandbox.reset_log()
    second = run(config, catalog=contacts, state=state)
    assert sorted(r["id"] for r in second.records() if r["_sdc_deleted_at"]) == [3, 9, 140]
    if operations(sandbox).get("trash"):
        assert operations(sandbox) == {"list": 1, "trash": 1}


@pytest.mark.parametrize("version", ["1.1", "1.5", "1.6", "1.7"])
def test_the_budgets_of_requests_hold_in_every_version(appcrm_sandbox_factory, version):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, 450, app_version=version)
    sandbox.advance_clock(3600)
    for only in (None, ["email"]):
        contacts = choose(catalog, "contacts", only=only)
        sandbox.reset_log()
        state = run(config, catalog=contacts).state
        assert sandbox.counts()["total"] <= 5 + 4
        sandbox.reset_log()
        state = run(config, catalog=contacts, state=state).state
        assert operations(sandbox) == {"list": 1}
        for contact_id in range(1, 151):
            sandbox.advance_clock(1)
            sandbox.mutate(touch=[contact_id])
        sandbox.reset_log()
        assert set(run(config, catalog=contacts, state=state).ids()) >= set(range(1, 151))
        assert sandbox.counts()["total"] <= 4 + 2


def test_a_server_that_ignores_page_with_one_contact_is_read_in_a_few_requests(appcrm_sandbox_factory):
    sandbox, config, catalog = prepared(appcrm_sandbox_factory, 1, envelope="unpaged")
    assert run(config, catalog=choose(catalog, "contacts")).ids() == [1]
    assert sandbox.counts()["total"] <= 20
