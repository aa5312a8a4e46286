"""Contacts found for many records at once, and values that are known to be in the CRM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_appcrm.match.keys import bucket_of, holds, key_values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from appcrm.errors import ApiError
    from target_appcrm.match.keys import Contact, MatchKey

    Keys = tuple[MatchKey, ...]


class Found:
    """Contacts found for the keys of many records, and the keys that the server would not look up.

    Args:
        key_fields: what contacts are found by.
    """

    def __init__(self, key_fields: Sequence[str]) -> None:
        self._key_fields = key_fields
        self.contacts: dict[int, Contact] = {}
        self.failed: dict[tuple[str, str], ApiError] = {}
        self._by_bucket: dict[tuple[str, str], list[Contact]] = {}

    def add(self, contacts: Iterable[Contact]) -> None:
        """Take contacts in."""
        for contact in contacts:
            self.contacts[contact["id"]] = contact
            for field in self._key_fields:
                for value, _ in key_values(field, contact):
                    self._by_bucket.setdefault(bucket_of(field, value), []).append(contact)

    def of(self, keys: Keys) -> dict[int, Contact]:
        """Return the contacts that any of a record's keys mean, by id."""
        return {
            contact["id"]: self.contacts[contact["id"]]
            for key in keys
            for contact in self._by_bucket.get(key.bucket, ())
            if holds(contact, key)
        }

    def answers(self, key: MatchKey, keys: Keys) -> bool:
        """Whether a contact that another key of the record found holds this one, too."""
        return any(
            holds(contact, key)
            for other in keys
            if other.token != key.token
            for contact in self._by_bucket.get(other.bucket, ())
            if holds(contact, other)
        )


class Witnesses:
    """Values that contacts are known to have: a search that brings one back did read it.

    Args:
        key_fields: what contacts are found by.
    """

    def __init__(self, key_fields: Sequence[str]) -> None:
        self._shown: dict[str, dict[str, str]] = {field: {} for field in key_fields}

    def note(self, contacts: Iterable[Mapping[str, Any]]) -> None:
        """Take the values of contacts, where none is known yet of their field."""
        empty = [field for field, shown in self._shown.items() if not shown]
        if not empty:
            return
        for contact in contacts:
            for field in empty:
                for value, shown in key_values(field, contact):
                    if "," not in shown and ":" not in shown:
                        self._shown[field].setdefault(value, shown)

    def beside(self, field: str, values: Collection[str]) -> tuple[str, str] | None:
        """Return a value, as compared and as written, that is none of those that are searched; None if all are."""
        plain = {value.strip().casefold() for value in values}
        return next(
            (pair for pair in self._shown[field].items() if plain.isdisjoint((pair[0], pair[1].casefold()))),
            None,
        )
