import json
from datetime import datetime, timedelta, timezone

import pytest

from tap_appcrm.id_set import IdSet
from tap_appcrm.state import StateError, StreamState, is_still_refused
from tap_appcrm.tap import TapAppcrm

BOOKMARK = "2026-01-23T04:58:56.000000Z"
SEEN = IdSet(range(4, 10)).to_text()
POSITION = {"watermark": BOOKMARK, "total": 9, "max_id": 9, "below_id": 4, "rows_below": 3, "seen": SEEN}


@pytest.mark.parametrize(
    "value",
    ["2026-01-23T04:58:56Z", "2026-01-23T04:58:56+00:00", "2026-01-23 04:58:56", "2026-01-23T01:58:56-03:00"],
)
def test_a_bookmark_of_any_tap_on_the_sdk_is_understood(value):
    state = {
        "replication_key": "updated_at",
        "replication_key_value": value,
        "starting_replication_value": None,
    }
    assert StreamState.parse("contacts", state).bookmark == BOOKMARK


def test_what_is_written_is_what_is_read():
    state = {
        "replication_key": "updated_at",
        "replication_key_value": BOOKMARK,
        "appcrm": {
            "version": 1,
            "backfill": POSITION,
            "order_refused": {"until": BOOKMARK},
            "table_version": 7,
        },
    }
    assert StreamState.parse("contacts", json.loads(json.dumps(state))).dump()["appcrm"]["backfill"] == {
        **state["appcrm"]["backfill"],
    }


@pytest.mark.parametrize(
    "state",
    [
        [],
        {"replication_key": "id", "replication_key_value": 7},
        {"replication_key_value": "yesterday"},
        {"updated_at": BOOKMARK},
        {"last_id": 7, "replication_key": "updated_at", "replication_key_value": BOOKMARK},
        {"appcrm": {}},
        {"appcrm": {"version": 2}},
        {"appcrm": "?"},
        {"appcrm": {"version": 1, "surprise": 1}},
        {"appcrm": {"version": 1, "backfill": {"below_id": 1}}},
        {"appcrm": {"version": 1, "known_ids": "?"}},
    ],
)
def test_a_state_that_is_not_understood_is_an_error_that_says_what_to_do(state):
    with pytest.raises(StateError, match=r"stream contacts.*remove the stream from the state"):
        StreamState.parse("contacts", state)


def test_a_damaged_position_is_noticed_before_anything_is_read():
    broken = {"version": 1, "backfill": {**POSITION, "seen": "?"}}
    with pytest.raises(StateError):
        StreamState.parse("contacts", {"appcrm": broken})


@pytest.mark.parametrize("state", [{"contacts": 1}, {"bookmarks": []}, {"bookmarks": {"contacts": 3}}])
def test_a_state_of_another_shape_is_never_a_silent_full_read(state):
    with pytest.raises(StateError):
        TapAppcrm(
            config={"api_url": "http://127.0.0.1:9/api", "auth_token": "t"}, state=state, setup_mapper=False
        )


def test_an_empty_state_is_a_first_run():
    for state in ({}, {"bookmarks": {}}, None):
        tap = TapAppcrm(
            config={"api_url": "http://127.0.0.1:9/api", "auth_token": "t"}, state=state, setup_mapper=False
        )
        assert tap.state in ({}, {"bookmarks": {}})


@pytest.mark.parametrize(
    "own",
    [
        {"proven_total": 10**400},
        {"table_version": 10**30},
        {"order_refused": {"until": "zzz"}},
        {"trash_refused": {"until": ""}},
        {
            "backfill": {
                "watermark": None,
                "total": 1,
                "max_id": -1,
                "below_id": 1,
                "rows_below": 1,
                "seen": "",
            }
        },
    ],
)
def test_numbers_and_moments_that_no_run_writes_are_a_damaged_state(own):
    with pytest.raises(StateError, match="damaged"):
        StreamState.parse("contacts", {"appcrm": {"version": 1, **own}})


def test_a_refusal_remembered_by_a_clock_that_was_wrong_does_not_last():
    now, week = datetime(2026, 3, 1, tzinfo=timezone.utc), timedelta(days=7)
    assert is_still_refused("2026-03-08T00:00:00.000000Z", now, week)
    assert not is_still_refused("2026-02-28T00:00:00.000000Z", now, week)
    assert not is_still_refused("2099-01-01T00:00:00.000000Z", now, week)
