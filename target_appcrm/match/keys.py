"""Which contact a record means: its keys, and what they point at among known contacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from target_appcrm.errors import Unwritable
from target_appcrm.match.addresses import address_key, clean_address
from target_appcrm.match.equality import (
    key_bucket,
    key_text,
    phone_bucket,
    phone_key,
    same_key,
    same_number,
    whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Contact = dict[str, Any]

EMAIL = "email"
PHONE = "phones.number"
ID = "id"


class MatchKey(NamedTuple):
    """One value to find a contact by.

    Args:
        field: ``email``, ``phones.number``, ``id`` or a custom field.
        value: as it is compared; of a custom field, what all keys share that a number field takes for one.
        shown: as the record has it, for searches.
    """

    field: str
    value: str
    shown: str

    @property
    def token(self) -> tuple[str, str]:
        """What two keys share that mean the same contact; a custom field's may differ in text alone."""
        return self.field, self.value if self.field in (EMAIL, PHONE, ID) else self.shown

    @property
    def bucket(self) -> tuple[str, str]:
        """Where contacts are kept that this key may mean."""
        return bucket_of(self.field, self.value)


def bucket_of(field: str, value: str) -> tuple[str, str]:
    """Return where contacts with a key's compared value are kept; a phone's prefix may or may not be written."""
    return field, phone_bucket(value) if field == PHONE else value


def key_values(field: str, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the values that a contact or a record has for a key, as (compared, as written)."""
    if field == EMAIL:
        address = clean_address(row.get(EMAIL))
        return [] if address is None else [(address_key(address) or address, address)]
    if field == PHONE:
        numbers = [phone.get("number") for phone in row.get("phones") or ()]
        return [(key, str(number).strip()) for number in numbers if (key := phone_key(number)) is not None]
    if field == ID:
        number = whole_number(row.get(ID))
        return [] if number is None else [(str(number), str(number))]
    value = key_text(row.get(field))
    return [] if value is None else [(key_bucket(value), value)]


def match_keys(match_on: Sequence[str], row: Mapping[str, Any]) -> tuple[MatchKey, ...]:
    """Return the keys of a record in the order in which they are tried, without duplicates."""
    found: dict[tuple[str, str], MatchKey] = {}
    for field in match_on:
        for value, shown in key_values(field, row):
            found.setdefault((field, value), MatchKey(field, value, shown))
    return tuple(found.values())


def holds(contact: Mapping[str, Any], key: MatchKey) -> bool:
    """Whether a contact is what a key means: the CRM's own search may have returned more."""
    if key.field == PHONE:
        return any(same_number(key.shown, shown) for _, shown in key_values(PHONE, contact))
    if key.field in (EMAIL, ID):
        return any(value == key.value for value, _ in key_values(key.field, contact))
    return same_key(key.shown, contact.get(key.field))


def resolve(keys: Iterable[MatchKey], contacts: Iterable[Contact]) -> Contact | None:
    """Return the one contact that the keys mean, or None where none of them is there.

    Raises:
        Unwritable: more than one contact is meant. It is never guessed which.
    """
    known = list(contacts)
    hits: dict[int, Contact] = {}
    fields: dict[str, set[int]] = {}
    for key in keys:
        for contact in known:
            if holds(contact, key):
                hits[contact["id"]] = contact
                fields.setdefault(key.field, set()).add(contact["id"])
    if not hits:
        return None
    agreed = set.intersection(*fields.values())
    if len(hits) == 1:
        return next(iter(hits.values()))
    ids = ", ".join(str(number) for number in sorted(hits)[:5])
    if len(agreed) == 1 and any(len(found) == 1 for found in fields.values()):
        return hits[agreed.pop()]
    names = " and ".join(fields)
    raise Unwritable(
        f"{names} {'mean' if len(fields) > 1 else 'means'} more than one contact ({ids}); make the values unique, "
        "or set match_on to keys that are",
        cause=f"more than one contact matches {names}",
    )
