"""What to send for one record: its difference from the contact, as the CRM stores things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_appcrm.errors import Unwritable
from target_appcrm.match.addresses import address_key
from target_appcrm.match.equality import is_empty, is_empty_in_crm, same_tags, same_value
from target_appcrm.match.phones import phones_to_send, same_phones
from target_appcrm.write.custom_fields import in_form_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from target_appcrm.match.keys import Contact

Changes = dict[str, list[Any]]


def body_for_create(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a create: what the record says, without what is null.

    Raises:
        Unwritable: there is no first name, which the CRM requires.
    """
    if is_empty(fields.get("first_name")):
        raise Unwritable("first_name is missing, and the CRM creates no contact without it")
    body = {name: value for name, value in fields.items() if value is not None}
    if "phones" in body:
        body["phones"] = phones_to_send(body["phones"], [])
    return body


def difference(
    fields: Mapping[str, Any],
    contact: Contact,
    *,
    clears_nulls: bool,
    skips_unchanged: bool = True,
    never_cleared: Collection[str] = (),
    zero_when_empty: Collection[str] = (),
) -> tuple[dict[str, Any], Changes]:
    """Return the body of an update without ``first_name``, and field to [old, new]; both empty where all is equal.

    Args:
        fields: what the record says, normalised; None for null.
        contact: what the CRM holds, normalised.
        clears_nulls: whether null empties a field.
        skips_unchanged: False sends what is equal, too.
        never_cleared: fields that the CRM does not empty.
        zero_when_empty: fields that the CRM reads as 0 where they are empty.
    """
    body: dict[str, Any] = {}
    changes: Changes = {}
    for name, wanted in fields.items():
        held = contact.get(name)
        if wanted is None:
            if name in ("phones", "tags", "first_name") or not clears_nulls or name in never_cleared:
                continue
            if is_empty(held) or (name in zero_when_empty and is_empty_in_crm(held)):
                continue
            body[name] = [] if isinstance(held, list) else None
            changes[name] = [held, body[name]]
            continue
        wanted = in_form_of(wanted, held)  # noqa: PLW2901  the same value
        same = same_field(name, wanted, held)
        if same and skips_unchanged:
            continue
        body[name] = phones_to_send(wanted, held or []) if name == "phones" else wanted
        if not same:
            changes[name] = [as_written(name, held), body[name]]
    return body, changes


def as_written(name: str, held: Any) -> Any:  # noqa: ANN401  any field's value
    """Return what a contact holds in the form in which it is written."""
    if name != "phones":
        return held
    return [{"number": phone.get("number"), "type": phone.get("type")} for phone in held or ()]


def same_field(name: str, wanted: Any, held: Any) -> bool:  # noqa: ANN401  any field's value
    """Whether a field holds what is wanted."""
    if name == "phones":
        return same_phones(wanted or [], held or [])
    if name == "tags":
        return same_tags(wanted or [], held or [])
    if name == "email":
        return address_key(wanted) == address_key(held)
    return same_value(wanted, held)


def with_first_name(
    body: dict[str, Any], fields: Mapping[str, Any], contact: Contact, *, is_needed: bool = True
) -> dict[str, Any]:
    """Return an update's body with the first name that an update needs: the record's, else the CRM's.

    Args:
        body: what differs.
        fields: what the record says.
        contact: what the CRM held when it was last read; somebody may have renamed it since.
        is_needed: False where the CRM takes an update without it.

    Raises:
        Unwritable: it is needed, and neither has one.
    """
    if not is_needed:
        return body
    name = fields.get("first_name") or contact.get("first_name")
    if is_empty(name):
        raise Unwritable(
            "first_name is missing in the record and in the CRM, which updates no contact without it"
        )
    return {"first_name": name, **body}


def with_changes(contact: Contact, body: Mapping[str, Any]) -> Contact:
    """Return a contact as it is after a body was written, where the CRM did not answer with it."""
    return {**contact, **body}
