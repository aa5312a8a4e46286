"""The walks against a CRM in memory: what they ask for, what they emit, and where the bookmark ends."""

import itertools
import json
import math
import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from fake_crm import EPOCH, FakeCrm, InlineWorkers, Killed
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from appcrm.contact import format_timestamp
from appcrm.errors import BadRequest, ServerFault, Unauthenticated
from tap_appcrm.replication.backfill import Checkpoint
from tap_appcrm.replication.id_scan import scan_ids
from tap_appcrm.replication.read_context import IncompleteRead, ReadContext, Rows
from tap_appcrm.replication.replication import Replication
from tap_appcrm.replication.ties import TieGroup, TieSearch
from tap_appcrm.settings import TapSettings
from tap_appcrm.state import Backfill, StateError, StreamState


class Told:
    """What one run of the walks handed out and left behind."""

    def __init__(self, reading):
        self.reading = reading
        self.ids = []
        self.stamps = []

    @property
    def context(self):
        return self.reading.context

    @property
    def state(self):
        return self.reading.state


def read(crm, state=None, *, workers=None, full_table=False, now=None, stop_after=None, **config):
    config.setdefault("lookback_seconds", 0)
    settings = TapSettings.from_config({"page_size": crm.page_size, **config})
    crm.requests.clear()
    state = StreamState.parse("contacts", json.loads(json.dumps(state.dump()))) if state else StreamState()
    crm.workers = workers or InlineWorkers()
    reading = Replication(
        ReadContext("contacts", crm, crm.page_size),
        settings,
        state,
        full_table=full_table,
        now=now or (lambda: crm.now),
    )
    told = Told(reading)
    for step in reading.steps():
        if isinstance(step, Rows):
            told.ids += step.ids
            told.stamps += step.stamps
        elif isinstance(step, Checkpoint) and stop_after is not None and len(told.ids) >= stop_after:
            reading.save()
            break
    return told


def crm_with(contacts, *, page_size=10, seconds_apart=1):
    crm = FakeCrm(page_size=page_size)
    for _ in range(contacts):
        crm.insert()
        crm.tick(seconds_apart)
    crm.tick(100)
    return crm


def settled(crm):
    """The state after a complete read."""
    return read(crm).state


# Requests


def test_nothing_changed_is_one_request():
    crm = crm_with(95)
    told = read(crm, settled(crm))
    assert len(crm.requests) == 1
    assert told.ids == [95], "the bookmark is inclusive"


def test_a_table_of_one_page_is_one_request():
    crm = crm_with(9)
    assert sorted(read(crm).ids) == list(range(1, 10))
    assert len(crm.requests) == 1


def test_a_table_that_fills_a_page_to_the_brim_is_one_request_more_and_only_the_first_time():
    crm = crm_with(10)
    state = settled(crm)
    assert len(crm.requests) == 2
    read(crm, state)
    assert len(crm.requests) == 1


def test_an_empty_crm_is_asked_twice_and_leaves_no_bookmark():
    crm = FakeCrm()
    assert read(crm).state.bookmark is None
    assert len(crm.requests) == 2


@given(total=st.integers(1, 120), changed=st.integers(0, 120), page_size=st.integers(2, 12))
@budget(deadline=None, max_examples=150)
def test_changes_cost_their_pages_and_two_more_requests_at_most(total, changed, page_size):
    crm = crm_with(total, page_size=page_size)
    state = settled(crm)
    crm.tick(100)
    for contact_id in range(1, min(changed, total) + 1):
        crm.touch(contact_id)
        crm.tick(1)
    told = read(crm, state)
    expected = set(range(1, min(changed, total) + 1))
    assert expected <= set(told.ids)
    fits = len(expected) + 1 < page_size or total < page_size
    assert len(crm.requests) <= (1 if fits else math.ceil(len(set(told.ids)) / page_size) + 2)


