"""One record to one contact: find out what is to be done, do it, and tell what was done."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appcrm.contact import ASSOCIATIONS, BODY_ASSOCIATIONS, normalise
from appcrm.errors import ApiError, Conflict, InvalidRecord
from target_appcrm.associations import applied, needs_current, plan_associations
from target_appcrm.errors import Unwritable
from target_appcrm.matching import EMAIL, ID, holds, key_values, match_keys, resolve
from target_appcrm.planning import body_for_create, difference, with_changes, with_first_name
from target_appcrm.receipts import Receipt, shown_id
from target_appcrm.records import CONTACT_ASSOCIATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appcrm.client import Client
    from target_appcrm.associations import AssociationPlan, Sets
    from target_appcrm.lookup import Lookups
    from target_appcrm.matching import Contact
    from target_appcrm.records import Change
    from target_appcrm.settings import TargetSettings

LOOKS_AFTER_UNKNOWN_OUTCOME = 2
"""A commit may land after its answer was lost, so absence is believed the second time."""
FIRST_LOOK_SECONDS = 0.5
OUTCOME_UNKNOWN = "outcome unknown"
NEW_CONTACT: dict[str, Any] = {"phones": [], "tags": [], **{name: [] for name in BODY_ASSOCIATIONS}}
"""What a dry run takes a contact to hold that it planned, beside what was sent."""
UPDATE_ONLY_SKIP = "mode is update_only, and no contact matches"
CREATE_ONLY_SKIP = "mode is create_only, and the contact is there"


@dataclass
class Outcome:
    """What came of one record: its receipts, and the contact as it is now, where there is one."""

    receipts: list[Receipt] = field(default_factory=list)
    contact: Contact | None = None


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
        self._client = client
        self._settings = settings
        self._lookups = lookups
        self._sleep = sleep
        self._requests_of_thread = requests_of_thread
        self._planned_ids = itertools.count(-1, -1)
        self.retrieves_for_associations = 0
        self.grown_sets = 0
        """Contacts that had more associations after a sync than were asked for."""

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
            self._update(change, contact, outcome)
        elif contact is None:
            self._create(change, outcome)
        elif self._settings.mode == "create_only":
            outcome.contact = contact
            outcome.receipts.append(Receipt("skipped", shown_id(contact["id"]), reason=CREATE_ONLY_SKIP))
        else:
            self._update(change, contact, outcome)

    # Create

    def _create(self, change: Change, outcome: Outcome) -> None:
        if self._settings.mode == "update_only":
            outcome.receipts.append(Receipt("skipped", reason=UPDATE_ONLY_SKIP))
            return
        body = body_for_create(change.fields)
        plan = plan_associations(change.associations, change.modes, None, has_update=False)
        before = self._requests_of_thread()
        if self._settings.dry_run:
            created: Contact = {"id": next(self._planned_ids), **NEW_CONTACT, **body, **plan.body}
        else:
            answer = self._post({**body, **plan.body}, change, outcome)
            if answer is None:
                return
            created = answer
        changes = {name: [None, value] for name, value in {**body, **plan.body}.items()}
        outcome.receipts.append(
            Receipt(
                "create",
                shown_id(created["id"]),
                changes,
                status=None if self._settings.dry_run else 201,
                requests=self._requests_of_thread() - before,
            )
        )
        self._remember(created, outcome)
        self._correct(change, plan, created)
        self._call(plan.calls, created, outcome, self._requests_of_thread())

    def _post(self, body: dict[str, Any], change: Change, outcome: Outcome) -> Contact | None:
        """Create a contact exactly once; None where the record went on as an update of one that was there."""
        for attempt in range(self._settings.max_tries):
            try:
                return self._read(self._client.create_contact(body))
            except InvalidRecord as error:  # noqa: PERF203  a request costs a thousand times as much
                found = self._holder(change, error)
                if found is None:
                    raise self._refused(error) from error
                if self._settings.mode == "create_only":
                    outcome.receipts.append(Receipt("skipped", found["id"], reason=CREATE_ONLY_SKIP))
                else:
                    self._update(change, found, outcome)
                return None
            except ApiError as error:
                if not error.outcome_unknown:
                    raise
                found = self._look_for_created(change, error)
                if found is not None:
                    return self._completed(found, body)
                if attempt + 1 == self._settings.max_tries:
                    raise
        return None

    def _look_for_created(self, change: Change, error: ApiError) -> Contact | None:
        """Look whether a create whose answer was lost was carried out.

        Raises:
            Unwritable: there is no key to look it up by.
        """
        keys = [key for key in change.keys if key.field != ID] or match_keys((EMAIL,), change.fields)
        if not keys:
            raise Unwritable(
                f"{OUTCOME_UNKNOWN}: the create got no clear answer, and the record has no key to look it up by; "
                "look in the CRM before sending it again",
                cause=OUTCOME_UNKNOWN,
                status=error.status,
            ) from error
        for look in range(LOOKS_AFTER_UNKNOWN_OUTCOME):
            self._sleep(FIRST_LOOK_SECONDS * 2**look)
            found = resolve(keys, self._lookups.find_again(tuple(keys)).values())
            if found is not None:
                return found
        return None

    def _completed(self, found: Contact, body: Mapping[str, Any]) -> Contact:
        """Bring a contact that was created without an answer to what was sent, should it differ."""
        fields = {name: value for name, value in body.items() if name not in ASSOCIATIONS}
        changed, _ = difference(fields, found, clears_nulls=False)
        sets = {name: body[name] for name in ASSOCIATIONS if name in body}
        lacking = {name: ids for name, ids in sets.items() if set(found.get(name, ids)) != set(ids)}
        if not changed and not lacking:
            return {**found, **sets}
        return self._put(found, with_first_name({**changed, **lacking}, fields, found))

    def _holder(self, change: Change, error: InvalidRecord) -> Contact | None:
        """Find the contact that holds an e-mail address or phone number which a create was refused for."""
        refused = {name.partition(".")[0] for name in error.field_errors}
        keys = tuple(key for key in change.keys if key.field.partition(".")[0] in refused)
        if EMAIL in refused and not any(key.field == EMAIL for key in keys):
            keys += match_keys((EMAIL,), change.fields)
        if not keys:
            return None
        found = resolve(keys, self._lookups.find_again(keys).values())
        if found is None:
            return None
        others = [key.field for key in change.keys if key.field in self._settings.custom_keys]
        if any(key_values(field, found) for field in others) and not any(
            holds(found, k) for k in change.keys
        ):
            raise Unwritable(
                f"another contact ({found['id']}) has the e-mail address, and a different {' and '.join(others)}",
                cause="its e-mail address belongs to another contact",
            )
        everything = resolve(
            change.keys, {**self._lookups.find_again(change.keys), found["id"]: found}.values()
        )
        return everything or found

    # Update

    def _update(self, change: Change, contact: Contact, outcome: Outcome) -> None:
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
                updated = self._put(contact, sent)
                self._note_growth(plan.body, updated)
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
        self._remember(contact, outcome)
        self._call(plan.calls, contact, outcome, before)

    def _put(self, contact: Contact, body: dict[str, Any]) -> Contact:
        try:
            answer = self._client.update_contact(contact["id"], body)
        except InvalidRecord as error:
            raise self._refused(error) from error
        return {**with_changes(contact, body), **self._read(answer, contact["id"])}

    def _with_sets(self, change: Change, contact: Contact) -> Contact:
        """Return a contact with the sets that its associations are planned from, retrieving it where it must be."""
        needed = needs_current(change.associations, change.modes)
        if all(name in contact for name in needed) or contact["id"] < 0:
            return contact
        if needed == ["activities"] and "companies" in contact and "deals" in contact:
            # Whatever showed the other sets does not show this one.
            return contact
        self.retrieves_for_associations += 1
        now = self._read(self._client.retrieve_contact(contact["id"]), contact["id"])
        # A dry run's plans have not reached the CRM.
        return {**now, **contact} if self._settings.dry_run else {**contact, **now}

    # Associations

    def _correct(self, change: Change, plan: AssociationPlan, created: Contact) -> None:
        """Plan away what a create attached on its own, by e-mail domain, beyond a set that is to be exact."""
        for name in BODY_ASSOCIATIONS:
            ids, held = change.associations.get(name), created.get(name)
            if ids is None or held is None:
                continue
            if change.modes[name] == "sync" and set(held) != set(ids):
                plan.calls.setdefault("sync", {})[name] = ids
            elif name in plan.body and not set(ids) <= set(held):
                plan.calls.setdefault("attach", {})[name] = [number for number in ids if number not in held]

    def _call(self, calls: Mapping[str, Sets], contact: Contact, outcome: Outcome, before: int) -> None:
        """Send association calls; the first one also tells of requests that were sent to plan it."""
        for call, sets in calls.items():
            held = {name: contact[name] for name in ASSOCIATIONS if name in contact}
            after = applied(call, sets, held)
            status = None
            if not self._settings.dry_run:
                answer = self._send_call(call, sets, contact)
                status = 200
                if call == "sync":
                    self._note_growth(sets, answer)
                after |= {name: answer[name] for name in ASSOCIATIONS if name in answer}
            changes = {name: [held.get(name), sorted(after.get(name, ids))] for name, ids in sets.items()}
            contact = {**contact, **after}
            spent = self._requests_of_thread() - before
            outcome.receipts.append(
                Receipt(call, shown_id(contact["id"]), changes, status=status, requests=spent)
            )
            before = self._requests_of_thread()
            self._remember(contact, outcome)

    def _send_call(self, call: str, sets: Sets, contact: Contact) -> Contact:
        send = {"attach": self._client.attach, "detach": self._client.detach, "sync": self._client.sync}[call]
        try:
            return self._read(send(contact["id"], sets), contact["id"])
        except InvalidRecord as error:
            raise self._refused(error) from error
        except Conflict as error:
            if call != "attach":
                raise
            return self._attach_rest(sets, contact["id"], error)

    def _attach_rest(self, sets: Sets, contact_id: int, conflict: Conflict) -> Contact:
        """Attach what is not there yet, after the CRM said that some of it is.

        Sets that a Retrieve shows are compared with it. Of others, each id goes alone, and 409 means that it was
        there.
        """
        now = self._read(self._client.retrieve_contact(contact_id), contact_id)
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
            now = self._read(self._client.attach(contact_id, rest), contact_id)
        for name in (name for name in sets if name not in now):
            for number in sets[name]:
                with contextlib.suppress(Conflict):
                    self._client.attach(contact_id, {name: [number]})
        return now

    def _note_growth(self, sets: Mapping[str, list[int]], contact: Mapping[str, Any]) -> None:
        if any(set(contact.get(name, ids)) - set(ids) for name, ids in sets.items()):
            self.grown_sets += 1

    # What is common to all

    def _read(self, answer: Mapping[str, Any], contact_id: int | None = None) -> Contact:
        contact = normalise(dict(answer), self._settings.custom_names)
        if contact_id is not None:
            contact["id"] = contact_id
        return contact

    def _remember(self, contact: Contact, outcome: Outcome) -> None:
        outcome.contact = contact
        self._lookups.remember(contact)

    @staticmethod
    def _refused(error: InvalidRecord) -> Unwritable:
        """Say why the CRM refused a record, with its own texts for the receipt and field names for the summary."""
        texts = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.field_errors.items())
        names = sorted({name.partition(".")[0] for name in error.field_errors})
        reason = f"status {error.status}: {texts or error.detail}"
        if "email" in names:
            reason += (
                " (another contact holds this address, perhaps one in the trash or one that the token cannot see; "
                "a user of the CRM may hold it, too)"
            )
        cause = f"status {error.status}" + (f" on {', '.join(names)}" if names else "")
        return Unwritable(reason, cause=cause, status=error.status)
