"""What every step of writing needs, handed on as one thing."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appcrm.contact import normalise
from target_appcrm.errors import RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from appcrm.client import Client
    from appcrm.session import SentRequest
    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup import Lookups
    from target_appcrm.report.decisions import Outcome
    from target_appcrm.settings import Ceiling, TargetSettings
    from target_appcrm.write.custom_fields import CustomFieldEncoding


class RequestCounter:
    """Counts the requests of each thread, so that each decision knows what it cost."""

    def __init__(self) -> None:
        self._local = threading.local()

    def note(self, _: SentRequest) -> None:
        """Count one request of the calling thread."""
        self._local.count = self.of_thread() + 1

    def of_thread(self) -> int:
        """Return how many requests the calling thread has sent."""
        count: int = getattr(self._local, "count", 0)
        return count


class Observations:
    """What the run noticed, told once at its end; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._fields: dict[str, set[Any]] = {}

    def count(self, what: str, by: int = 1) -> int:
        """Count what was seen; returns how often by now."""
        with self._lock:
            self._counts[what] += by
            return self._counts[what]

    def seen(self, what: str) -> int:
        """Return how often that was seen."""
        with self._lock:
            return self._counts[what]

    def learn(self, what: str, item: object) -> None:
        """Note one thing that holds for the rest of the run."""
        with self._lock:
            self._fields.setdefault(what, set()).add(item)

    def learned(self, what: str) -> frozenset[Any]:
        """Return what was noted."""
        with self._lock:
            return frozenset(self._fields.get(what, ()))


@dataclass(frozen=True)
class Ceilings:
    """Stops a run before one create or update too many; safe to share between threads.

    Args:
        limits: ``create`` and ``update`` to the most of them, where there is a limit.
        stops: False only counts, as a dry run does, which tells all.
    """

    limits: Mapping[str, Ceiling]
    total: Callable[[], int | None]
    stops: bool = True
    _counts: Counter[str] = field(default_factory=Counter)
    _most: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def claim(self, operation: str) -> None:
        """Ask for one more.

        Raises:
            RunStopped: it would be one too many, or a share is asked of an empty CRM.
        """
        ceiling = self.limits.get(operation)
        if ceiling is None:
            return
        with self._lock:
            if operation not in self._most:
                self._most[operation] = ceiling.of_crm(f"max_{operation}s", self.total)
            if self.stops and self._counts[operation] >= self._most[operation]:
                raise RunStopped(
                    f"stopped before more than {self._most[operation]} {operation}s, as max_{operation}s says; "
                    "raise it if they are right, and run again"
                )
            self._counts[operation] += 1

    def passed(self) -> list[str]:
        """Return the settings that a dry run would have been stopped by."""
        return [
            f"max_{operation}s" for operation, most in self._most.items() if self._counts[operation] > most
        ]


@dataclass(frozen=True)
class WriteContext:
    """What every step of writing needs; safe to share between threads.

    Args:
        client: the API.
        settings: of the target.
        lookups: finds contacts, and is told what became of them.
        encoding: the form in which custom fields are taken.
        ceilings: on creates and updates.
        seen: what the summary tells beside counts.
        requests: sent so far, by thread.
        sleep: waits for seconds; it may raise to end the run early.
    """

    client: Client
    settings: TargetSettings
    lookups: Lookups
    encoding: CustomFieldEncoding
    ceilings: Ceilings
    seen: Observations
    requests: RequestCounter
    sleep: Callable[[float], None]
    planned_ids: Iterator[int] = field(default_factory=lambda: itertools.count(-1, -1))
    """Of contacts that a dry run plans."""

    @property
    def is_dry(self) -> bool:
        """Whether nothing is written."""
        return self.settings.dry_run

    def read(self, answer: Mapping[str, Any], contact_id: int | None = None) -> Contact:
        """Return an answer as a contact; its id is given where the answer may be empty."""
        contact = normalise(dict(answer), self.settings.custom_names)
        if contact_id is not None:
            contact["id"] = contact_id
        return contact

    def remember(self, contact: Contact, outcome: Outcome) -> None:
        """Have a contact known as it is now."""
        outcome.contact = contact
        self.lookups.remember(contact)
