"""Association calls on one contact: sends them, understands a 409, and notes what the CRM did by itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from appcrm.contact import ASSOCIATIONS
from appcrm.errors import Conflict, Forbidden, InvalidRecord
from target_appcrm.report.decisions import Decision, shown_id
from target_appcrm.write.associations import applied
from target_appcrm.write.refusals import refused_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.report.decisions import Outcome
    from target_appcrm.write.associations import Sets
    from target_appcrm.write.context import WriteContext

GROWN_SETS = "grown sets"
NOT_SHOWN = "ids that the CRM does not show"


def call_all(
    ctx: WriteContext, calls: Mapping[str, Sets], contact: Contact, outcome: Outcome, before: int
) -> None:
    """Send association calls; the first one also tells of requests that were sent to plan it.

    Raises:
        Unwritable: the CRM refused.
        ApiError: the CRM failed.
    """
    for call, sets in calls.items():
        held = {name: contact[name] for name in ASSOCIATIONS if name in contact}
        after = applied(call, sets, held)
        status = None
        if not ctx.is_dry:
            answer = _send(ctx, call, sets, contact)
            status = 200
            if call != "detach":
                note_answer(ctx, sets, answer, is_exact=call == "sync")
            after |= {name: answer[name] for name in ASSOCIATIONS if name in answer}
        changes = {name: [held.get(name), sorted(after.get(name, ids))] for name, ids in sets.items()}
        contact = {**contact, **after}
        spent = ctx.requests.of_thread() - before
        outcome.decisions.append(
            Decision(call, shown_id(contact["id"]), changes, status=status, requests=spent)
        )
        before = ctx.requests.of_thread()
        ctx.remember(contact, outcome)


def _send(ctx: WriteContext, call: str, sets: Sets, contact: Contact) -> Contact:
    send = {"attach": ctx.client.attach, "detach": ctx.client.detach, "sync": ctx.client.sync}[call]
    try:
        return ctx.read(send(contact["id"], sets), contact["id"])
    except InvalidRecord as error:
        raise refused_fields(error) from error
    except Forbidden:
        # An attach of ids none of which the CRM knows, or shows, is answered so; a Retrieve tells it from a refusal.
        now = ctx.read(ctx.client.retrieve_contact(contact["id"]), contact["id"])
        if call == "attach" and any(
            name in now and not set(ids) <= set(now[name]) for name, ids in sets.items()
        ):
            return now
        raise
    except Conflict as error:
        if call != "attach":
            raise
        return _attach_rest(ctx, sets, contact["id"], error)


def _attach_rest(ctx: WriteContext, sets: Sets, contact_id: int, conflict: Conflict) -> Contact:
    """Attach what is not there yet, after the CRM said that some of it is.

    Sets that a Retrieve shows are compared with it. Of others, each id goes alone, and 409 means that it was there.
    """
    now = ctx.read(ctx.client.retrieve_contact(contact_id), contact_id)
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
        now = ctx.read(ctx.client.attach(contact_id, rest), contact_id)
    for name in (name for name in sets if name not in now):
        for number in sets[name]:
            with contextlib.suppress(Conflict):
                ctx.client.attach(contact_id, {name: [number]})
    return now


def note_answer(
    ctx: WriteContext, sets: Mapping[str, list[int]], contact: Contact, *, is_exact: bool
) -> None:
    """Note where the CRM holds other sets than were sent: more of its own accord, or less, as it drops unknown ids.

    An id that it dropped is not sent again in this run (vendor's product: it is dropped silently).
    """
    if is_exact and any(set(contact.get(name, ids)) - set(ids) for name, ids in sets.items()):
        ctx.seen.count(GROWN_SETS)
    for name, ids in sets.items():
        for number in set(ids) - set(contact.get(name, ids)):
            ctx.seen.learn(NOT_SHOWN, (name, number))
