"""One record to one contact: creates it, updates it or leaves it, as the mode allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_appcrm.errors import Unwritable
from target_appcrm.match.keys import ID, holds, key_values, resolve
from target_appcrm.read.stream_schema import CONTACT_ASSOCIATIONS
from target_appcrm.report.decisions import Decision, shown_id
from target_appcrm.write.create import CREATE_ONLY_SKIP, create
from target_appcrm.write.update import update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.report.decisions import Outcome
    from target_appcrm.write.context import WriteContext

GONE = "contact is gone"


def upsert(
    ctx: WriteContext, change: Change, stream: str, known: Mapping[int, Contact], outcome: Outcome
) -> None:
    """Bring the contact that a record means to what the record says.

    Args:
        ctx: of the run.
        change: what the record says.
        stream: ``contacts`` or ``contact_associations``.
        known: contacts that its keys may mean.
        outcome: filled step by step, so that it tells what was done even where a later step fails.

    Raises:
        Unwritable: the record is refused.
        ApiError: the CRM refused or failed.
        RunStopped: a ceiling was reached.
    """
    contact = resolve(change.keys, known.values())
    if contact is not None:
        check_external_key(change, contact, ctx.settings.external_id_field)
        outcome.contact = contact
        if ctx.settings.mode == "create_only":
            outcome.decisions.append(Decision("skipped", shown_id(contact["id"]), reason=CREATE_ONLY_SKIP))
        else:
            update(ctx, change, contact, outcome)
    elif change.keys and all(key.field == ID for key in change.keys):
        # The id of a contact that was deleted or merged: nothing but a stranger could be made of it.
        ctx.seen.count(GONE)
        outcome.decisions.append(Decision("skipped", reason=GONE))
    elif stream == CONTACT_ASSOCIATIONS:
        raise Unwritable("no contact matches", cause="no contact matches")
    else:
        create(ctx, change, outcome)


def check_external_key(change: Change, contact: Contact, field: str | None) -> None:
    """Refuse a record whose contact carries the key of another record of the source.

    Raises:
        Unwritable: it does.
    """
    keys = [key for key in change.keys if key.field == field]
    if keys and key_values(keys[0].field, contact) and not any(holds(contact, key) for key in keys):
        raise Unwritable(
            f"its contact ({contact['id']}) carries another key in {field}, so two records of the source mean it; "
            "mend the address that they share, or the key in the CRM",
            cause=f"its contact carries another key in {field}",
        )
