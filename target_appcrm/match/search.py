"""Finds contacts by their values, many to a request where the CRM has shown that it reads them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.errors import BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault
from target_appcrm.match.addresses import address_forms
from target_appcrm.match.keys import EMAIL, ID, PHONE, MatchKey, holds, key_values
from target_appcrm.match.ways import NOBODY, Way, batches, fits, is_searchable, way_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appcrm.abilities import Abilities
    from appcrm.errors import ApiError
    from target_appcrm.match.fetching import Fetches
    from target_appcrm.match.full_scan import WholeCrm
    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup_result import Witnesses
    from target_appcrm.write.workers import Workers

PROBE_TRIES = 2
PHONE_TAIL_DIGITS = 2
"""Fewer digits than any habit of writing phones keeps together."""
REFUSALS = (BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault)


class Searches:
    """Finds the contacts of many keys of one field.

    Args:
        abilities: what the CRM can do, as far as it is known by now.
        crm: its first page has values that are known to be there.
        witnesses: of such values.
    """

    def __init__(
        self,
        fetches: Fetches,
        workers: Workers,
        crm: WholeCrm,
        witnesses: Witnesses,
        abilities: Callable[[], Abilities],
    ) -> None:
        self._fetches = fetches
        self._workers = workers
        self._crm = crm
        self._witnesses = witnesses
        self._abilities = abilities
        self._disproven: dict[str, set[Way]] = {}
        self._proven: set[tuple[str, Way]] = set()
        self._searchable: set[str] = set()
        self.failed: dict[tuple[str, str], ApiError] = {}
        """Tokens of keys that the server would not look up."""

    @property
    def sent(self) -> int:
        """Searches so far in this run."""
        return self._fetches.searches.total()

    def way(self, field: str) -> Way:
        """Return the way that finds the most values of a field in a request, as far as it is known by now."""
        return way_for(self._abilities(), field, self._disproven.get(field, ()))

    def is_known(self, field: str) -> bool:
        """Whether the way of a field has been shown to work, or to be the last that is left."""
        way = self.way(field)
        return way is Way.SINGLE or (field, way) in self._proven

    # Many values at once

    def many(self, field: str, keys: Sequence[MatchKey], *, include: bool) -> list[Contact] | None:
        """Find many keys by the field's way; None where an answer has shown that this way does not work."""
        way = self.way(field)
        values = list(dict.fromkeys(form for key in keys for form in _forms(key) if fits(way, field, form)))
        plan = batches(way, field, values)
        contacts: list[Contact] = []
        if plan and (field, way) not in self._proven:
            first = self._prove(field, way, plan.pop(0), include=include)
            if first is None:
                self._disproven.setdefault(field, set()).add(way)
                return None
            self._proven.add((field, way))
            contacts = first

        def fetch(some: list[str]) -> list[Contact] | None:
            try:
                return self._fetch(field, way, some, include=include)
            except (BadRequest, InvalidRecord):
                # One value that the server chokes on must not hide the others.
                asked = [key for key in keys if not set(some).isdisjoint(_forms(key))]
                return [contact for key in asked for contact in self._safely(key)]

        for answer in self._workers.map(fetch, plan):
            if answer is None:
                self._disproven.setdefault(field, set()).add(way)
                return None
            contacts += answer
        return contacts

    def _fetch(
        self, field: str, way: Way, values: list[str], *, include: bool, max_tries: int | None = None
    ) -> list[Contact] | None:
        if way is Way.FILTERS:
            return self._fetches.filtered(field, values, include=include, max_tries=max_tries)
        return self._fetches.search(field, values, "in", max_tries=max_tries)

    def _prove(self, field: str, way: Way, values: list[str], *, include: bool) -> list[Contact] | None:
        """Send the first values beside one that is known to be there; None where the answer speaks against the way.

        A server may take many values for one text, read only the last or the first, or pass a rule over in silence.
        So the known value goes first among filters, with one behind them that nobody has, and last in a search; it
        must come back, and nothing that was not asked for.
        """
        witness = self._witnesses.beside(field, values)
        if witness is None:
            self._crm.page_one(include=include)
            witness = self._witnesses.beside(field, values)
        if witness is None:
            return None
        asked = [witness[1], *values, NOBODY] if way is Way.FILTERS else [*values, witness[1]]
        try:
            contacts = self._fetch(field, way, asked, include=include, max_tries=PROBE_TRIES)
        except REFUSALS:
            return None
        found = {value for contact in contacts or () for value, _ in key_values(field, contact)}
        return contacts if witness[0] in found else None

    # One value at a time

    def each(self, keys: Iterable[MatchKey]) -> list[Contact]:
        """Search each value on its own; a refused one is noted in ``failed``."""
        found = self._workers.map(self._safely, keys)
        return [contact for some in found for contact in some]

    def _safely(self, key: MatchKey) -> list[Contact]:
        """Search one value; where the server refuses just this one, only its records suffer."""
        try:
            return self.one(key)
        except (BadRequest, InvalidRecord) as error:
            self.failed[key.token] = error
            return []

    def one(self, key: MatchKey) -> list[Contact]:
        """Search one value, in each form in which a CRM may hold it until one is found."""
        if key.field == ID:
            return self._fetches.retrieve(int(key.value))
        # A field that cannot be searched fails for ever, often with a 500: no need to insist on the first answer.
        tries = None if key.field == EMAIL or key.field in self._searchable else PROBE_TRIES
        if not is_searchable(key.field, key.shown):
            return self._without_search(key)
        for form in _forms(key):
            contacts = self._fetches.search(key.field, [form], "=", max_tries=tries)
            self._searchable.add(key.field)
            found = [contact for contact in contacts if holds(contact, key)]
            if found:
                return found
        return []

    def _without_search(self, key: MatchKey) -> list[Contact]:
        """Find one value that the search cannot carry: by a filter that was proven, else on any page."""
        contacts: list[Contact] | None = None
        if (key.field, Way.FILTERS) in self._proven:
            contacts = self._fetches.filtered(key.field, [key.shown], include=False)
        if contacts is None:
            contacts = self._fetches.all_pages()
        return [contact for contact in contacts if holds(contact, key)]

    def closely(self, key: MatchKey) -> list[Contact]:
        """Search one value once more, a phone by its last digits, however the CRM writes it."""
        if key.field != PHONE:
            return self.one(key)
        contacts = self._fetches.search(PHONE, [key.value[-PHONE_TAIL_DIGITS:]], "like")
        return [contact for contact in contacts if holds(contact, key)]


def _forms(key: MatchKey) -> tuple[str, ...]:
    return address_forms(key.shown) if key.field == EMAIL else (key.shown,)
