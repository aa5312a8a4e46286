"""One record to one contact: creates it, updates it or leaves it, as the mode allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.contact import is_custom_field
from target_appcrm.errors import Unwritable
from target_appcrm.match.keys import resolve
from target_appcrm.read.stream_schema import CONTACT_ASSOCIATIONS
from target_appcrm.report.receipts import Receipt, shown_id
from target_appcrm.write.answers import Answers
from target_appcrm.write.association_calls import Links
from target_appcrm.write.create import CREATE_ONLY_SKIP, Creates
from target_appcrm.write.custom_fields import Forms
from target_appcrm.write.update import Updates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appcrm.client import Client
    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup import Lookups
    from target_appcrm.read.change import Change
    from target_appcrm.report.receipts import Outcome
    from target_appcrm.settings import TargetSettings


class Writer:
    """Applies records to contacts; safe to share between threads, one contact per thread at a time.

    Args:
        client: the API.
        settings: of the target.
        lookups: finds contacts, and is told what became of them.
        sleep: waits for seconds; it may raise to end the run early.
        requests_of_thread: requests that the calling thread has sent so far.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        lookups: Lookups,
        *,
        sleep: Callable[[float], None],
        requests_of_thread: Callable[[], int],
    ) -> None:
        self._settings = settings
        answers = Answers(settings.custom_names, lookups.remember)
        self._links = Links(client, settings, answers, requests_of_thread)
        forms = Forms(lambda name: is_custom_field(name, settings.custom_names), lookups.example)
        self._updates = Updates(client, settings, answers, self._links, forms, requests_of_thread)
        self._creates = Creates(
            client,
            settings,
            lookups,
            answers,
            self._links,
            self._updates,
            forms,
            sleep=sleep,
            requests_of_thread=requests_of_thread,
        )

    @property
    def retrieves_for_associations(self) -> int:
        """Requests that went into reading associations, which lists and searches did not carry."""
        return self._updates.retrieves_for_associations

    @property
    def grown_sets(self) -> int:
        """Contacts that had more associations after a sync than were asked for."""
        return self._links.grown_sets

    def apply(self, change: Change, stream: str, known: Mapping[int, Contact], outcome: Outcome) -> None:
        """Bring the contact that a record means to what the record says.

        Args:
            change: what the record says.
            stream: ``contacts`` or ``contact_associations``.
            known: contacts that its keys may mean.
            outcome: filled step by step, so that it tells what was done even where a later step fails.

        Raises:
            Unwritable: the record is refused.
            ApiError: the CRM refused or failed.
        """
        contact = resolve(change.keys, known.values())
        if stream == CONTACT_ASSOCIATIONS:
            if contact is None:
                raise Unwritable("no contact matches", cause="no contact matches")
            if self._settings.mode == "create_only":
                outcome.receipts.append(Receipt("skipped", shown_id(contact["id"]), reason=CREATE_ONLY_SKIP))
                return
            self._updates.update(change, contact, outcome)
        elif contact is None:
            self._creates.create(change, outcome)
        elif self._settings.mode == "create_only":
            outcome.contact = contact
            outcome.receipts.append(Receipt("skipped", shown_id(contact["id"]), reason=CREATE_ONLY_SKIP))
        else:
            self._updates.update(change, contact, outcome)

    def set_address(self, contact: Contact, address: str | None, outcome: Outcome) -> None:
        """Give a contact an e-mail address, or none, beside what its record says.

        Raises:
            Unwritable: the CRM refused.
            ApiError: the CRM failed.
        """
        self._updates.set_address(contact, address, outcome)