@given(total=st.integers(1, 120), page_size=st.integers(2, 12), concurrency=st.integers(1, 8))
@budget(deadline=None, max_examples=100)
def test_a_backfill_costs_its_pages_and_four_more_requests_at_most_and_emits_each_contact_once(
    total, page_size, concurrency
):
    crm = crm_with(total, page_size=page_size)
    told = read(crm, workers=InlineWorkers(concurrency))
    assert sorted(told.ids) == list(range(1, total + 1))
    assert len(crm.requests) <= math.ceil(total / page_size) + 4
    assert len(told.context.seen) == told.context.total == total


@given(
    total=st.integers(1, 60),
    page_size=st.integers(1, 12),
    lookback=st.sampled_from([0, 5, 60]),
    seconds_apart=st.integers(1, 20),
)
@budget(deadline=None, max_examples=100)
def test_neither_the_lookback_nor_small_pages_cost_a_quiet_backfill_more(
    total, page_size, lookback, seconds_apart
):
    crm = crm_with(total, page_size=page_size, seconds_apart=seconds_apart)
    told = read(crm, lookback_seconds=lookback)
    assert sorted(told.ids) == list(range(1, total + 1))
    assert len(crm.requests) <= math.ceil(total / page_size) + 4


def test_a_backfill_during_which_contacts_change_reads_the_lookback_before_its_watermark():
    crm = crm_with(20, page_size=5, seconds_apart=10)
    late = format_timestamp(EPOCH + timedelta(seconds=180))

    def before_request():
        if len(crm.requests) == 3:
            crm.alive[20] |= {"updated_at": late, "revision": 1}
            crm.touch(1)

    crm.before_request = before_request
    told = read(crm, lookback_seconds=60)
    assert (20, late) in zip(told.ids, told.stamps, strict=True)


# Completeness


def test_a_delete_between_pages_in_flight_is_made_good():
    crm = crm_with(956, page_size=100)

    def delete_early():
        if len(crm.requests) == 4:
            for contact_id in (1, 2):
                crm.delete(contact_id)
            crm.before_request = lambda: None

    crm.before_request = delete_early
    # Pages in flight are carried out from left to right: each row that moves left moves past its reader.
    told = read(crm, workers=InlineWorkers(8, lambda count: count - 1))
    assert set(crm.alive) <= set(told.ids)
    assert told.context.repaired == 2, "two contacts had slipped through"
    assert len(told.context.seen) == told.context.total == 954


def test_a_contact_restored_while_another_slips_through_does_not_hide_it():
    crm = crm_with(12, page_size=3)
    crm.delete(11)

    def before_request():
        if len(crm.requests) == 3:  # pages 4 and 2 by id are read, page 3 is asked for
            crm.delete(4)
            crm.restore(11)

    crm.before_request = before_request
    told = read(crm, workers=InlineWorkers(2, pick=lambda count: count - 1))
    assert set(told.ids) >= set(crm.alive)


def happens(crm, events):
    """Let things happen before the request with that number is served."""

    def before_request():
        for event in events.get(len(crm.requests), ()):
            event()

    crm.before_request = before_request


def test_a_count_that_fell_after_the_last_page_by_id_is_noticed():
    crm = crm_with(13, page_size=3)
    crm.delete(2)
    happens(crm, {4: [lambda: crm.restore(2)], 5: [lambda: crm.delete(12)]})
    told = read(crm, workers=InlineWorkers(1))
    # Page 1 by id was read after 2 came back: the contact that this pushed to page 2 slipped through, and 12, read
    # and gone, fills its gap in every count but that of page 1.
    assert set(told.ids) >= set(crm.alive)


def test_a_count_that_fell_while_a_read_was_interrupted_is_noticed():
    crm = crm_with(13, page_size=3)
    crm.delete(2)
    happens(crm, {4: [lambda: crm.restore(2)]})
    first = read(crm, workers=InlineWorkers(1), stop_after=12)
    crm.before_request = lambda: None
    crm.delete(12)
    second = read(crm, first.state)
    assert set(first.ids) | set(second.ids) >= set(crm.alive)


