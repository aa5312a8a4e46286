"""Brings a contact that is there to what a record says: its fields, then its associations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm.abilities import Ability
from appcrm.contact import ASSOCIATIONS, is_custom_field
from appcrm.errors import InvalidRecord
from appcrm.fields import FieldKind
from target_appcrm.match.equality import is_empty, is_empty_in_crm
from target_appcrm.match.keys import EMAIL
from target_appcrm.report.decisions import Decision, shown_id
from target_appcrm.write.association_calls import NOT_SHOWN, call_all, note_answer
from target_appcrm.write.associations import applied, needs_current, plan_associations
from target_appcrm.write.diff import (
    difference,
    with_changes,
    with_first_name,
)
from target_appcrm.write.policy import left_alone
from target_appcrm.write.refusals import refused_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.report.decisions import Outcome
    from target_appcrm.write.associations import AssociationPlan
    from target_appcrm.write.context import WriteContext

RETRIEVES_FOR_ASSOCIATIONS = "retrieves for associations"
NEVER_CLEARED = "fields that the CRM does not empty"
ZERO_WHEN_EMPTY = "fields that the CRM reads as 0 where they are empty"


def update(ctx: WriteContext, change: Change, contact: Contact, outcome: Outcome) -> None:
    """Send what differs, or nothing.

    Raises:
        Unwritable: the record is refused.
        ApiError: the CRM refused or failed.
        RunStopped: this would be one more than ``max_updates``.
    """
    before = ctx.requests.of_thread()
    outcome.contact = contact
    body, changes, kept = _wanted(ctx, change, contact)
    contact = with_sets(ctx, change, contact)
    plan, kept_sets = plan_sets(ctx, change, contact, has_update=bool(body))
    kept |= kept_sets
    if not body and not plan.calls:
        outcome.contact = contact
        spent = ctx.requests.of_thread() - before
        outcome.decisions.append(
            Decision("unchanged", shown_id(contact["id"]), left_alone=kept or None, requests=spent)
        )
        return
    ctx.ceilings.claim("update")
    if body:
        held = {name: contact.get(name) for name in plan.body}
        changes |= {name: [held[name], ids] for name, ids in plan.body.items()}
        contact = _write(ctx, change, contact, {**body, **plan.body}, outcome)
        note_answer(ctx, plan.body, contact, is_exact=True)
        outcome.decisions.append(
            Decision(
                "update",
                shown_id(contact["id"]),
                changes,
                left_alone=kept or None,
                status=None if ctx.is_dry else 200,
                requests=ctx.requests.of_thread() - before,
            )
        )
        before = ctx.requests.of_thread()
    ctx.remember(contact, outcome)
    call_all(ctx, plan.calls, contact, outcome, before)


def _wanted(
    ctx: WriteContext, change: Change, contact: Contact
) -> tuple[dict[str, Any], dict[str, list[Any]], dict[str, str]]:
    """Return the body of an update, its changes, and the fields that differ and are left alone."""
    settings = ctx.settings
    clears_nulls = settings.null_handling == "clear"
    if clears_nulls:
        for name in ctx.lookups.names.of_kind(FieldKind.SELECT):
            if name in change.fields and change.fields[name] is None and not is_empty(contact.get(name)):
                ctx.seen.learn(NEVER_CLEARED, name)
    body, changes = difference(
        change.fields,
        contact,
        clears_nulls=clears_nulls,
        skips_unchanged=settings.skip_unchanged,
        never_cleared=ctx.seen.learned(NEVER_CLEARED),
        zero_when_empty=ctx.seen.learned(ZERO_WHEN_EMPTY) | ctx.lookups.names.of_kind(FieldKind.NUMBER),
    )
    if not settings.field_policy:
        return body, changes, {}
    custom = [name for name in body if is_custom_field(name, settings.custom_names)]
    kept = left_alone(body, contact, settings.field_policy, settings.key_fields, custom)
    return (
        {name: value for name, value in body.items() if name not in kept},
        {name: pair for name, pair in changes.items() if name not in kept},
        {name: policy for name, policy in kept.items() if name in changes},
    )


def plan_sets(
    ctx: WriteContext, change: Change, contact: Contact, *, has_update: bool
) -> tuple[AssociationPlan, dict[str, str]]:
    """Plan a contact's associations, and return those that differ and are left alone."""
    held = {name: contact[name] for name in ASSOCIATIONS if name in contact}
    wanted = {
        name: [
            number
            for number in ids
            if number in held.get(name, ()) or not is_known_missing(ctx, name, number)
        ]
        for name, ids in change.associations.items()
    }
    plan = plan_associations(wanted, change.modes, held, has_update=has_update)
    if not ctx.settings.field_policy:
        return plan, {}
    differs = {*plan.body, *(name for sets in plan.calls.values() for name in sets)}
    kept = left_alone(differs, contact, ctx.settings.field_policy, ctx.settings.key_fields)
    if kept:
        rest = {name: ids for name, ids in wanted.items() if name not in kept}
        plan = plan_associations(rest, change.modes, held, has_update=has_update)
    return plan, kept


