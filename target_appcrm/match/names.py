"""Names, labels and ids of records become what this CRM has, or a reason to refuse the record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from appcrm.contact import is_custom_field
from appcrm.errors import ApiError, InvalidRecord
from appcrm.fields import read_fields
from appcrm.text import counted, printable
from target_appcrm.errors import Unwritable
from target_appcrm.match.directory import CANNOT_BE_READ, Related, SmallList
from target_appcrm.match.equality import is_empty, same_value, whole_number
from target_appcrm.read.custom_values import UnknownName, chosen, encode_custom, pick
from target_appcrm.read.names import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appcrm.abilities import Abilities
    from appcrm.client import Client
    from appcrm.fields import Field
    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.workers import Workers

    Pair = tuple[Change, Contact | None]

LIST_OF = {"user_id": "users", "source_id": "sources", "country_id": "countries"}
RELATED = ("companies", "deals")
ONE_OF = {
    "companies": "company",
    "deals": "deal",
    "users": "user",
    "sources": "source",
    "countries": "country",
}
ADDING_MODES = ("sync", "attach")

logger = logging.getLogger("target-appcrm")


class Names:
    """Resolves what records name, a chunk at a time; for one thread.

    Args:
        abilities: what the CRM can do, as far as it is known by now.
    """

    def __init__(
        self, client: Client, settings: TargetSettings, workers: Workers, abilities: Callable[[], Abilities]
    ) -> None:
        self._client = client
        self._settings = settings
        self._lists = {field: SmallList(client, resource) for field, resource in LIST_OF.items()}
        self._related = {name: Related(client, workers, name, abilities) for name in RELATED}
        self._fields: dict[str, Field] | None = None
        self._left_out: set[tuple[str, int]] = set()
        self._skipped: set[tuple[str, str]] = set()

    def resolve(self, pairs: Sequence[Pair]) -> None:
        """Put ids in the place of names, and check what would be newly written; what cannot be is a change's fault.

        Args:
            pairs: changes, each with the contact that it means; None where there is none yet, or more than one.

        Raises:
            ApiError: the CRM failed.
        """
        pairs = [pair for pair in pairs if not pair[0].is_delete]
        for change, contact in pairs:
            self._without_fault(change, self._resolve_fields, contact)
        for name in RELATED:
            self._look_up_related(name, pairs)
            for change, contact in pairs:
                if name in change.associations:
                    self._without_fault(change, self._resolve_related, contact, name)

    @staticmethod
    def _without_fault(change: Change, work: Callable[..., None], *details: object) -> None:
        try:
            if change.fault is None:
                work(change, *details)
        except Unwritable as error:
            change.fault = error

    def warnings(self) -> list[str]:
        """Return what a person should know at the end: what was left out."""
        said = []
        for name in RELATED:
            count = sum(1 for resource, _ in self._left_out if resource == name)
            if count:
                said.append(
                    f"{counted(count, 'id')} of {name} left out: the CRM does not have "
                    f"{'it' if count == 1 else 'them'}, or does not show the token's user"
                )
        if self._skipped:
            fields = ", ".join(sorted({field for field, _ in self._skipped}))
            said.append(
                f"{counted(len(self._skipped), 'name')} that the CRM does not have skipped ({fields}), "
                "because unknown_names is skip"
            )
        return said

    # Fields of the contact itself

    def _resolve_fields(self, change: Change, contact: Contact | None) -> None:
        custom = [name for name in change.fields if is_custom_field(name, self._settings.custom_names)]
        known = self._known_fields() if custom else {}
        for name in custom:
            self._encode(change, contact, name, known.get(name))
        for name in LIST_OF:
            value = change.fields.get(name)
            if value is not None and (contact is None or contact.get(name) != value):
                self._resolve_reference(change, name, value)
        if known and contact is None and self._settings.mode != "update_only":
            missing = [
                f.name
                for f in known.values()
                if f.is_custom and f.is_required and is_empty(change.fields.get(f.name))
            ]
            if missing and change.makes_contacts:
                raise Unwritable(
                    f"{', '.join(missing)} is missing, and the CRM requires it",
                    cause="a required custom field is missing",
                )

    def _known_fields(self) -> dict[str, Field]:
        """Return the CRM's own fields by name, asked for once; none where it does not tell."""
        if self._fields is None:
            try:
                self._fields = {field.name: field for field in read_fields(self._client)}
            except CANNOT_BE_READ:
                self._fields = {}
            external = self._fields.get(self._settings.external_id_field or "")
            if external is not None and not external.is_unique:
                logger.warning(
                    "external_id_field %s is not unique in the CRM, so the CRM itself would not stop a second contact "
                    "with the same key; make the field unique there",
                    external.name,
                )
        return self._fields

    def _encode(self, change: Change, contact: Contact | None, name: str, field: Field | None) -> None:
        value = change.fields[name]
        try:
            change.fields[name] = encode_custom(field, name, value, change.formats.get(name))
        except Unwritable as error:
            if contact is not None and same_value(value, contact.get(name)):
                return
            self._skip_or_refuse(change.fields, name, printable(value), error)

    def _skip_or_refuse(self, holder: dict[str, Any], name: str, text: str, error: Unwritable) -> None:
        if not isinstance(error, UnknownName) or self._settings.unknown_names != "skip":
            raise error
        self._skipped.add((name, text))
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

    # Companies and deals

    def _look_up_related(self, name: str, pairs: Sequence[Pair]) -> None:
        related = self._related[name]
        wanted = [
            item
            for change, _ in pairs
            for item in change.associations.get(name, ())
            if isinstance(item, Name)
        ]
        related.look_up("domain", [item.text for item in wanted if item.is_domain])
        related.look_up("name", [item.text for item in wanted if not item.is_domain])
        maybe = [whole_number(item.text) for item in wanted if item.may_be_id]
        new = [number for change, contact in pairs for number in _new_ids(change, contact, name)]
        related.check([*new, *(number for number in maybe if number is not None)])

    def _resolve_related(self, change: Change, contact: Contact | None, name: str) -> None:
        related, ids = self._related[name], []
        new = set(_new_ids(change, contact, name))
        for item in change.associations[name]:
            if isinstance(item, Name):
                ids += self._id_of(name, item)
            elif item in new and related.has(item) is False:
                self._left_out.add((name, item))
            else:
                ids.append(item)
        change.associations[name] = list(dict.fromkeys(ids))

    def _id_of(self, name: str, item: Name) -> list[int]:
        related, one = self._related[name], ONE_OF[name]
        by_id = whole_number(item.text) if item.may_be_id else None
        if by_id is not None and related.has(by_id) is False:
            by_id = None
        named = pick(item.text, related.named("domain" if item.is_domain else "name", item.text), name)
        try:
            return [chosen(named, by_id, one, item.text)]
        except UnknownName:
            if self._settings.unknown_names == "skip":
                self._skipped.add((name, item.text))
                return []
            if self._settings.unknown_names != "create" or name != "companies" or item.is_domain:
                raise
        return self._create(item.text)

    def _create(self, text: str) -> list[int]:
        """Create a company that a record names; a dry run only says that it is left out."""
        if self._settings.dry_run:
            self._skipped.add(("companies", text))
            return []
        related = self._related["companies"]
        if not related.is_readable:
            raise Unwritable(
                "companies cannot be searched, so none is created", cause="companies cannot be searched"
            )
        try:
            created = related.create(text)
        except InvalidRecord as error:
            raise Unwritable(
                f"the CRM refuses the company {text[:100]!r}", cause="company refused"
            ) from error
        except ApiError as error:
            if not error.outcome_unknown:
                raise
            related.forget("name", text)
            related.look_up("name", [text])
            created = pick(text, related.named("name", text), "companies")
        if created is None:
            raise Unwritable(
                "the create of its company got no clear answer; run again", cause="outcome unknown"
            )
        return [created]


def _new_ids(change: Change, contact: Contact | None, name: str) -> list[int]:
    """Return the ids that a change would add to a contact."""
    if change.modes.get(name) not in ADDING_MODES:
        return []
    held: Iterable[int] = () if contact is None else contact.get(name) or ()
    return [
        item for item in change.associations.get(name, ()) if isinstance(item, int) and item not in set(held)
    ]
