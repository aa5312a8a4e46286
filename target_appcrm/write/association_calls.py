"""Association calls on one contact: sends them, understands a 409, and notes what the CRM added by itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from appcrm.contact import ASSOCIATIONS
from appcrm.errors import Conflict, InvalidRecord
from target_appcrm.report.receipts import Receipt, shown_id
from target_appcrm.write.associations import applied
from target_appcrm.write.refusals import refused_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appcrm.client import Client
    from target_appcrm.match.keys import Contact
    from target_appcrm.report.receipts import Outcome
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.answers import Answers
    from target_appcrm.write.associations import Sets


class Links:
    """Attaches, detaches and syncs; safe to share between threads, one contact per thread at a time.

    Args:
        requests_of_thread: requests that the calling thread has sent so far.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        answers: Answers,
        requests_of_thread: Callable[[], int],
    ) -> None:
        self._client = client
        self._settings = settings
        self._answers = answers
        self._requests_of_thread = requests_of_thread
        self.grown_sets = 0
        """Contacts that had more associations after a sync than were asked for."""

    def call(self, calls: Mapping[str, Sets], contact: Contact, outcome: Outcome, before: int) -> None:
        """Send association calls; the first one also tells of requests that were sent to plan it."""
        for call, sets in calls.items():
            held = {name: contact[name] for name in ASSOCIATIONS if name in contact}
            after = applied(call, sets, held)
            status = None
            if not self._settings.dry_run:
                answer = self._send_call(call, sets, contact)
                status = 200
                if call == "sync":
                    self.note_growth(sets, answer)
                after |= {name: answer[name] for name in ASSOCIATIONS if name in answer}
            changes = {name: [held.get(name), sorted(after.get(name, ids))] for name, ids in sets.items()}
            contact = {**contact, **after}
            spent = self._requests_of_thread() - before
            outcome.receipts.append(
                Receipt(call, shown_id(contact["id"]), changes, status=status, requests=spent)
            )
            before = self._requests_of_thread()
            self._answers.remember(contact, outcome)

    def _send_call(self, call: str, sets: Sets, contact: Contact) -> Contact:
        send = {"attach": self._client.attach, "detach": self._client.detach, "sync": self._client.sync}[call]
        try:
            return self._answers.read(send(contact["id"], sets), contact["id"])
        except InvalidRecord as error:
            raise refused_fields(error) from error
        except Conflict as error:
            if call != "attach":
                raise
            return self._attach_rest(sets, contact["id"], error)

    def _attach_rest(self, sets: Sets, contact_id: int, conflict: Conflict) -> Contact:
        """Attach what is not there yet, after the CRM said that some of it is.

        Sets that a Retrieve shows are compared with it. Of others, each id goes alone, and 409 means that it was
        there.
        """
        now = self._answers.read(self._client.retrieve_contact(contact_id), contact_id)
        if not any(name in now and set(ids) & set(now[name]) for name, ids in sets.items()) and all(
            name in now for name in sets
        ):
            raise conflict
        rest = {
            name: missing
            for name, ids in sets.items()
            if name in now and (missing := [number for number in ids if number not in now[name]])
        }
        if rest:
            now = self._answers.read(self._client.attach(contact_id, rest), contact_id)
        for name in (name for name in sets if name not in now):
            for number in sets[name]:
                with contextlib.suppress(Conflict):
                    self._client.attach(contact_id, {name: [number]})
        return now

    def note_growth(self, sets: Mapping[str, list[int]], contact: Contact) -> None:
        """Note a contact with more associations than a sync asked for."""
        if any(set(contact.get(name, ids)) - set(ids) for name, ids in sets.items()):
            self.grown_sets += 1
