"""Finds the contacts that records mean, in as few requests as the server allows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from appcrm.abilities import Abilities
from appcrm.errors import Forbidden, ServerFault
from target_appcrm.match.costs import Costs, is_paging_cheaper, is_size_worth_asking
from target_appcrm.match.fetching import Fetches
from target_appcrm.match.full_scan import WholeCrm
from target_appcrm.match.keys import EMAIL, ID, PHONE, MatchKey
from target_appcrm.match.lookup_result import Found, Witnesses
from target_appcrm.match.names import Names
from target_appcrm.match.search import Searches
from target_appcrm.match.ways import VALUES_PER_REQUEST, VALUES_PER_SEARCH, Way, fits, is_searchable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from appcrm.client import Client
    from target_appcrm.match.cache import ContactIndex
    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.workers import Workers

    Keys = tuple[MatchKey, ...]

RECORDS_AT_ONCE = 10 * VALUES_PER_SEARCH
FEWEST_TOGETHER = 3
FEW_PAGES = 10
"""So many are read without a second thought."""
RECORDS_WHERE_DEAR = 60
"""A request each takes 40 seconds at 90 a minute."""

logger = logging.getLogger("target-appcrm")


class Lookups:
    """Finds contacts by search or in an index of the whole CRM, whichever costs fewer requests.

    A dry run's plans in the index go before what the CRM holds.

    Args:
        index: filled when the CRM is paged through, or holding what a dry run planned.
        abilities: what the CRM can do, as far as it is known by now; what is not known is tried.
        creatable: compared names of the companies that a plan lets be created; None for any.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        workers: Workers,
        index: ContactIndex,
        abilities: Callable[[], Abilities] = Abilities,
        creatable: frozenset[str] | None = None,
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._index = index
        # The id comes last: a contact found otherwise tells its id for nothing.
        self._fields = sorted(settings.key_fields, key=lambda field: field == ID)
        witnesses = Witnesses(settings.key_fields)
        fetches = Fetches(client, settings.custom_names)
        self._crm = WholeCrm(fetches, settings, workers, index, witnesses)
        self.names = Names(client, settings, workers, abilities, creatable, self._crm.example)
        self._searches = Searches(fetches, workers, self._crm, witnesses, abilities)

    # What others need

    def find(self, keysets: Iterable[Keys], *, with_associations: bool = False) -> Found:
        """Find the contacts that any of the keys mean.

        A key that a contact already found holds itself is not looked up again.

        Raises:
            ApiError: the CRM cannot be searched or listed.
            SettingsError: a match key that no contact has.
        """
        self._crm.age()
        pending = [keys for keys in keysets if keys]
        found = Found(self._settings.key_fields)
        self._searches.failed = found.failed
        for field in self._fields:
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
            found.add(self._find_closely(doubtful, include=with_associations))
        return found

    def resolve_names(self, changes: Iterable[Change], found: Found) -> None:
        """Put ids in the place of the names in changes whose contacts were looked up, and check what is new in them.

        Raises:
            ApiError: the CRM failed.
        """
        pairs = []
        for change in changes:
            known = found.of(change.keys)
            pairs.append((change, next(iter(known.values())) if len(known) == 1 else None))
        self.names.resolve(pairs)

    def look_ahead(self, keysets: Iterable[Keys]) -> None:
        """Ask for the CRM's size in the background, where the first look-up of the run will ask for it anyway.

        Args:
            keysets: of records without associations; those that follow before the look-up can only add keys.
        """
        field = self._fields[0]
        keys = {key.token: key for keys in keysets for key in keys if key.field == field}
        if is_size_worth_asking(self._costs(field, list(keys.values()))):
            self._crm.send_for_page_one()

    def find_again(self, keys: Keys) -> dict[int, Contact]:
        """Search one record's keys once more, each on its own: for a create whose outcome is unknown."""
        found: dict[int, Contact] = {}
        for key in keys:
            found |= {contact["id"]: contact for contact in self._searches.one(key)}
        return found

    def find_taken(self, keys: Keys) -> dict[int, Contact]:
        """Search the contact that holds what the CRM refused as taken."""
        return self.find_again(keys)

    @property
    def records_at_once(self) -> int:
        """How many records to look up together: few where each costs a request, so that states are not held long.

        One is enough as soon as it is known that no look-up will cost any.
        """
        if self._crm.is_all_here:
            return 1
        is_dear = self._searches.way(self._fields[0]) is Way.SINGLE and not self._crm.is_complete
        return RECORDS_WHERE_DEAR if is_dear else RECORDS_AT_ONCE

    def total(self) -> int | None:
        """Return how many contacts the CRM says it has."""
        return self._crm.page_one().total

    def example(self, field: str) -> object:
        """Return what some contact holds in a custom field, if that is known without a request; else None."""
        return self._crm.example(field)

    def remember(self, contact: Contact) -> None:
        """Note a contact as a write left it, or as a dry run would have."""
        self._crm.remember(contact)

    def note_written(self) -> None:
        """Do now what the next look-up would have to do first: the threads that write are busy with requests."""
        self._index.flush()

    def forget(self, contact_id: int) -> None:
        """Note that a contact is gone."""
        self._crm.forget(contact_id)

    # Search, filter or page

    def _find_field(self, field: str, keys: list[MatchKey], *, include: bool) -> list[Contact]:
        if self._crm.is_complete:
            return self._from_index(keys)
        is_size_needed = is_size_worth_asking(self._costs(field, keys))
        if self._is_all_needed(field, keys) or (
            is_size_needed and self._is_all_worth_reading(field, keys, include=include)
        ):
            return self._read_then_find(keys, include=include)
        while (way := self._searches.way(field)) is not Way.SINGLE:
            together = [key for key in keys if fits(way, field, key.shown)]
            if len(together) < FEWEST_TOGETHER and self._can_be_searched(field, keys):
                break
            contacts = self._searches.many(field, together, include=include)
            if contacts is not None:
                contacts += self._searches.each(key for key in keys if not fits(way, field, key.shown))
                return self._with_plans(contacts, keys)
            if self._is_all_needed(field, keys) or self._is_all_worth_reading(field, keys, include=include):
                return self._read_then_find(keys, include=include)
        try:
            return self._with_plans(self._searches.each(keys), keys)
        except (Forbidden, ServerFault):
            if field in (EMAIL, ID):
                raise
            logger.warning("The CRM cannot be searched by %s, so all of its contacts are read once", field)
            return self._read_then_find(keys, include=include)

    @staticmethod
    def _can_be_searched(field: str, keys: list[MatchKey]) -> bool:
        return all(is_searchable(field, key.shown) for key in keys)

    def _is_all_needed(self, field: str, keys: list[MatchKey]) -> bool:
        """Whether a key cannot be carried by the search, and filters cannot find it either."""
        return self._searches.way(field) is not Way.FILTERS and not self._can_be_searched(field, keys)

    def _is_all_worth_reading(self, field: str, keys: list[MatchKey], *, include: bool) -> bool:
        self._crm.page_one(include=include)
        return self._crm.is_page_one_all or is_paging_cheaper(self._costs(field, keys))

    def _costs(self, field: str, keys: list[MatchKey]) -> Costs:
        return Costs(
            keys=len(keys),
            searched=self._searches.sent,
            per_request=VALUES_PER_REQUEST[self._searches.way(field)],
            pages=self._crm.pages_left,
        )

    def _read_then_find(self, keys: list[MatchKey], *, include: bool) -> list[Contact]:
        self._crm.read(include=include)
        return self._from_index(keys)

    def _from_index(self, keys: Iterable[MatchKey]) -> list[Contact]:
        return [contact for key in keys for contact in self._index.find(key)]

    def _with_plans(self, contacts: list[Contact], keys: Iterable[MatchKey]) -> list[Contact]:
        """Put what a dry run planned before what the CRM holds."""
        if not self._settings.dry_run:
            return contacts
        planned = [self._index.get(contact["id"]) or contact for contact in contacts]
        return [*planned, *self._from_index(keys)]

    # Absence that would double a contact if it were wrong

    def _is_absence_doubtful(self, keys: Keys) -> bool:
        """Whether a contact may be there although no key found it: phones are written in many ways."""
        if self._crm.is_complete:
            return not self._crm.is_proven and all(key.field != EMAIL for key in keys)
        return any(key.field == PHONE for key in keys)

    def _find_closely(self, keysets: list[Keys], *, include: bool) -> list[Contact]:
        """Look for phones however the CRM writes them, and again for what an unproven index does not hold."""
        keys = list({key.token: key for keys in keysets for key in keys}.values())
        phones = [key for key in keys if key.field == PHONE]
        if phones and not self._crm.is_complete:
            self._crm.page_one(include=include)
            if (self._crm.pages_left or 0) <= max(FEW_PAGES, len(phones)):
                return self._read_then_find(phones, include=include)
        found = self._workers.map(self._searches.closely, phones or keys)
        return self._with_plans([contact for some in found for contact in some], keys)