def test_a_scan_sees_a_contact_that_went_back_and_forth_over_the_boundary_it_looks_at():
    crm = crm_with(13, page_size=3)
    crm.delete(2)
    # 10 moves to the page that was read, and back, while that page is looked at again, to the one that was read last.
    happens(crm, {1: [lambda: crm.restore(2)], 2: [lambda: crm.delete(1), crm.insert]})
    run = ReadContext("contacts", crm, 3)
    run.total = 12
    found = scan_ids(run, lambda *_: False)
    assert set(found.ids) >= set(crm.alive) - {14}


def test_rows_that_come_into_one_tie_do_not_stand_in_for_those_of_another():
    search = TieSearch({"b": TieGroup("b", ids={5, 6}, shown=3), "a": TieGroup("a", ids={1}, shown=2)})
    assert search.wants(7, "b")
    assert search.wants(8, "b")
    assert not search.has_all()
    assert not search.wants(1, "a")
    assert search.wants(2, "a")
    assert search.has_all()


@pytest.mark.parametrize(("page_size", "a_request"), [(2, 1), (5, 1), (10, 4)])
def test_an_import_that_does_not_end_does_not_keep_a_read_from_ending(page_size, a_request):
    crm = crm_with(30, page_size=page_size)
    crm.delete(3)

    def before_request():
        for _ in range(a_request):
            crm.insert()
        if len(crm.requests) == 5:
            crm.restore(3)  # so that ids have to be swept
        assert len(crm.requests) < 2000

    crm.before_request = before_request
    there = set(crm.alive)
    with suppress(IncompleteRead):
        assert there <= set(read(crm).ids)


def test_rows_that_tie_in_unstable_order_are_all_found():
    for seed in range(20):
        crm = crm_with(40, page_size=5)
        state = settled(crm)
        for contact_id in range(1, 31):
            crm.touch(contact_id)
        chance = random.Random(seed)  # noqa: S311  not for secrets
        crm.shuffle = lambda ids, chance=chance: chance.sample(ids, len(ids))
        assert set(range(1, 31)) <= set(read(crm, state).ids)


def test_a_tie_that_fits_into_one_page_is_read_again_at_once():
    crm = crm_with(60, page_size=10)
    state = settled(crm)
    for contact_id in range(1, 17):
        crm.touch(contact_id)
        crm.tick(0 if 7 <= contact_id <= 10 else 1)
    turn = []

    def shuffle(ids):
        turn.append(1)
        return ids if len(turn) % 2 else ids[::-1]

    crm.shuffle = shuffle
    told = read(crm, state)
    assert set(range(1, 17)) <= set(told.ids)
    assert not [request for request in crm.requests if request[0] == "ids"], "no scan for so little"


def test_a_server_whose_count_is_wrong_is_unproven_and_the_bookmark_stays():
    crm = crm_with(30)
    honest = crm.shown
    crm.shown = lambda *a: _with_total(honest(*a), 33)
    state = StreamState()
    run = ReadContext("contacts", crm, 10)
    reading = Replication(run, TapSettings.from_config({"page_size": 10}), state)
    with pytest.raises(IncompleteRead, match="stream contacts"):
        list(reading.steps())
    assert state.bookmark is None


