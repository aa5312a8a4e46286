"""Creates a contact exactly once, however unclear the answer."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from appcrm.contact import ASSOCIATIONS, BODY_ASSOCIATIONS
from appcrm.errors import ApiError, InvalidRecord
from target_appcrm.errors import Unwritable
from target_appcrm.match.keys import EMAIL, ID, holds, key_values, match_keys, resolve
from target_appcrm.report.receipts import Receipt, shown_id
from target_appcrm.write.associations import plan_associations
from target_appcrm.write.diff import body_for_create, difference, with_first_name
from target_appcrm.write.refusals import refused_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appcrm.client import Client
    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup import Lookups
    from target_appcrm.read.change import Change
    from target_appcrm.report.receipts import Outcome
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.answers import Answers
    from target_appcrm.write.association_calls import Links
    from target_appcrm.write.associations import AssociationPlan
    from target_appcrm.write.custom_fields import Forms
    from target_appcrm.write.update import Updates

LOOKS_AFTER_UNKNOWN_OUTCOME = 2
"""A commit may land after its answer was lost, so absence is believed the second time."""
FIRST_LOOK_SECONDS = 0.5
OUTCOME_UNKNOWN = "outcome unknown"
NEW_CONTACT: dict[str, Any] = {"phones": [], "tags": [], **{name: [] for name in BODY_ASSOCIATIONS}}
"""What a dry run takes a contact to hold that it planned, beside what was sent."""
UPDATE_ONLY_SKIP = "mode is update_only, and no contact matches"
CREATE_ONLY_SKIP = "mode is create_only, and the contact is there"


class Creates:
    """Creates contacts; what turns out to be there is updated instead. Safe to share between threads.

    Args:
        sleep: waits for seconds; it may raise to end the run early.
        requests_of_thread: requests that the calling thread has sent so far.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        lookups: Lookups,
        answers: Answers,
        links: Links,
        updates: Updates,
        forms: Forms,
        *,
        sleep: Callable[[float], None],
        requests_of_thread: Callable[[], int],
    ) -> None:
        self._client = client
        self._settings = settings
        self._lookups = lookups
        self._answers = answers
        self._links = links
        self._updates = updates
        self._forms = forms
        self._sleep = sleep
        self._requests_of_thread = requests_of_thread
        self._planned_ids = itertools.count(-1, -1)

    def create(self, change: Change, outcome: Outcome) -> None:
        """Create the contact that a record describes, with its associations.

        Raises:
            Unwritable: the record is refused.
            ApiError: the CRM refused or failed.
        """
        if self._settings.mode == "update_only":
            outcome.receipts.append(Receipt("skipped", reason=UPDATE_ONLY_SKIP))
            return
        body = self._forms.fit(body_for_create(change.fields))
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
        self._answers.remember(created, outcome)
        _correct(change, plan, created)
        self._links.call(plan.calls, created, outcome, self._requests_of_thread())

    def _post(self, body: dict[str, Any], change: Change, outcome: Outcome) -> Contact | None:
        """Create a contact exactly once; None where the record went on as an update of one that was there."""
        for attempt in range(self._settings.max_tries):
            try:
                answer, _ = self._forms.send(body, self._client.create_contact)
                return self._answers.read(answer)
            except InvalidRecord as error:  # noqa: PERF203  a request costs a thousand times as much
                found = self._holder(change, error)
                if found is None:
                    raise refused_fields(error) from error
                if self._settings.mode == "create_only":
                    outcome.receipts.append(Receipt("skipped", found["id"], reason=CREATE_ONLY_SKIP))
                else:
                    self._updates.update(change, found, outcome)
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
        return self._updates.put(found, with_first_name({**changed, **lacking}, fields, found))

    def _holder(self, change: Change, error: InvalidRecord) -> Contact | None:
        """Find the contact that holds an e-mail address or phone number which a create was refused for."""
        refused = {name.partition(".")[0] for name in error.field_errors}
        keys = tuple(key for key in change.keys if key.field.partition(".")[0] in refused)
        if EMAIL in refused and not any(key.field == EMAIL for key in keys):
            keys += match_keys((EMAIL,), change.fields)
        if not keys:
            return None
        found = resolve(keys, self._lookups.find_taken(keys).values())
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
        rest = tuple(key for key in change.keys if key not in keys)
        return resolve(change.keys, {**self._lookups.find_again(rest), found["id"]: found}.values()) or found


def _correct(change: Change, plan: AssociationPlan, created: Contact) -> None:
    """Plan away what a create attached on its own, by e-mail domain, beyond a set that is to be exact."""
    for name in BODY_ASSOCIATIONS:
        ids, held = change.associations.get(name), created.get(name)
        if ids is None or held is None:
            continue
        if change.modes[name] == "sync" and set(held) != set(ids):
            plan.calls.setdefault("sync", {})[name] = ids
        elif name in plan.body and not set(ids) <= set(held):
            plan.calls.setdefault("attach", {})[name] = [number for number in ids if number not in held]
