"""Brings a contact that is there to what a record says: its fields, then its associations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm.contact import ASSOCIATIONS
from appcrm.errors import InvalidRecord
from target_appcrm.match.keys import EMAIL
from target_appcrm.report.receipts import Receipt, shown_id
from target_appcrm.write.associations import needs_current, plan_associations
from target_appcrm.write.diff import difference, with_changes, with_first_name
from target_appcrm.write.refusals import refused_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from appcrm.client import Client
    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.report.receipts import Outcome
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.answers import Answers
    from target_appcrm.write.association_calls import Links
    from target_appcrm.write.custom_fields import Forms


class Updates:
    """Updates contacts, and only where something differs; safe to share between threads.

    Args:
        requests_of_thread: requests that the calling thread has sent so far.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        answers: Answers,
        links: Links,
        forms: Forms,
        requests_of_thread: Callable[[], int],
    ) -> None:
        self._client = client
        self._settings = settings
        self._answers = answers
        self._links = links
        self._forms = forms
        self._requests_of_thread = requests_of_thread
        self.retrieves_for_associations = 0

    def update(self, change: Change, contact: Contact, outcome: Outcome) -> None:
        """Send what differs, or nothing.

        Raises:
            Unwritable: the record is refused.
            ApiError: the CRM refused or failed.
        """
        before = self._requests_of_thread()
        outcome.contact = contact
        body, changes = difference(
            change.fields,
            contact,
            clears_nulls=self._settings.null_handling == "clear",
            skips_unchanged=self._settings.skip_unchanged,
        )
        contact = self._with_sets(change, contact)
        held = {name: contact[name] for name in ASSOCIATIONS if name in contact}
        plan = plan_associations(change.associations, change.modes, held, has_update=bool(body))
        if not body and not plan.calls:
            outcome.contact = contact
            spent = self._requests_of_thread() - before
            outcome.receipts.append(Receipt("unchanged", shown_id(contact["id"]), requests=spent))
            return
        if body:
            changes |= {name: [held.get(name), ids] for name, ids in plan.body.items()}
            sent = with_first_name({**body, **plan.body}, change.fields, contact)
            if self._settings.dry_run:
                updated = with_changes(contact, {**body, **plan.body})
            else:
                updated = self.put(contact, sent)
                self._links.note_growth(plan.body, updated)
            outcome.receipts.append(
                Receipt(
                    "update",
                    shown_id(contact["id"]),
                    changes,
                    status=None if self._settings.dry_run else 200,
                    requests=self._requests_of_thread() - before,
                )
            )
            contact = updated
            before = self._requests_of_thread()
        self._answers.remember(contact, outcome)
        self._links.call(plan.calls, contact, outcome, before)

    def set_address(self, contact: Contact, address: str | None, outcome: Outcome) -> None:
        """Give a contact an e-mail address, or none."""
        before = self._requests_of_thread()
        body = with_first_name({EMAIL: address}, {}, contact)
        is_dry = self._settings.dry_run
        updated = with_changes(contact, body) if is_dry else self.put(contact, body)
        outcome.receipts.append(
            Receipt(
                "update",
                shown_id(contact["id"]),
                {EMAIL: [contact.get(EMAIL), address]},
                status=None if is_dry else 200,
                requests=self._requests_of_thread() - before,
            )
        )
        self._answers.remember(updated, outcome)

    def put(self, contact: Contact, body: dict[str, Any]) -> Contact:
        """Send an update and return the contact after it."""
        try:
            answer, taken = self._forms.send(
                self._forms.fit(body), lambda form: self._client.update_contact(contact["id"], form)
            )
        except InvalidRecord as error:
            raise refused_fields(error) from error
        return {**with_changes(contact, taken), **self._answers.read(answer, contact["id"])}

    def _with_sets(self, change: Change, contact: Contact) -> Contact:
        """Return a contact with the sets that its associations are planned from, retrieving it where it must be."""
        needed = needs_current(change.associations, change.modes)
        if all(name in contact for name in needed) or contact["id"] < 0:
            return contact
        if needed == ["activities"] and "companies" in contact and "deals" in contact:
            # Whatever showed the other sets does not show this one.
            return contact
        self.retrieves_for_associations += 1
        now = self._answers.read(self._client.retrieve_contact(contact["id"]), contact["id"])
        # A dry run's plans have not reached the CRM.
        return {**now, **contact} if self._settings.dry_run else {**contact, **now}