@pytest.mark.parametrize("counted", [1, 10, 20, 70])
@pytest.mark.parametrize("contacts", [71, 80])
def test_a_count_that_is_too_low_hides_nothing_in_silence(contacts, counted):
    crm = crm_with(contacts, page_size=10)
    honest = crm.shown

    def stale(*asked):
        page = honest(*asked)
        shown = max(counted, len(page.ids))
        return replace(page, total=shown, last_page=-(-shown // 10))

    crm.shown = stale
    with pytest.raises(IncompleteRead):
        read(crm)
    mark = format_timestamp(EPOCH + timedelta(seconds=contacts - 35))
    told = read(crm, StreamState.parse("contacts", {"replication_key_value": mark}))
    assert sorted(told.ids) == list(range(contacts - 34, contacts + 1))


def test_a_count_of_one_full_page_hides_nothing_in_silence_from_a_scan_by_id():
    crm = crm_with(45, page_size=10)
    crm.refuses_order = REFUSALS[0]
    honest = crm.shown

    def stale(*asked):
        page = honest(*asked)
        return replace(page, total=10, last_page=1)

    crm.shown = stale
    with pytest.raises(IncompleteRead):
        read(crm)


def test_a_server_that_knows_no_pages_and_counts_one_full_page_is_believed():
    crm = crm_with(10)
    honest = crm.shown
    crm.shown = lambda order, number, size: replace(honest(order, 1, size), number=number)
    assert sorted(read(crm).ids) == list(range(1, 11))
    assert len(crm.requests) == 2


def _with_total(page, total):
    return replace(page, total=total)


# Bookmarks


def test_the_bookmark_is_the_newest_change_of_the_first_page():
    crm = crm_with(25)
    state = settled(crm)
    crm.touch(3)
    moment = crm.alive[3]["updated_at"]

    def touch_later():
        if len(crm.requests) == 1:
            crm.tick(50)
            crm.touch(4)

    for contact_id in range(5, 20):
        crm.touch(contact_id)
    crm.before_request = touch_later
    assert read(crm, state).state.bookmark == moment


def test_the_lookback_reads_again_and_leaves_the_bookmark_true():
    crm = crm_with(95)
    state = settled(crm)
    told = read(crm, state, lookback_seconds=5)
    assert told.ids == [90, 91, 92, 93, 94, 95]
    assert told.state.bookmark == state.bookmark


def test_a_bookmark_never_moves_back():
    crm = crm_with(20)
    state = settled(crm)
    before = state.bookmark
    for contact_id in range(11, 21):
        crm.delete(contact_id)
    assert read(crm, state).state.bookmark == before


def test_a_contact_dated_far_in_the_future_is_read_and_does_not_poison_the_bookmark(caplog):
    crm = crm_with(25)
    state = settled(crm)
    crm.alive[7]["updated_at"] = "2999-01-01T00:00:00.000000Z"
    told = read(crm, state)
    assert 7 in told.ids
    assert told.state.bookmark == state.bookmark
    assert "Row 7" in caplog.text


@pytest.mark.parametrize("refused", [False, True])
def test_a_bookmark_that_no_contact_will_reach_for_days_is_an_error_that_says_what_to_do(refused):
    crm = crm_with(25)
    crm.refuses_order = REFUSALS[0] if refused else None
    ahead = {"replication_key_value": format_timestamp(crm.now + timedelta(days=3, hours=1))}
    said = r"stream contacts.* 3 days past .*bookmarks\.contacts\.replication_key_value"
    with pytest.raises(StateError, match=said):
        read(crm, StreamState.parse("contacts", ahead))
    assert len(crm.requests) == (3 if refused else 1), "no more than such a run takes anyway"


def test_a_bookmark_a_few_hours_past_the_servers_clock_is_taken():
    crm = crm_with(25)
    ahead = {"replication_key_value": format_timestamp(crm.now + timedelta(hours=20))}
    assert read(crm, StreamState.parse("contacts", ahead)).ids == []


def test_a_bookmark_that_a_contact_reaches_is_taken_whatever_the_servers_clock_says():
    crm = crm_with(25)
    state = settled(crm)
    crm.now = EPOCH - timedelta(days=400)
    assert read(crm, state).ids == [25]


def test_a_page_that_is_all_in_the_future_is_trusted():
    crm = crm_with(25)
    crm.now = EPOCH - timedelta(days=400)
    assert read(crm).state.bookmark == format_timestamp(EPOCH + timedelta(seconds=24))


def test_a_contact_without_updated_at_is_emitted_and_leaves_the_bookmark():
    crm = crm_with(9)
    crm.alive[4]["updated_at"] = None
    crm.shown = _nulls_first(crm)
    told = read(crm)
    assert sorted(told.ids) == list(range(1, 10))
    assert told.state.bookmark == crm.alive[9]["updated_at"]


def _nulls_first(crm):
    honest = FakeCrm.shown

    def page(order, number, size):
        for row in crm.alive.values():
            row["updated_at"] = row["updated_at"] or ""
        found = honest(crm, order, number, size)
        return replace(found, stamps=[stamp or None for stamp in found.stamps])

    return page


# Start date


def test_contacts_older_than_the_start_date_are_left_out():
    crm = crm_with(95)
    start = crm.alive[41]["updated_at"]
    told = read(crm, start_date=start)
    assert sorted(told.ids) == list(range(41, 96))
    assert told.state.bookmark == crm.alive[95]["updated_at"]


def test_a_late_start_date_costs_one_request():
    crm = crm_with(95)
    assert read(crm, start_date=crm.alive[92]["updated_at"]).ids == [92, 93, 94, 95]
    assert len(crm.requests) == 1


def test_an_early_start_date_is_read_by_id_which_can_go_on_after_a_crash():
    crm = crm_with(400)
    told = read(crm, start_date=crm.alive[10]["updated_at"])
    assert sorted(told.ids) == list(range(10, 401))
    assert {request[1] for request in crm.requests} == {"id", "updated_at", "updated_at|desc"}


# Order refused


REFUSALS = [
    BadRequest("status 400", operation="list", path="/contacts", status=400),
    ServerFault("status 500", operation="list", path="/contacts", status=500),
]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_where_the_order_is_refused_all_is_read_by_id_and_it_is_remembered(refusal, caplog):
    crm = crm_with(35)
    crm.refuses_order = refusal
    told = read(crm)
    assert sorted(told.ids) == list(range(1, 36))
    assert [request[1] for request in crm.requests].count("updated_at|desc") == 1
    crm.touch(3)
    again = read(crm, told.state)
    assert 3 in again.ids
    assert {request[1] for request in crm.requests} == {"id"}, "the server was not asked again"
    assert caplog.text.count("refuses order=updated_at") == 1
    later = crm.now + timedelta(days=8)
    crm.refuses_order = None
    assert read(crm, again.state, now=lambda: later).state.order_refused_until is None


def test_a_scan_by_id_leaves_the_bookmark_where_it_began():
    crm = crm_with(35)
    crm.refuses_order = REFUSALS[0]
    began = crm.now

    def touch():
        crm.tick(10)
        crm.touch(35 if 35 in crm.alive else 1)

    crm.before_request = touch
    assert read(crm).state.bookmark <= format_timestamp(began + timedelta(seconds=30))


def test_a_bad_token_is_no_refused_order():
    crm = crm_with(5)
    crm.refuses_order = Unauthenticated("status 401", operation="list", path="/contacts", status=401)
    with pytest.raises(Unauthenticated):
        read(crm)
    assert len(crm.requests) == 1


def test_an_order_that_is_not_followed_counts_as_refused():
    crm = crm_with(35)
    honest = crm.shown
    crm.shown = lambda _order, number, size: honest("id", number, size)
    assert sorted(read(crm).ids) == list(range(1, 36))


# Servers that lie


def test_a_page_size_that_is_not_honoured_loses_nothing():
    crm = crm_with(95, page_size=10)
    crm.honoured_page_size = 4
    told = read(crm)
    assert sorted(told.ids) == list(range(1, 96))


def test_a_page_size_that_is_neither_honoured_nor_told_loses_nothing():
    crm = crm_with(95, page_size=10)
    honest = crm.shown
    crm.shown = lambda order, number, _size: replace(honest(order, number, 4), per_page=None, last_page=None)
    assert sorted(read(crm).ids) == list(range(1, 96))


def test_a_page_size_that_is_told_wrong_loses_nothing():
    crm = crm_with(95, page_size=10)
    honest = crm.shown
    crm.shown = lambda order, number, _size: replace(honest(order, number, 4), per_page=10, last_page=10)
    assert sorted(read(crm).ids) == list(range(1, 96))


def test_without_any_counts_the_last_page_is_found_and_a_second_look_at_all_ids_is_the_proof():
    crm = crm_with(95)
    crm.tells_totals = False
    assert sorted(read(crm).ids) == list(range(1, 96))
    assert [request for request in crm.requests if request[0] == "ids"]


def test_a_server_that_knows_no_pages_is_read_once():
    crm = crm_with(9)
    crm.tells_totals = False
    honest = crm.shown
    crm.shown = lambda order, number, _size: replace(honest(order, 1, 99), number=number)
    assert sorted(read(crm).ids) == list(range(1, 10))


def test_a_server_without_counts_that_sends_the_same_full_page_again_and_again_is_not_believed():
    crm = crm_with(9, page_size=3)
    crm.tells_totals = False
    honest = crm.shown
    crm.shown = lambda order, _number, size: replace(honest(order, 1, size), number=_number)
    with pytest.raises(IncompleteRead, match="4 rows were read, and the server does not say"):
        read(crm)


# Going on after a crash


def test_an_interrupted_backfill_goes_on_and_reads_little_again():
    crm = crm_with(2000, page_size=100)
    first = read(crm, stop_after=1000)
    second = read(crm, first.state)
    assert set(first.ids) | set(second.ids) == set(range(1, 2001))
    assert len(first.ids) + len(second.ids) <= 2000 + 300
    assert len(crm.requests) <= 10 + 4


def test_where_all_share_one_second_an_interrupted_backfill_goes_on_and_emits_little_again():
    crm = crm_with(500, page_size=20, seconds_apart=0)
    chance = random.Random(1)  # noqa: S311  not for secrets
    crm.shuffle = lambda ids: chance.sample(ids, len(ids))
    first = read(crm, stop_after=240)
    crm.touch(400)
    second = read(crm, first.state)
    assert set(first.ids) | set(second.ids) == set(range(1, 501))
    assert len(first.ids) + len(second.ids) <= 500 + 1
    assert (400, crm.alive[400]["updated_at"]) in zip(second.ids, second.stamps, strict=True)


def test_checkpoints_go_on_while_the_changes_since_a_backfill_are_read():
    crm = crm_with(60, page_size=5, seconds_apart=0)
    settings = TapSettings.from_config({"page_size": 5})
    reading = Replication(ReadContext("contacts", crm, 5), settings, StreamState())
    steps = list(reading.steps())
    runs_of_rows = [
        kind for kind, following in itertools.pairwise(map(type, steps)) if kind is following is Rows
    ]
    assert not runs_of_rows, "each page of rows has a place to go on from behind it"


def test_an_interrupted_backfill_finds_contacts_restored_below_it():
    crm = crm_with(100)
    for contact_id in range(20, 50):
        crm.delete(contact_id)
    first = read(crm, stop_after=40)
    for contact_id in range(20, 50):
        crm.alive[contact_id] = crm.trash.pop(contact_id)
    second = read(crm, first.state)
    assert set(first.ids) | set(second.ids) == set(range(1, 101))


def test_changed_filters_begin_a_backfill_anew():
    crm = crm_with(100)
    first = read(crm, stop_after=40)
    assert sorted(read(crm, first.state, query="ana").ids) == list(range(1, 101))


def test_the_position_is_small_whatever_was_read():
    crm = crm_with(3000, page_size=100)
    state = read(crm, stop_after=2900).state
    assert isinstance(state.backfill, Backfill)
    assert len(json.dumps(state.dump())) < 1000


def test_a_full_read_ignores_the_bookmark_and_moves_it():
    crm = crm_with(25)
    state = settled(crm)
    crm.touch(5)
    told = read(crm, state, full_table=True)
    assert sorted(set(told.ids)) == list(range(1, 26))
    assert told.state.bookmark == crm.alive[5]["updated_at"]


def test_a_crash_moves_no_bookmark():
    crm = crm_with(95)
    state = settled(crm)
    before = state.bookmark
    for contact_id in range(1, 60):
        crm.touch(contact_id)

    def die():
        if len(crm.requests) > 3:
            raise Killed

    crm.before_request = die
    with pytest.raises(Killed):
        read(crm, state)
    assert state.bookmark == before
