"""Finds contacts by search, and learns on the way what the server's search can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.errors import BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault
from target_appcrm.match.costs import VALUES_PER_SEARCH, batches
from target_appcrm.match.keys import EMAIL, ID, PHONE, MatchKey, holds, key_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appcrm.errors import ApiError
    from target_appcrm.match.fetching import Fetches
    from target_appcrm.match.full_scan import WholeCrm
    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup_result import Witnesses
    from target_appcrm.write.workers import Workers

FEWEST_FOR_IN = 3
PROBE_TRIES = 2
PHONE_TAIL_DIGITS = 4
FEWEST_ROWS_OF_A_CAP = 10
"""No server is taken to cap its answers at fewer rows."""


class Searches:
    """Searches many values at once where the server proves that it reads them all, else one by one.

    Args:
        crm: its first page has values that are known to be there.
        witnesses: of such values.
    """

    def __init__(self, fetches: Fetches, workers: Workers, crm: WholeCrm, witnesses: Witnesses) -> None:
        self._fetches = fetches
        self._workers = workers
        self._crm = crm
        self._witnesses = witnesses
        self._takes_in: dict[str, bool] = {}
        self._most_values: dict[str, int] = {}
        self._rows_proven: dict[str, int] = {}
        self._searchable: set[str] = set()
        self.failed: dict[tuple[str, str], ApiError] = {}
        """Tokens of keys that the server would not look up."""

    @property
    def sent(self) -> int:
        """Searches so far in this run."""
        return self._fetches.searches.total()

    def takes_in(self, field: str) -> bool | None:
        """Whether a search of this field takes many values; None where that is not known yet."""
        return self._takes_in.get(field)

    def most_values(self, field: str) -> int:
        """Return how many values a search of this field takes, or brings back."""
        return self._most_values.get(field, VALUES_PER_SEARCH)

    # Many values at once

    def many(self, field: str, keys: list[MatchKey], *, include: bool) -> list[Contact] | None:
        """Search many values at once; None where the server does not take that, or takes fewer than were sent."""
        values = list(dict.fromkeys(key.shown for key in keys))
        plan = batches(values, most=self.most_values(field))
        contacts: list[Contact] = []
        if field not in self._takes_in:
            some = plan.pop(0)
            try:
                first = self._proven(field, keys, some, include=include, max_tries=PROBE_TRIES)
            except (BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault):
                first = None
                self._takes_in[field] = False
            if first is None:
                return None
            self._takes_in[field] = True
            contacts = first

        def search(some: list[str]) -> list[Contact] | None:
            try:
                return self._proven(field, keys, some, include=include)
            except (BadRequest, InvalidRecord):
                # One value that the server chokes on must not hide the others.
                return [contact for key in keys if key.shown in some for contact in self._safely(key)]

        for answer in self._workers.map(search, plan):
            if answer is None:
                return None
            contacts += answer
        # What was not found as the record writes it may be there in the form in which it is compared.
        held = {value for contact in contacts for value, _ in key_values(field, contact)}
        other = [
            key._replace(shown=key.value) for key in keys if key.value != key.shown and key.value not in held
        ]
        if field not in (EMAIL, PHONE) or not other:
            return contacts
        more = self.many(field, other, include=include)
        return None if more is None else contacts + more

    def _proven(
        self,
        field: str,
        keys: list[MatchKey],
        values: list[str],
        *,
        include: bool,
        max_tries: int | None = None,
    ) -> list[Contact] | None:
        """Search some values at once, and believe that the others are absent only on evidence.

        A server may read only the first values, return only so many rows, or take the list for one text. So a value
        that is known to be there goes last, and where an answer is larger than any that was whole, what it lacks is
        asked for once more. None where the evidence speaks against the answer: the server is then asked otherwise.
        """
        sent = set(values)
        asked = [key for key in keys if key.shown in sent]
        compared = {key.value for key in asked}
        witness = self._witnesses.beside(field, compared)
        contacts = self._with_witness(field, values, witness, include=include, max_tries=max_tries)
        self._witnesses.note(contacts)
        absent = [key for key in asked if not any(holds(contact, key) for contact in contacts)]
        last_is_there = (
            _is_there(contacts, field, witness) if witness else bool(asked) and asked[-1] not in absent
        )
        most_whole = max(self._rows_proven.get(field, 0), FEWEST_ROWS_OF_A_CAP)
        if absent and not (last_is_there and len(contacts) < most_whole):
            missing = {key.value for key in absent}
            witness = self._witnesses.beside(field, missing)
            if witness is None:
                self._crm.page_one(include=include)
                witness = self._witnesses.beside(field, missing)
            if witness is None or self._crm.is_page_one_all:
                self._takes_in[field] = False
                return None
            rest = list(dict.fromkeys(key.shown for key in absent))
            again = self._with_witness(field, rest, witness, include=include, max_tries=max_tries)
            if not _is_there(again, field, witness):
                self._takes_in[field] = False
                return None
            if any(holds(contact, key) for key in absent for contact in again):
                self._limit(field, len(values), len(contacts))
                return None
        self._rows_proven[field] = max(self._rows_proven.get(field, 0), len(contacts))
        return contacts

    def _with_witness(
        self,
        field: str,
        values: list[str],
        witness: tuple[str, str] | None,
        *,
        include: bool,
        max_tries: int | None,
    ) -> list[Contact]:
        """Search some values, and last one that is known to be there."""
        asked = values if witness is None else [*values, witness[1]]
        return self._fetches.search(field, asked, "in", include=include, max_tries=max_tries)

    def _limit(self, field: str, values: int, rows: int) -> None:
        """Take note that so many values brought only so many rows, although more are there."""
        most = rows - 1 if 0 < rows - 1 < values else values // 2
        self._most_values[field] = most
        if most < FEWEST_FOR_IN:
            self._takes_in[field] = False

    # One value at a time

    def each(self, keys: list[MatchKey], *, include: bool) -> list[Contact]:
        """Search each value on its own; a refused one is noted in ``failed``."""
        found = self._workers.map(lambda key: self._safely(key, include=include), keys)
        return [contact for some in found for contact in some]

    def _safely(self, key: MatchKey, *, include: bool = False) -> list[Contact]:
        """Search one value; where the server refuses just this one, only its records suffer."""
        try:
            return self.one(key, include=include)
        except (BadRequest, InvalidRecord) as error:
            self.failed[key.token] = error
            return []

    def one(self, key: MatchKey, *, include: bool = False) -> list[Contact]:
        """Search one value, in the record's form and in the compared one."""
        if key.field == ID:
            return self._fetches.retrieve(int(key.value))
        # A field that cannot be searched fails for ever, often with a 500: no need to insist on the first answer.
        tries = None if key.field == EMAIL or key.field in self._searchable else PROBE_TRIES
        contacts = self._fetches.search(key.field, [key.shown], "=", include=include, max_tries=tries)
        self._searchable.add(key.field)
        if key.field == PHONE and key.value != key.shown and not any(holds(c, key) for c in contacts):
            contacts += self._fetches.search(key.field, [key.value], "=", include=include)
        return [contact for contact in contacts if holds(contact, key)]

    def taken(self, key: MatchKey) -> list[Contact]:
        """Search what the CRM says is taken."""
        return self.one(key)

    def closely(self, key: MatchKey) -> list[Contact]:
        """Search one value once more, a phone by its last digits, however the CRM writes it."""
        if key.field != PHONE:
            return self.one(key)
        tail = key.value[-PHONE_TAIL_DIGITS:]
        contacts = self._fetches.search(PHONE, [tail], "like", include=False)
        return [contact for contact in contacts if holds(contact, key)]


def _is_there(contacts: Iterable[Contact], field: str, witness: tuple[str, str]) -> bool:
    return any(value == witness[0] for contact in contacts for value, _ in key_values(field, contact))
