"""The limiter against a clock of its own, and against a throttle as Laravel's."""

from __future__ import annotations

import email.utils
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_crm import Client, Greedy, Throttle, World

from appcrm.rate_headers import RateHeaders, read_rate_headers
from appcrm.rate_limiter import Limiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock):
    return Limiter(clock=clock, sleep=clock.sleep)


def seeded(seed):
    return Random(seed)  # noqa: S311  it draws latencies, not secrets


def sent(limiter, headers=None, *, rate_limited=False):
    ticket = limiter.acquire()
    limiter.release(ticket, headers, rate_limited=rate_limited)
    return ticket.sent_at


def test_ones_own_ceiling_is_kept_by_even_pacing(clock):
    limiter = Limiter(60, clock=clock, sleep=clock.sleep)
    moments = [sent(limiter) for _ in range(61)]
    assert moments[60] - moments[0] == pytest.approx(60)


def test_without_headers_or_ceiling_nothing_waits(limiter):
    assert {sent(limiter) for _ in range(500)} == {1000.0}


def test_a_retry_after_holds_every_later_request(limiter):
    sent(limiter, RateHeaders(retry_after_seconds=30), rate_limited=True)
    assert sent(limiter) >= 1030


def test_a_window_that_others_have_used_up_ends_when_its_reset_says(limiter):
    sent(limiter, RateHeaders(limit=90, remaining=0, reset_seconds=12))
    assert 1012 <= sent(limiter) < 1013


def test_time_that_was_waited_is_the_runs_and_not_each_threads(clock, limiter):
    sent(limiter, RateHeaders(limit=2, remaining=1))
    sent(limiter, RateHeaders(limit=2, remaining=0))
    sent(limiter, RateHeaders(limit=2, remaining=1))
    assert limiter.waited_seconds == pytest.approx(clock.now - 1000)


def run_alone(requests, concurrency, latency, *, rounds_up, seed=0, limit=90, used=0):
    throttle = Throttle(limit, rounds_up=rounds_up)
    if used:
        throttle.ends_at, throttle.used = 1000 + 30.5, used
    world = World(throttle)
    client = Client(requests, concurrency, latency, seeded(seed))
    world.run(client)
    return client.last_accepted_at - 1000, client


@given(
    requests=st.integers(1, 1500),
    concurrency=st.integers(1, 64),
    slowest=st.floats(0, 2),
    spread=st.floats(0, 1),
    rounds_up=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(derandomize=True, max_examples=80, deadline=None)
def test_alone_on_the_limit_a_load_takes_the_least_time_and_is_never_refused(
    requests, concurrency, slowest, spread, rounds_up, seed
):
    latency = (slowest * (1 - spread), slowest)
    took, client = run_alone(requests, concurrency, latency, rounds_up=rounds_up, seed=seed)
    windows = (requests - 1) // 90
    # What the last window's requests take themselves, one after another on each of so many lanes.
    in_the_last = (requests - 1) % 90 // concurrency + 3
    unlimited = requests / concurrency * slowest
    assert took <= max(60 * windows, unlimited) + windows + in_the_last * slowest
    assert client.refused <= windows
    assert client.early == 0


@pytest.mark.parametrize("rounds_up", [True, False])
@pytest.mark.parametrize(("requests", "least"), [(103, 60), (255, 120), (1000, 660)])
def test_the_loads_of_the_benchmark_wait_for_nothing_but_the_limit(requests, least, rounds_up):
    took, client = run_alone(requests, 8, (0.05, 0.05), rounds_up=rounds_up)
    assert least <= took <= least + 1
    assert client.refused == 0


@pytest.mark.parametrize("rounds_up", [True, False])
@pytest.mark.parametrize("used", [1, 40, 89, 90])
def test_a_window_that_had_begun_is_learned_with_few_refusals(used, rounds_up):
    took, client = run_alone(250, 8, (0.05, 0.1), rounds_up=rounds_up, used=used)
    windows = -(-(250 - (90 - used)) // 90)
    assert took <= 30.5 + 60 * (windows - 1) + windows + 5
    assert client.refused <= 3


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_a_small_limit_is_kept_from_the_first_request_on(limit):
    took, client = run_alone(4 * limit, 8, (0.05, 0.1), rounds_up=True, limit=limit)
    assert took <= 60 * 3 + 3 + 5
    assert client.refused <= 3


@pytest.mark.parametrize("rounds_up", [True, False])
@pytest.mark.parametrize("latency", [(0.05, 0.05), (0.02, 0.3), (0.2, 2.0)])
@pytest.mark.parametrize("other", ["same", 0.5, 1.0, 2.0])
def test_beside_another_client_few_are_refused_and_none_goes_inside_a_retry_after(latency, other, rounds_up):
    world = World(Throttle(rounds_up=rounds_up))
    client = Client(1000, 8, latency, seeded(1))
    beside = Client(10**6, 8 if other == "same" else 2, latency, seeded(2))
    if other != "same":
        beside.window = Greedy(other)
    world.run(client, (beside,))
    assert client.refused / (client.refused + client.accepted) <= 0.02
    assert client.early == 0


@given(
    st.dictionaries(
        st.sampled_from(["Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Date"]), st.text()
    )
)
def test_headers_of_any_text_are_read_without_an_error(headers):
    read_rate_headers(headers, now_unix=0.0)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0", "1.5", "1e300", "", "x", "٣"])
def test_a_count_that_is_none_counts_as_not_sent(text):
    told = read_rate_headers({"X-RateLimit-Limit": text, "X-RateLimit-Reset": text}, now_unix=0.0)
    assert told.limit is None
    assert told.reset_seconds is None or told.reset_seconds <= 3600


def test_a_reset_is_read_against_the_servers_own_clock():
    now = 1_790_000_000
    headers = {"Date": email.utils.formatdate(now, usegmt=True), "X-RateLimit-Reset": str(now + 42)}
    assert read_rate_headers(headers, now_unix=5.0).reset_seconds == 42


def test_a_retry_after_may_be_a_date():
    now = 1_790_000_000
    headers = {
        name: email.utils.formatdate(at, usegmt=True)
        for name, at in (("Date", now), ("Retry-After", now + 9))
    }
    assert read_rate_headers(headers, now_unix=5.0).retry_after_seconds == 9
