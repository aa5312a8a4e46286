"""Finds the contacts that records mean, in as few requests as the server allows."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from appcrm.client import MAX_PAGE_SIZE, ListQuery, Page
from appcrm.contact import BODY_ASSOCIATIONS, normalise
from appcrm.errors import (
    BadRequest,
    CsrfRejected,
    Forbidden,
    InvalidRecord,
    NotFound,
    ServerFault,
    SettingsError,
    Unauthenticated,
)
from target_appcrm.costs import VALUES_PER_SEARCH, Costs, batches, is_paging_cheaper, is_size_worth_asking
from target_appcrm.found import Found, Witnesses
from target_appcrm.matching import EMAIL, ID, PHONE, MatchKey, holds, key_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appcrm.client import Client
    from target_appcrm.index import ContactIndex
    from target_appcrm.matching import Contact
    from target_appcrm.settings import TargetSettings
    from target_appcrm.workers import Workers

    Keys = tuple[MatchKey, ...]

FEWEST_FOR_IN = 3
PROBE_TRIES = 2
PHONE_TAIL_DIGITS = 4
FEWEST_ROWS_OF_A_CAP = 10
"""No server is taken to cap its answers at fewer rows."""

logger = logging.getLogger("target-appcrm")


class Lookups:
    """Finds contacts by search or in an index of the whole CRM, whichever costs fewer requests.

    Args:
        index: filled when the CRM is paged through, or holding what a dry run planned.
        read_only: whether this is a dry run, whose plans in the index go before what the CRM holds.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        workers: Workers,
        index: ContactIndex,
    ) -> None:
        self._client = client
        self._settings = settings
        self._workers = workers
        self._index = index
        self._takes_in: dict[str, bool] = {}
        self._takes_include: bool | None = None
        self._most_values: dict[str, int] = {}
        self._rows_proven: dict[str, int] = {}
        self._searched: dict[str, int] = {}
        self._searchable: set[str] = set()
        self._found = Found(settings.key_fields)
        self._is_page_one_fresh = False
        self._first_page: Page[dict[str, Any]] | None = None
        self._witnesses = Witnesses(settings.key_fields)
        self._lock = threading.Lock()
        self._meanwhile: dict[int, Contact | None] | None = None
        self.is_complete = False
        """Whether the index holds the whole CRM."""
        self.is_proven = False
        """Whether it was read without any row slipping through."""

    # What others need

    def find(self, keysets: Iterable[Keys], *, with_associations: bool = False) -> Found:
        """Find the contacts that any of the keys mean.

        A key that a contact already found holds itself is not looked up again.

        Raises:
            ApiError: the CRM cannot be searched or listed.
            SettingsError: a match key that no contact has.
        """
        self._is_page_one_fresh = False
        pending = [keys for keys in keysets if keys]
        found = self._found = Found(self._settings.key_fields)
        for field in self._order():
            wanted = {
                key.token: key
                for keys in pending
                for key in keys
                if key.field == field and not found.answers(key, keys)
            }
            if wanted:
                found.add(self._find_field(field, list(wanted.values()), include=with_associations))
        doubtful = [keys for keys in pending if self._is_absence_doubtful(keys) and not found.of(keys)]
        if doubtful:
            found.add(self._find_closely(doubtful))
        return found

    def find_again(self, keys: Keys) -> dict[int, Contact]:
        """Search one record's keys once more, each on its own: for a create whose outcome is unknown."""
        found: dict[int, Contact] = {}
        for key in keys:
            found |= {contact["id"]: contact for contact in self._search_one(key)}
        return found

    def total(self) -> int | None:
        """Return how many contacts the CRM says it has."""
        return self._page_one().total

    def remember(self, contact: Contact) -> None:
        """Note a contact as a write left it, or as a dry run would have."""
        with self._lock:
            if self._meanwhile is not None:
                self._meanwhile[contact["id"]] = contact
            elif self.is_complete or self._settings.dry_run:
                self._index.put([contact])

    def forget(self, contact_id: int) -> None:
        """Note that a contact is gone."""
        with self._lock:
            if self._meanwhile is not None:
                self._meanwhile[contact_id] = None
            self._index.remove(contact_id)

    # Search or page

    def _order(self) -> list[str]:
        """Fields in the order of the setting, the id last: a contact found otherwise tells its id for nothing."""
        fields = [field for field in self._settings.key_fields if field != ID]
        return [*fields, *(field for field in self._settings.key_fields if field == ID)]

    def _find_field(self, field: str, keys: list[MatchKey], *, include: bool) -> list[Contact]:
        if self.is_complete:
            return self._from_index(keys)
        if is_size_worth_asking(self._costs(field, len(keys))):
            self._page_one(include=include)
            if self._is_page_one_all() or is_paging_cheaper(self._costs(field, len(keys))):
                return self._read_then_find(keys, include=include)
        together = [key for key in keys if "," not in key.shown]
        while len(together) >= FEWEST_FOR_IN and self._takes_in.get(field) is not False:
            contacts = self._search_many(field, together, include=include)
            if contacts is not None:
                alone = [key for key in keys if "," in key.shown]
                contacts += self._search_each(alone, include=include)
                return self._with_plans(contacts, keys)
            self._page_one(include=include)
            if self._is_page_one_all() or is_paging_cheaper(self._costs(field, len(keys))):
                return self._read_then_find(keys, include=include)
        try:
            return self._with_plans(self._search_each(keys, include=include), keys)
        except (Forbidden, ServerFault):
            if field in (EMAIL, ID):
                raise
            logger.warning("The CRM cannot be searched by %s, so all of its contacts are read once", field)
            return self._read_then_find(keys, include=include)

    def _costs(self, field: str, keys: int) -> Costs:
        page = self._first_page
        return Costs(
            keys=keys,
            searched=sum(self._searched.values()),
            takes_in=self._takes_in.get(field),
            pages=None if page is None else _pages_left(page),
            most_values=self._most_values.get(field, VALUES_PER_SEARCH),
        )

    def _from_index(self, keys: Iterable[MatchKey]) -> list[Contact]:
        return [contact for key in keys for contact in self._index.find(key)]

    def _with_plans(self, contacts: list[Contact], keys: Iterable[MatchKey]) -> list[Contact]:
        """Put what a dry run planned before what the CRM holds."""
        if not self._settings.dry_run:
            return contacts
        planned = [self._index.get(contact["id"]) or contact for contact in contacts]
        return [*planned, *self._from_index(keys)]

    # Searching

    def _search_many(self, field: str, keys: list[MatchKey], *, include: bool) -> list[Contact] | None:
        """Search many values at once; None where the server does not take that, or takes fewer than were sent."""
        values = list(dict.fromkeys(key.shown for key in keys))
        plan = batches(values, most=self._most_values.get(field, VALUES_PER_SEARCH))
        contacts: list[Contact] = []
        if field not in self._takes_in:
            some = plan.pop(0)
            try:
                first = self._search_proven(field, keys, some, include=include, max_tries=PROBE_TRIES)
            except (BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault):
                first = None
                self._takes_in[field] = False
            if first is None:
                return None
            self._takes_in[field] = True
            contacts = first

        def search(some: list[str]) -> list[Contact] | None:
            try:
                return self._search_proven(field, keys, some, include=include)
            except (BadRequest, InvalidRecord):
                # One value that the server chokes on must not hide the others.
                return [contact for key in keys if key.shown in some for contact in self._search_safely(key)]

        for answer in self._workers.map_urgent(search, plan):
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
        more = self._search_many(field, other, include=include)
        return None if more is None else contacts + more

    def _search_proven(
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
        contacts = self._search_with(field, values, witness, include=include, max_tries=max_tries)
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
                self._page_one(include=include)
                witness = self._witnesses.beside(field, missing)
            if witness is None or self._is_page_one_all():
                self._takes_in[field] = False
                return None
            rest = list(dict.fromkeys(key.shown for key in absent))
            again = self._search_with(field, rest, witness, include=include, max_tries=max_tries)
            if not _is_there(again, field, witness):
                self._takes_in[field] = False
                return None
            if any(holds(contact, key) for key in absent for contact in again):
                self._limit(field, len(values), len(contacts))
                return None
        self._rows_proven[field] = max(self._rows_proven.get(field, 0), len(contacts))
        return contacts

    def _search_with(
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
        return self._search(field, asked, "in", include=include, max_tries=max_tries)

    def _limit(self, field: str, values: int, rows: int) -> None:
        """Take note that so many values brought only so many rows, although more are there."""
        most = rows - 1 if 0 < rows - 1 < values else values // 2
        self._most_values[field] = most
        if most < FEWEST_FOR_IN:
            self._takes_in[field] = False

    def _search_each(self, keys: list[MatchKey], *, include: bool) -> list[Contact]:
        found = self._workers.map_urgent(lambda key: self._search_safely(key, include=include), keys)
        return [contact for some in found for contact in some]

    def _search_safely(self, key: MatchKey, *, include: bool = False) -> list[Contact]:
        """Search one value; where the server refuses just this one, only its records suffer."""
        try:
            return self._search_one(key, include=include)
        except (BadRequest, InvalidRecord) as error:
            self._found.failed[key.token] = error
            return []

    def _search_one(self, key: MatchKey, *, include: bool = False) -> list[Contact]:
        """Search one value, in the record's form and in the compared one."""
        if key.field == ID:
            return self._retrieve(int(key.value))
        # A field that cannot be searched fails for ever, often with a 500: no need to insist on the first answer.
        tries = None if key.field == EMAIL or key.field in self._searchable else PROBE_TRIES
        contacts = self._search(key.field, [key.shown], "=", include=include, max_tries=tries)
        self._searchable.add(key.field)
        if key.field == PHONE and key.value != key.shown and not any(holds(c, key) for c in contacts):
            contacts += self._search(key.field, [key.value], "=", include=include)
        return [contact for contact in contacts if holds(contact, key)]

    def _search(
        self, field: str, values: list[str], operator: str, *, include: bool, max_tries: int | None = None
    ) -> list[Contact]:
        fields = f"{field}:{operator}"
        asked = BODY_ASSOCIATIONS if include and self._takes_include is not False else ()

        def send(include_names: Sequence[str]) -> list[dict[str, Any]]:
            self._searched[field] = self._searched.get(field, 0) + 1
            return self._client.search_contacts(
                ",".join(values), search_fields=fields, include=include_names, max_tries=max_tries
            )

        return self._learn(self._including(send, asked))

    def _retrieve(self, contact_id: int) -> list[Contact]:
        self._searched[ID] = self._searched.get(ID, 0) + 1
        try:
            return self._learn([self._client.retrieve_contact(contact_id)])
        except NotFound:
            return []
        except Forbidden:
            # The token may not see it, so it cannot be what the record means.
            return []

    def _including(
        self, send: Callable[[Sequence[str]], list[dict[str, Any]]], asked: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Ask for associations once; a server that refuses, or leaves them out, is not asked again."""
        if not asked or self._takes_include is not None:
            return send(asked)
        try:
            rows = send(asked)
        except (Unauthenticated, CsrfRejected):
            raise
        except (BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault):
            rows = send(())
            self._takes_include = False
            return rows
        if rows:
            self._takes_include = all(name in row for row in rows for name in asked)
        return rows

    # Absence that would double a contact if it were wrong

    def _is_absence_doubtful(self, keys: Keys) -> bool:
        """Whether a contact may be there although no key found it, and nothing unique would stop a second one."""
        if any(key.field == EMAIL for key in keys):
            return False
        if self.is_complete:
            return not self.is_proven
        return any(key.field == PHONE for key in keys)

    def _find_closely(self, keysets: list[Keys]) -> list[Contact]:
        """Look for phones however the CRM writes them, and again for what an unproven index does not hold."""
        keys = {key.token: key for keys in keysets for key in keys}

        def look(key: MatchKey) -> list[Contact]:
            if key.field != PHONE:
                return self._search_one(key)
            tail = key.value[-PHONE_TAIL_DIGITS:]
            return [
                contact
                for contact in self._search(PHONE, [tail], "like", include=False)
                if holds(contact, key)
            ]

        found = self._workers.map_urgent(look, list(keys.values()))
        return self._with_plans([contact for some in found for contact in some], list(keys.values()))

    # Paging through the CRM

    def _page_one(self, *, include: bool = False, fresh: bool = False) -> Page[dict[str, Any]]:
        if self._first_page is None or (fresh and not self._is_page_one_fresh):
            self._first_page = self._list(1, include=include)
            self._is_page_one_fresh = True
            self._witnesses.note(self._learn(self._first_page.rows))
            self._check_custom_keys(self._first_page.rows)
        return self._first_page

    def _check_custom_keys(self, rows: list[dict[str, Any]]) -> None:
        """Refuse to match on a field that no contact has: it is mistyped, and every record would be created."""
        for name in self._settings.custom_keys:
            if rows and not any(name in row for row in rows):
                setting = "external_id_field" if name == self._settings.external_id_field else "match_on"
                raise SettingsError(f"{setting} names {name}, but the CRM's contacts have no such field")

    def _is_page_one_all(self) -> bool:
        page = self._first_page
        return (
            self._is_page_one_fresh
            and page is not None
            and page.total is not None
            and len(page.rows) >= page.total
        )

    def _list(self, page: int, *, include: bool) -> Page[dict[str, Any]]:
        asked = BODY_ASSOCIATIONS if include and self._takes_include is not False else ()
        pages: list[Page[dict[str, Any]]] = []

        def send(include_names: Sequence[str]) -> list[dict[str, Any]]:
            pages.append(self._client.list_contacts(ListQuery(include=tuple(include_names)), page))
            return pages[-1].rows

        self._including(send, asked)
        return pages[-1]

    def _read_then_find(self, keys: list[MatchKey], *, include: bool) -> list[Contact]:
        self._read_all(include=include)
        return self._from_index(keys)

    def _read_all(self, *, include: bool) -> None:
        """Read every page into the index, side by side; where the count does not agree, once more from the end."""
        if self.is_complete:
            return
        planned = [contact for i in self._index.ids() if (contact := self._index.get(i)) is not None]
        with self._lock:
            # What is written from here on is newer than what a page may show.
            self._meanwhile = {}
        first = self._page_one(include=include, fresh=True)
        totals = [first.total]
        self._index.put(self._learn(first.rows))
        if first.total is None:
            self._read_until_empty(include=include)
        else:
            last = _page_count(first)

            def read(page: int) -> None:
                read_page = self._list(page, include=include)
                totals.append(read_page.total)
                self._index.put(self._learn(read_page.rows))

            if not self._is_page_one_all():
                self._workers.map_urgent(read, range(2, last + 1))
                if self._index.count != totals[-1] or len(set(totals)) > 1:
                    for page in range(last + 1, 0, -1):
                        read(page)
            self.is_proven = self._index.count == totals[-1]
        with self._lock:
            self._index.put(planned)
            self._index.put(contact for contact in self._meanwhile.values() if contact is not None)
            for contact_id in [number for number, contact in self._meanwhile.items() if contact is None]:
                self._index.remove(contact_id)
            self._meanwhile = None
            self.is_complete = True

    def _read_until_empty(self, *, include: bool) -> None:
        page = 2
        while rows := self._list(page, include=include).rows:
            self._index.put(self._learn(rows))
            page += 1

    def _learn(self, rows: Iterable[dict[str, Any]]) -> list[Contact]:
        names = self._settings.custom_names
        return [normalise(row, names) for row in rows if isinstance(row.get("id"), int)]


def _is_there(contacts: Iterable[Contact], field: str, witness: tuple[str, str]) -> bool:
    return any(value == witness[0] for contact in contacts for value, _ in key_values(field, contact))


def _page_count(page: Page[Any]) -> int:
    size = page.per_page or len(page.rows) or MAX_PAGE_SIZE
    return max(1, -(-(page.total or 0) // size))


def _pages_left(page: Page[Any]) -> int | None:
    return None if page.total is None else _page_count(page) - 1
