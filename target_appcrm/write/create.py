"""Creates a contact exactly once, however unclear the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm.contact import ASSOCIATIONS, BODY_ASSOCIATIONS, is_custom_field
from appcrm.errors import ApiError, InvalidRecord
from target_appcrm.errors import Unwritable
from target_appcrm.match.keys import EMAIL, ID, holds, key_values, match_keys, resolve
from target_appcrm.report.decisions import Decision, shown_id
from target_appcrm.write.association_calls import call_all, note_answer
from target_appcrm.write.associations import plan_associations
from target_appcrm.write.diff import body_for_create, difference
from target_appcrm.write.policy import left_alone
from target_appcrm.write.refusals import refused_fields
from target_appcrm.write.update import is_known_missing, update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.report.decisions import Outcome
    from target_appcrm.write.associations import AssociationPlan
    from target_appcrm.write.context import WriteContext

LOOKS_AFTER_UNKNOWN_OUTCOME = 2
"""A commit may land after its answer was lost, so absence is believed the second time."""
FIRST_LOOK_SECONDS = 0.5
OUTCOME_UNKNOWN = "outcome unknown"
NEW_CONTACT: dict[str, Any] = {"phones": [], "tags": [], **{name: [] for name in BODY_ASSOCIATIONS}}
"""What a dry run takes a contact to hold that it planned, beside what was sent."""
UPDATE_ONLY_SKIP = "mode is update_only, and no contact matches"
CREATE_ONLY_SKIP = "mode is create_only, and the contact is there"


def create(ctx: WriteContext, change: Change, outcome: Outcome) -> None:
    """Create the contact that a record describes, with its associations.

    Raises:
        Unwritable: the record is refused.
        ApiError: the CRM refused or failed.
        RunStopped: this would be one more than ``max_creates``.
    """
    if ctx.settings.mode == "update_only":
        outcome.decisions.append(Decision("skipped", reason=UPDATE_ONLY_SKIP))
        return
    body, plan, kept = wanted_of_new(ctx, change)
    before = ctx.requests.of_thread()
    ctx.ceilings.claim("create")
    if ctx.is_dry:
        created: Contact = {"id": next(ctx.planned_ids), **NEW_CONTACT, **body, **plan.body}
    else:
        answer = _post(ctx, {**body, **plan.body}, change, outcome)
        if answer is None:
            return
        created = answer
        note_answer(ctx, plan.body, created, is_exact=False)
    changes = {name: [None, value] for name, value in {**body, **plan.body}.items()}
    outcome.decisions.append(
        Decision(
            "create",
            shown_id(created["id"]),
            changes,
            left_alone=kept or None,
            status=None if ctx.is_dry else 201,
            requests=ctx.requests.of_thread() - before,
        )
    )
    ctx.remember(created, outcome)
    _correct(ctx, change, plan, created)
    call_all(ctx, plan.calls, created, outcome, ctx.requests.of_thread())


def wanted_of_new(
    ctx: WriteContext, change: Change
) -> tuple[dict[str, Any], AssociationPlan, dict[str, str]]:
    """Return a new contact's fields, its associations, and what the policy keeps back.

    Raises:
        Unwritable: it has no first name, or lacks a field that the CRM requires.
    """
    settings = ctx.settings
    if change.missing:
        raise Unwritable(
            f"{', '.join(change.missing)} is missing, and the CRM requires it",
            cause="a required custom field is missing",
        )
    body = ctx.encoding.fit(body_for_create(change.fields))
    wanted = {
        name: [number for number in ids if not is_known_missing(ctx, name, number)]
        for name, ids in change.associations.items()
    }
    custom = [name for name in body if is_custom_field(name, settings.custom_names)]
    kept = left_alone([*body, *wanted], None, settings.field_policy, settings.key_fields, custom)
    body = {name: value for name, value in body.items() if name not in kept}
    wanted = {name: ids for name, ids in wanted.items() if name not in kept}
    return body, plan_associations(wanted, change.modes, None, has_update=False), kept


def _post(ctx: WriteContext, body: dict[str, Any], change: Change, outcome: Outcome) -> Contact | None:
    """Create a contact exactly once; None where the record went on as one that means a contact that is there."""
    for attempt in range(ctx.settings.max_tries):
        try:
            answer, _ = ctx.encoding.send(body, ctx.client.create_contact)
            return ctx.read(answer)
        except InvalidRecord as error:  # noqa: PERF203  a request costs a thousand times as much
            found = _holder(ctx, change, error)
            if found is None:
                raise refused_fields(error) from error
            _go_on_with(ctx, change, found, outcome)
            return None
        except ApiError as error:
            if not error.outcome_unknown:
                raise
            found = _look_for_created(ctx, change, error)
            if found is not None:
                if _is_as_sent(found, body):
                    return {**found, **{name: body[name] for name in ASSOCIATIONS if name in body}}
                if not any(holds(found, key) for key in change.keys):
                    # Found by an address that is no match key: somebody else's, perhaps.
                    raise _unknown(
                        error, "a contact with its e-mail address is there, and it may not be ours"
                    ) from error
                _go_on_with(ctx, change, found, outcome)
                return None
            if attempt + 1 == ctx.settings.max_tries:
                raise
    return None


def _go_on_with(ctx: WriteContext, change: Change, found: Contact, outcome: Outcome) -> None:
    """Treat a record as what it turned out to be: one of a contact that is there."""
    outcome.contact = found
    if ctx.settings.mode == "create_only":
        outcome.decisions.append(Decision("skipped", found["id"], reason=CREATE_ONLY_SKIP))
    else:
        update(ctx, change, found, outcome)


def _is_as_sent(found: Contact, body: Mapping[str, Any]) -> bool:
    """Whether a contact is what a create would have made: then it did, or nothing needs to be done."""
    fields = {name: value for name, value in body.items() if name not in ASSOCIATIONS}
    changed, _ = difference(fields, found, clears_nulls=False)
    return not changed and all(
        set(body[name]) <= set(found.get(name, body[name])) for name in ASSOCIATIONS if name in body
    )


def _look_for_created(ctx: WriteContext, change: Change, error: ApiError) -> Contact | None:
    """Look whether a create whose answer was lost was carried out.

    Raises:
        Unwritable: there is no key to look it up by.
    """
    keys = [key for key in change.keys if key.field != ID] or match_keys((EMAIL,), change.fields)
    if not keys:
        raise _unknown(error, "the record has no key to look it up by") from error
    for look in range(LOOKS_AFTER_UNKNOWN_OUTCOME):
        ctx.sleep(FIRST_LOOK_SECONDS * 2**look)
        found = resolve(keys, ctx.lookups.find_again(tuple(keys)).values())
        if found is not None:
            return found
    return None


def _unknown(error: ApiError, why: str) -> Unwritable:
    return Unwritable(
        f"{OUTCOME_UNKNOWN}: the create got no clear answer, and {why}; look in the CRM before sending it again",
        cause=OUTCOME_UNKNOWN,
        status=error.status,
    )


def _holder(ctx: WriteContext, change: Change, error: InvalidRecord) -> Contact | None:
    """Find the contact that holds a match key which a create was refused for, as the record may mean it."""
    refused = {name.partition(".")[0] for name in error.field_errors}
    keys = tuple(key for key in change.keys if key.field.partition(".")[0] in refused)
    if not keys:
        return None
    found = resolve(keys, ctx.lookups.find_taken(keys).values())
    if found is None:
        return None
    others = [key.field for key in change.keys if key.field in ctx.settings.custom_keys]
    if any(key_values(field, found) for field in others) and not any(holds(found, k) for k in change.keys):
        raise Unwritable(
            f"another contact ({found['id']}) has the e-mail address, and a different {' and '.join(others)}",
            cause="its e-mail address belongs to another contact",
        )
    rest = tuple(key for key in change.keys if key not in keys)
    return resolve(change.keys, {**ctx.lookups.find_again(rest), found["id"]: found}.values()) or found


def _correct(ctx: WriteContext, change: Change, plan: AssociationPlan, created: Contact) -> None:
    """Plan away what a create attached on its own, by e-mail domain, beyond a set that is to be exact."""
    for name in BODY_ASSOCIATIONS:
        held = created.get(name)
        if name not in plan.body and name not in change.associations:
            continue
        ids = plan.body.get(name, change.associations.get(name))
        if ids is None or held is None:
            continue
        ids = [number for number in ids if not is_known_missing(ctx, name, number)]
        if change.modes[name] == "sync" and set(held) != set(ids):
            plan.calls.setdefault("sync", {})[name] = ids
        elif name in plan.body and not set(ids) <= set(held):
            plan.calls.setdefault("attach", {})[name] = [number for number in ids if number not in held]