def intended(ctx: WriteContext, change: Change, contact: Contact) -> dict[str, Any]:
    """Return what a record would make of a contact: field, or associations, to what it would hold."""
    body, changes, _ = _wanted(ctx, change, contact)
    plan, _ = plan_sets(ctx, change, contact, has_update=bool(body))
    held = {name: contact[name] for name in ASSOCIATIONS if name in contact}
    wanted: dict[str, Any] = {name: body[name] for name in changes} | plan.body
    for call, sets in plan.calls.items():
        after = applied(call, sets, held)
        wanted |= {name: after.get(name, ids) for name, ids in sets.items()}
    return wanted


def is_known_missing(ctx: WriteContext, name: str, number: int) -> bool:
    """Whether the CRM has dropped this id before, in this run."""
    return (name, number) in ctx.seen.learned(NOT_SHOWN)


def _write(
    ctx: WriteContext, change: Change, contact: Contact, body: dict[str, Any], outcome: Outcome
) -> Contact:
    if ctx.is_dry:
        return with_changes(contact, body)
    outcome.contact = contact
    updated = put(ctx, contact, first_name_added(ctx, body, change.fields, contact))
    for name, value in body.items():
        if is_empty(value) and not is_empty(updated.get(name)):
            # A select ignores null, and an empty decimal reads as 0 (vendor's product): never sent in vain again.
            is_zero = is_empty_in_crm(updated.get(name))
            ctx.seen.learn(ZERO_WHEN_EMPTY if is_zero else NEVER_CLEARED, name)
    return updated


def first_name_added(
    ctx: WriteContext, body: dict[str, Any], fields: Mapping[str, Any], contact: Contact
) -> dict[str, Any]:
    """Return an update's body with a first name where the CRM's version needs one."""
    is_needed = ctx.client.abilities.may(Ability.UPDATE_WITHOUT_FIRST_NAME) is not True
    return with_first_name(body, fields, contact, is_needed=is_needed)


def set_address(ctx: WriteContext, contact: Contact, address: str | None, outcome: Outcome) -> None:
    """Give a contact an e-mail address, or none, beside what its record says.

    Raises:
        Unwritable: the CRM refused.
        ApiError: the CRM failed.
    """
    before = ctx.requests.of_thread()
    body = {EMAIL: address}
    updated = (
        with_changes(contact, body)
        if ctx.is_dry
        else put(ctx, contact, first_name_added(ctx, body, {}, contact))
    )
    outcome.decisions.append(
        Decision(
            "update",
            shown_id(contact["id"]),
            {EMAIL: [contact.get(EMAIL), address]},
            status=None if ctx.is_dry else 200,
            requests=ctx.requests.of_thread() - before,
        )
    )
    ctx.remember(updated, outcome)


def put(ctx: WriteContext, contact: Contact, body: dict[str, Any]) -> Contact:
    """Send an update and return the contact after it.

    Raises:
        Unwritable: the CRM refused fields.
        ApiError: the CRM failed.
    """
    try:
        answer, taken = ctx.encoding.send(
            ctx.encoding.fit(body), lambda form: ctx.client.update_contact(contact["id"], form)
        )
    except InvalidRecord as error:
        raise refused_fields(error) from error
    return {**with_changes(contact, taken), **ctx.read(answer, contact["id"])}


def with_sets(ctx: WriteContext, change: Change, contact: Contact) -> Contact:
    """Return a contact with the sets that its associations are planned from, retrieving it where it must be."""
    needed = needs_current(change.associations, change.modes)
    if all(name in contact for name in needed) or contact["id"] < 0:
        return contact
    if needed == ["activities"] and "companies" in contact and "deals" in contact:
        # Whatever showed the other sets does not show this one.
        return contact
    ctx.seen.count(RETRIEVES_FOR_ASSOCIATIONS)
    now = ctx.read(ctx.client.retrieve_contact(contact["id"]), contact["id"])
    # A dry run's plans have not reached the CRM.
    return {**now, **contact} if ctx.is_dry else {**contact, **now}
