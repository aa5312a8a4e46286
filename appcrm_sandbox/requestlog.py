"""What was asked of the sandbox: the last requests, and exact counts of all of them."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from typing import Any

KEPT = 20_000


@dataclasses.dataclass(slots=True)
class Entry:
    """One request; bodies are kept as their keys only, tokens never."""

    n: int
    at: str
    method: str
    path: str
    query: str
    operation: str
    keys: list[str] = dataclasses.field(default_factory=list)
    status: int | None = None
    duration_ms: float | None = None
    fault: str | None = None

    def public(self) -> dict[str, Any]:
        """The entry as JSON shows it."""
        return dataclasses.asdict(self)


class RequestLog:
    """Bounded in memory; the counts go on for ever."""

    def __init__(self) -> None:
        self._entries: collections.deque[Entry] = collections.deque(maxlen=KEPT)
        self._counts: collections.Counter[str] = collections.Counter()
        self._statuses: collections.Counter[str] = collections.Counter()
        self._number = 0
        self._in_flight = 0
        self._max_in_flight = 0

    def begin(self, at: str, method: str, path: str, query: str, operation: str) -> Entry:
        """Note a request that has arrived."""
        self._number += 1
        entry = Entry(self._number, at, method, path, query, operation)
        self._entries.append(entry)
        self._counts[operation] += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)
        return entry

    def end(self, entry: Entry, status: int | None, duration_ms: float, fault: str | None) -> None:
        """Note how it was answered; status None means not at all."""
        entry.status, entry.duration_ms, entry.fault = status, round(duration_ms, 3), fault
        self._statuses["none" if status is None else str(status)] += 1
        self._in_flight -= 1

    def entries(self, operation: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """The kept entries after number `since`, oldest first."""
        return [
            entry.public()
            for entry in list(self._entries)
            if entry.n > since and (operation is None or entry.operation == operation)
        ]

    def last(self, count: int, before: int | None = None) -> list[dict[str, Any]]:
        """The newest kept entries, or the newest before a number; newest first."""
        older = (entry for entry in reversed(self._entries) if before is None or entry.n < before)
        return [entry.public() for entry in itertools.islice(older, count)]

    def counts(self) -> dict[str, Any]:
        """Requests by operation and status, all together, and the most at once."""
        return {
            "total": sum(self._counts.values()),
            "operations": dict(self._counts),
            "statuses": dict(self._statuses),
            "in_flight": self._in_flight,
            "max_in_flight": self._max_in_flight,
        }

    def reset(self) -> None:
        """Begin anew; requests still in flight stay counted as such."""
        self._entries.clear()
        self._counts.clear()
        self._statuses.clear()
        self._number = 0
        self._max_in_flight = self._in_flight
