"""Records whose address another contact holds: where a later record may free it, they wait for the input's end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from target_appcrm.match.addresses import address_key
from target_appcrm.match.keys import EMAIL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_appcrm.errors import Unwritable
    from target_appcrm.match.keys import Contact
    from target_appcrm.report.decisions import Outcome
    from target_appcrm.write.records_by_contact import Item

MOST_WAITING = 10_000
"""Their records are in memory; what comes after so many is refused at once."""


class WaitingForAddress:
    """Keeps records that the CRM refused for a taken address, and those of the same contacts that follow.

    A state that came behind them waits too. Safe to share between threads.

    Args:
        is_of_use: False where no later record could free an address, so that none waits.
    """

    def __init__(self, *, is_of_use: bool) -> None:
        self._is_of_use = is_of_use
        self._lock = threading.Lock()
        self._refused: dict[int, tuple[Item, Unwritable, str | None]] = {}
        self._followers: list[Item] = []
        self._contacts: set[int] = set()
        self._buckets: set[tuple[str, str]] = set()
        self._freed: set[str] = set()

    def takes(self, item: Item, error: Unwritable, outcome: Outcome) -> bool:
        """Keep a record that was refused, if it may yet be taken; nothing may have been written for it."""
        if not self._is_of_use or EMAIL not in error.fields or item.is_last_try or outcome.decisions:
            return False
        held = None if outcome.contact is None else address_key(outcome.contact.get(EMAIL))
        with self._lock:
            if len(self._refused) + len(self._followers) >= MOST_WAITING:
                return False
            self._refused[item.number] = (item, error, held)
            if outcome.contact is not None:
                self._contacts.add(outcome.contact["id"])
            self._buckets |= {key.bucket for key in item.change.keys}
        return True

    def takes_follower(self, item: Item, known: Mapping[int, Contact]) -> bool:
        """Keep a record that must not overtake one of its contact that waits."""
        if item.is_last_try or not (self._contacts or self._buckets):
            return False
        buckets = {key.bucket for key in item.change.keys}
        with self._lock:
            if not (buckets & self._buckets or self._contacts & known.keys()):
                return False
            self._followers.append(item)
            self._buckets |= buckets
        return True

    def freed(self, address: str | None) -> None:
        """Note that a contact let an address go."""
        if address is not None and self._refused:
            with self._lock:
                self._freed.add(address)

    def take(self) -> tuple[list[Item], list[tuple[Item, Unwritable]]]:
        """Return the records to try once more, in their order, and those for whom nothing has changed."""
        with self._lock:
            free = self._freed | {held for _, _, held in self._refused.values() if held is not None}
            followed = {key.bucket for item in self._followers for key in item.change.keys}
            again, hopeless = list(self._followers), []
            for item, error, _ in self._refused.values():
                wanted = address_key(item.change.fields.get(EMAIL))
                if wanted in free or any(key.bucket in followed for key in item.change.keys):
                    again.append(item)
                else:
                    hopeless.append((item, error))
            self._refused, self._followers = {}, []
            self._contacts, self._buckets = set(), set()
        for item in again:
            item.is_last_try = True
        return sorted(again, key=lambda item: item.number), hopeless
