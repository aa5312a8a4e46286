"""Names, labels and ids of records become what this CRM has, or a reason to refuse the record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from appcrm.contact import is_custom_field
from appcrm.fields import FieldKind, read_fields
from appcrm.text import printable
from target_appcrm.errors import Unwritable
from target_appcrm.match.association_names import RELATED, AssociationNames, NameNotes
from target_appcrm.match.directory import CANNOT_BE_READ, SmallList
from target_appcrm.match.equality import is_empty, same_value, whole_number
from target_appcrm.read.custom_values import UnknownName, chosen, encode_custom, looks_like_label, pick
from target_appcrm.read.names import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from appcrm.abilities import Abilities
    from appcrm.client import Client
    from appcrm.fields import Field
    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.workers import Workers

    Pair = tuple[Change, Contact | None]

LIST_OF = {"user_id": "users", "source_id": "sources", "country_id": "countries"}
ONE_OF = {"users": "user", "sources": "source", "countries": "country"}

NEVER_CLEARED_KINDS = (FieldKind.SELECT, FieldKind.MULTI_SELECT)
"""The CRM ignores a null there (vendor's product)."""

logger = logging.getLogger("target-appcrm")


class Names:
    """Resolves what records name, a chunk at a time; for one thread.

    Args:
        abilities: what the CRM can do, as far as it is known by now.
        creatable: compared names of the companies that a plan lets be created; None for any.
        example: returns what some contact holds in a custom field, if that is known without a request.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        workers: Workers,
        abilities: Callable[[], Abilities],
        creatable: frozenset[str] | None = None,
        example: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._client = client
        self._example = example
        self._settings = settings
        self._lists = {field: SmallList(client, resource) for field, resource in LIST_OF.items()}
        self._fields: dict[str, Field] | None = None
        self._notes = NameNotes()
        self.associations = AssociationNames(client, settings, workers, self._notes, abilities, creatable)

    def resolve(self, pairs: Sequence[Pair]) -> None:
        """Put ids in the place of names, and check what would be newly written; what cannot be is a change's fault.

        Args:
            pairs: changes, each with the contact that it means; None where there is none yet, or more than one.

        Raises:
            ApiError: the CRM failed.
        """
        pairs = [pair for pair in pairs if not pair[0].is_delete]
        if any(
            is_custom_field(name, self._settings.custom_names)
            for change, _ in pairs
            for name in change.fields
        ):
            self._read_fields()
        for change, contact in pairs:
            self._without_fault(change, self._resolve_fields, contact)
        for name in RELATED:
            self.associations.look_up(name, pairs)
            for change, contact in pairs:
                if name in change.associations:
                    self._without_fault(change, self.associations.resolve, contact, name)

    @staticmethod
    def _without_fault(change: Change, work: Callable[..., None], *details: object) -> None:
        try:
            if change.fault is None:
                work(change, *details)
        except Unwritable as error:
            change.fault = error

    def warnings(self) -> list[str]:
        """Return what a person should know at the end, beside the ids that were left out."""
        self._notes.unreadable |= {LIST_OF[name] for name, small in self._lists.items() if small.is_refused}
        return self._notes.warnings(is_dry=self._settings.dry_run)

    @property
    def left_out(self) -> frozenset[tuple[str, int]]:
        """Ids of companies and deals that the CRM does not have, or does not show."""
        return frozenset(self._notes.left_out)

    @property
    def never_cleared(self) -> frozenset[str]:
        """Selects that records would empty, which the CRM does not do."""
        return frozenset(self._notes.never_cleared)

    def of_changes(self, changes: Mapping[str, Sequence[Any]] | None) -> dict[str, dict[str, str]] | None:
        """Return the names of the ids in a receipt's changes, as far as they are known without a request."""
        found: dict[str, dict[str, str]] = {}
        for field, pair in (changes or {}).items():
            known = self._names_in(field)
            ids = [item for value in pair for item in (value if isinstance(value, list) else [value])]
            names = {str(item): known[item] for item in ids if isinstance(item, int) and item in known}
            if names:
                found[field] = names
        return found or None

    def _names_in(self, field: str) -> Mapping[int, str]:
        if field in RELATED:
            return self.associations.names(field)
        if field in self._lists:
            return self._lists[field].names
        described = (self._fields or {}).get(field)
        return {} if described is None else dict(described.options)

    def of_kind(self, kind: FieldKind) -> frozenset[str]:
        """Return the fields that are known by now to be of a kind; safe to call from any thread."""
        return frozenset(name for name, field in (self._fields or {}).items() if field.kind is kind)

    # Fields of the contact itself

    def _resolve_fields(self, change: Change, contact: Contact | None) -> None:
        known = self._fields or {}
        for name in [name for name in change.fields if is_custom_field(name, self._settings.custom_names)]:
            self._encode(change, contact, name, known.get(name))
        for name in LIST_OF:
            value = change.fields.get(name)
            if value is not None and (contact is None or contact.get(name) != value):
                self._resolve_reference(change, name, value)
        change.missing = tuple(
            field.name
            for field in known.values()
            if field.is_custom and field.is_required and is_empty(change.fields.get(field.name))
        )

    def _read_fields(self) -> None:
        """Ask for the CRM's own fields, once; it may not tell."""
        if self._fields is not None:
            return
        try:
            self._fields = {field.name: field for field in read_fields(self._client)}
        except CANNOT_BE_READ:
            self._fields = {}
            self._notes.unreadable.add("its list of fields")
        external = self._fields.get(self._settings.external_id_field or "")
        if external is not None and not external.is_unique:
            logger.warning(
                "external_id_field %s is not unique in the CRM, so the CRM itself would not stop a second contact "
                "with the same key; make the field unique there",
                external.name,
            )

    def _encode(self, change: Change, contact: Contact | None, name: str, field: Field | None) -> None:
        value = change.fields[name]
        if value is None and field is not None and field.kind in NEVER_CLEARED_KINDS:
            if (
                self._settings.null_handling == "clear"
                and contact is not None
                and not is_empty(contact.get(name))
            ):
                self._notes.never_cleared.add(name)
            del change.fields[name]
            return
        held = None if contact is None else contact.get(name)
        try:
            if field is None and looks_like_label(value, self._example(name) if is_empty(held) else held):
                raise UnknownName(
                    f"{name} holds options by their ids, and the CRM does not say which label is which; write the id",
                    cause=f"unknown option of {name}",
                )
            change.fields[name] = encode_custom(field, name, value, change.formats.get(name))
        except Unwritable as error:
            if contact is not None and same_value(value, held):
                return
            self._skip_or_refuse(change.fields, name, printable(value), error)

    def _skip_or_refuse(self, holder: dict[str, Any], name: str, text: str, error: Unwritable) -> None:
        if not isinstance(error, UnknownName) or self._settings.unknown_names != "skip":
            raise error
        self._notes.skipped.add((name, text))
        del holder[name]

    def _resolve_reference(self, change: Change, name: str, value: int | Name) -> None:
        small = self._lists[name]
        one = ONE_OF[LIST_OF[name]]
        if not isinstance(value, Name):
            if small.has(value) is False:
                raise Unwritable(
                    f"{name}: the CRM has no {one} with the id {value}", cause=f"unknown id in {name}"
                )
            return
        by_id = whole_number(value.text) if value.may_be_id else None
        try:
            named = pick(value.text, small.named(), LIST_OF[name])
            if by_id is not None and small.has(by_id) is False:
                by_id = None
            change.fields[name] = chosen(named, by_id, one, value.text)
        except Unwritable as error:
            self._skip_or_refuse(change.fields, name, value.text, error)
