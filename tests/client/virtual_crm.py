"""A throttle as Laravel's and clients on it, over a clock that only moves from event to event."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from appcrm.rate_headers import RateHeaders
from appcrm.rate_limiter import RateWindow

if TYPE_CHECKING:
    from random import Random


@dataclass
class Throttle:
    """A window that begins with its first request; only a 429 tells its end, in whole seconds."""

    limit: int = 90
    window_seconds: float = 60.0
    rounds_up: bool = True
    ends_at: float = -math.inf
    used: int = 0

    def answer(self, now: float) -> tuple[RateHeaders, bool]:
        if now >= self.ends_at:
            self.ends_at, self.used = now + self.window_seconds, 0
        if self.used >= self.limit:
            left = self.ends_at - now
            told = math.ceil(left) if self.rounds_up else math.floor(left)
            return RateHeaders(self.limit, 0, float(told) or None), True
        self.used += 1
        return RateHeaders(self.limit, self.limit - self.used), False


@dataclass
class Client:
    """Sends so many requests, so many at once, as its window says."""

    requests: int
    concurrency: int
    latency: tuple[float, float]
    random: Random
    window: RateWindow = field(default_factory=RateWindow)
    in_flight: int = 0
    accepted: int = 0
    refused: int = 0
    early: int = 0
    """Requests that were sent inside a Retry-After that had been received."""
    told_until: float = -math.inf
    last_accepted_at: float = 0.0


class World:
    def __init__(self, throttle: Throttle) -> None:
        self.throttle = throttle
        self.now = 1000.0
        self._events: list = []
        self._order = count()

    def at(self, moment: float, act) -> None:
        heapq.heappush(self._events, (moment, next(self._order), act))

    def run(self, client: Client, others: tuple[Client, ...] = ()) -> None:
        for each in (client, *others):
            self.at(self.now, lambda each=each: self._go(each))
        while client.accepted < client.requests:
            self.now, _, act = heapq.heappop(self._events)
            act()

    def _go(self, client: Client) -> None:
        while client.in_flight < client.concurrency and client.accepted + client.in_flight < client.requests:
            wait = client.window.wait_seconds(self.now)
            if wait is None:
                return
            if wait > 0:
                self.at(self.now + wait, lambda: self._go(client))
                return
            ticket = client.window.sent(self.now)
            client.in_flight += 1
            client.early += self.now < client.told_until
            there, back = (client.random.uniform(*client.latency) / 2 for _ in range(2))
            self.at(self.now + there, lambda ticket=ticket, back=back: self._arrive(client, ticket, back))

    def _arrive(self, client: Client, ticket, back: float) -> None:
        headers, refused = self.throttle.answer(self.now)
        if not refused:
            client.last_accepted_at = self.now
        self.at(self.now + back, lambda: self._come_back(client, ticket, headers, refused=refused))

    def _come_back(self, client: Client, ticket, headers: RateHeaders, *, refused: bool) -> None:
        client.in_flight -= 1
        client.window.came_back(ticket, self.now, headers, rate_limited=refused)
        if refused:
            client.refused += 1
            client.told_until = max(client.told_until, self.now + (headers.retry_after_seconds or 0))
        else:
            client.accepted += 1
        self._go(client)


class Greedy(RateWindow):
    """Another program on the limit, which sends at even distances and obeys only what a 429 told."""

    def __init__(self, interval_seconds: float) -> None:
        super().__init__(interval_seconds)

    def wait_seconds(self, now: float) -> float | None:
        until = max(self._next_at, self._hold_until)
        return max(0.0, until - now)
