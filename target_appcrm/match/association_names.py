"""Companies and deals that records name become the ids of this CRM, or a reason to refuse the record."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appcrm.errors import ApiError, InvalidRecord
from appcrm.text import counted
from target_appcrm.errors import NOT_IN_PLAN, Unwritable
from target_appcrm.match.directory import CANNOT_BE_READ, Related
from target_appcrm.match.equality import plain_name, whole_number
from target_appcrm.read.custom_values import UnknownName, chosen, pick
from target_appcrm.read.names import Name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appcrm.abilities import Abilities
    from appcrm.client import Client
    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.workers import Workers

    Pair = tuple[Change, Contact | None]

RELATED = ("companies", "deals")
COMPANIES = "companies"
ONE_OF = {"companies": "company", "deals": "deal"}
ADDING_MODES = ("sync", "attach")


@dataclass
class NameNotes:
    """What people should know about names at the end of a run.

    Args:
        left_out: ids of companies and deals that the CRM does not have, or does not show, by field.
        skipped: names that were skipped, by field.
        created: companies that were created, or that a dry run would create.
        unreadable: lists that the token may not read.
        never_cleared: selects that records would empty, which the CRM does not do.
    """

    left_out: set[tuple[str, int]] = field(default_factory=set)
    skipped: set[tuple[str, str]] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    never_cleared: set[str] = field(default_factory=set)

    def warnings(self, *, is_dry: bool) -> list[str]:
        """Return a sentence for each; names are left to the receipts."""
        said = []
        if self.skipped:
            fields = ", ".join(sorted({name for name, _ in self.skipped}))
            said.append(
                f"{counted(len(self.skipped), 'name')} that the CRM does not have skipped ({fields}), "
                "because unknown_names is skip"
            )
        if self.created:
            companies = counted(len(self.created), "company", "companies")
            said.append(
                f"{companies} {'would be created' if is_dry else 'created'} by name, because unknown_names is create; "
                "receipts_path names them"
            )
        if self.unreadable:
            said.append(
                f"The CRM does not let this token read {', '.join(sorted(self.unreadable))}: ids are not checked "
                "there, and every name is unknown; give the token's user that permission"
            )
        return said


class AssociationNames:
    """Resolves the companies and deals of records, a chunk at a time; for one thread.

    Args:
        notes: told at the end.
        abilities: what the CRM can do, as far as it is known by now.
        creatable: compared names of the companies that a plan lets be created; None for any.
    """

    def __init__(
        self,
        client: Client,
        settings: TargetSettings,
        workers: Workers,
        notes: NameNotes,
        abilities: Callable[[], Abilities],
        creatable: frozenset[str] | None = None,
    ) -> None:
        self._settings = settings
        self._notes = notes
        self._creatable = creatable
        self._related = {name: Related(client, workers, name, abilities) for name in RELATED}
        self._planned_ids = itertools.count(-1, -1)

    def look_up(self, name: str, pairs: Sequence[Pair]) -> None:
        """Look up all that the changes name and what they would newly add, in as few requests as can be."""
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
        if not related.is_readable:
            self._notes.unreadable.add(name)

    def resolve(self, change: Change, contact: Contact | None, name: str) -> None:
        """Put ids in the place of a change's names.

        Raises:
            Unwritable: one is unknown, or means more than one.
            ApiError: the CRM failed.
        """
        related, ids = self._related[name], []
        new = set(_new_ids(change, contact, name))
        for item in change.associations[name]:
            if isinstance(item, Name):
                found = self._id_of(name, item, may_create=self._may_write(change, contact, name))
                ids += found
                if not found and change.modes[name] == "sync":
                    # Nobody can say which of the contact's own it stands for, so none of those is removed.
                    change.modes = {**change.modes, name: "attach"}
            elif item in new and related.has(item) is False:
                self._notes.left_out.add((name, item))
            else:
                ids.append(item)
        change.associations[name] = list(dict.fromkeys(ids))

    def _may_write(self, change: Change, contact: Contact | None, name: str) -> bool:
        """Whether a set may be written at all, so that nothing is created for one that is not."""
        mode = self._settings.mode
        is_skipped = mode == "create_only" if contact is not None else mode == "update_only"
        policies = self._settings.field_policy
        owner = policies.get(name, policies.get("*", "always"))
        is_kept = owner == "never" or (owner != "always" and contact is not None)
        return change.modes[name] in ADDING_MODES and not is_skipped and not is_kept

    def _id_of(self, name: str, item: Name, *, may_create: bool) -> list[int]:
        related, one = self._related[name], ONE_OF[name]
        by_id = whole_number(item.text) if item.may_be_id else None
        if by_id is not None and related.has(by_id) is False:
            by_id = None
        named = pick(item.text, related.named("domain" if item.is_domain else "name", item.text), name)
        try:
            return [chosen(named, by_id, one, item.text)]
        except UnknownName:
            if self._settings.unknown_names == "skip":
                self._notes.skipped.add((name, item.text))
                return []
            if self._settings.unknown_names != "create" or name != COMPANIES or item.is_domain:
                raise
        return [self._create(item.text)] if may_create else []

    def _create(self, text: str) -> int:
        """Create a company that a record names, once; a dry run plans it under a negative id."""
        related = self._related[COMPANIES]
        if not related.is_readable:
            raise Unwritable(
                "companies cannot be searched, so none is created", cause="companies cannot be searched"
            )
        if self._creatable is not None and plain_name(text) not in self._creatable:
            raise Unwritable(NOT_IN_PLAN, is_of_plan=True)
        if self._settings.dry_run:
            created: int | None = next(self._planned_ids)
            related.note([{"id": created, "name": text}])
        else:
            related.look_again(text)
            created = pick(text, related.named("name", text), COMPANIES) or self._post(related, text)
        if created is None:
            raise Unwritable(
                "the create of its company got no clear answer; run again",
                cause="the create of its company got no clear answer",
            )
        self._notes.created.add(text)
        return created

    @staticmethod
    def _post(related: Related, text: str) -> int | None:
        try:
            return related.create(text)
        except InvalidRecord as error:
            raise Unwritable(
                f"the CRM refuses the company {text[:100]!r}", cause="company refused"
            ) from error
        except ApiError as error:
            if not error.outcome_unknown:
                if isinstance(error, CANNOT_BE_READ):
                    raise Unwritable(
                        f"the CRM refuses to create the company: {error}",
                        cause="company refused",
                        status=error.status,
                    ) from error
                raise
            related.look_again(text)
            return pick(text, related.named("name", text), COMPANIES)

    def id_of_planned(self, name: str, text: str) -> int | None:
        """Return the id of what a plan named before it was there; None where it still is not."""
        named = self._related[name].named("name", text)
        return named[0][1] if len(named) == 1 else None

    def names(self, field_name: str) -> dict[int, str]:
        """Return the names that are known of companies or deals, by id."""
        return self._related[field_name].names


def _new_ids(change: Change, contact: Contact | None, name: str) -> list[int]:
    """Return the ids that a change would add to a contact."""
    if change.modes.get(name) not in ADDING_MODES:
        return []
    held: Iterable[Any] = () if contact is None else contact.get(name) or ()
    return [
        item for item in change.associations.get(name, ()) if isinstance(item, int) and item not in set(held)
    ]
