"""The limiter against a clock of its own."""

from __future__ import annotations

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appcrm.limiter import Limiter, RateHeaders, read_rate_headers


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


def sent(limiter, clock, headers=None, *, rate_limited=False, took_seconds=0.0):
    at = limiter.acquire()
    clock.now += took_seconds
    limiter.release(at, headers, rate_limited=rate_limited)
    return at


def test_ones_own_ceiling_is_kept_by_even_pacing(clock):
    limiter = Limiter(60, clock=clock, sleep=clock.sleep)
    moments = [sent(limiter, clock) for _ in range(61)]
    assert moments[60] - moments[0] == pytest.approx(60)


def test_without_headers_or_ceiling_nothing_waits(clock):
    limiter = Limiter(clock=clock, sleep=clock.sleep)
    assert {sent(limiter, clock) for _ in range(500)} == {1000.0}


def test_a_retry_after_holds_every_later_request(clock):
    limiter = Limiter(clock=clock, sleep=clock.sleep)
    sent(limiter, clock, RateHeaders(retry_after_seconds=30), rate_limited=True)
    assert sent(limiter, clock) >= 1030


def test_nothing_goes_while_the_server_says_that_nothing_remains_until_its_reset(clock):
    limiter = Limiter(clock=clock, sleep=clock.sleep)
    sent(limiter, clock, RateHeaders(remaining=0, reset_seconds=12))
    assert sent(limiter, clock) >= 1012


def test_a_new_window_takes_no_more_requests_at_once_than_its_limit(clock):
    limiter = Limiter(clock=clock, sleep=clock.sleep)
    sent(limiter, clock, RateHeaders(limit=3, remaining=0, retry_after_seconds=30), rate_limited=True)
    moments = [limiter.acquire() for _ in range(4)]
    assert moments[0] == moments[2] >= 1030
    assert moments[3] >= moments[0] + 30


class LaravelThrottle:
    """A fixed window that begins with its first request, as Laravel's; only a 429 tells its end."""

    def __init__(self, clock, limit, window_seconds):
        self.clock, self.limit, self.window_seconds = clock, limit, window_seconds
        self.ends_at, self.used, self.refused = 0.0, 0, 0

    def answer(self):
        if self.clock.now >= self.ends_at:
            self.ends_at, self.used = self.clock.now + self.window_seconds, 0
        if self.used >= self.limit:
            self.refused += 1
            return RateHeaders(remaining=0, retry_after_seconds=self.ends_at - self.clock.now), True
        self.used += 1
        return RateHeaders(remaining=self.limit - self.used), False


@given(
    limit=st.integers(1, 90),
    window_seconds=st.sampled_from([2.0, 10.0, 60.0]),
    requests=st.integers(1, 400),
    took_seconds=st.floats(0, 1.0),
)
def test_a_throttle_is_learned_so_that_few_requests_are_refused(
    limit, window_seconds, requests, took_seconds
):
    clock = Clock()
    limiter = Limiter(clock=clock, sleep=clock.sleep)
    throttle = LaravelThrottle(clock, limit, window_seconds)
    accepted = 0
    while accepted < requests:
        at = limiter.acquire()
        headers, refused = throttle.answer()
        clock.now += took_seconds
        limiter.release(at, headers, rate_limited=refused)
        accepted += not refused
    windows = -(-requests // limit)
    assert throttle.refused <= 3
    assert clock.now - 1000 <= windows * (window_seconds + 1) + requests * took_seconds + window_seconds


@given(
    st.dictionaries(
        st.sampled_from(["Retry-After", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Date"]), st.text()
    )
)
def test_headers_of_any_text_are_read_without_an_error(headers):
    read_rate_headers(headers, now_unix=0.0)


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
