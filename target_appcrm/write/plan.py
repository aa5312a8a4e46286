"""A plan: what a dry run said would be done, which alone may be done now, field by field."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from appcrm.contact import ASSOCIATIONS, parse_timestamp
from appcrm.errors import SettingsError
from appcrm.receipt_reader import ReceiptsError, ReceiptsFile
from appcrm.receipts import WRITES, Receipt, Run, as_record, encode_line
from target_appcrm.errors import NOT_IN_PLAN, Unwritable
from target_appcrm.match.equality import plain_name
from target_appcrm.match.keys import resolve
from target_appcrm.report.decisions import Decision, shown_id
from target_appcrm.report.kept_lines import KeptLines
from target_appcrm.write.create import wanted_of_new
from target_appcrm.write.diff import as_written, same_field
from target_appcrm.write.update import intended, with_sets
from target_appcrm.write.upsert import check_external_key, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.read.change import Change
    from target_appcrm.report.decisions import Outcome
    from target_appcrm.report.kept_lines import Place
    from target_appcrm.write.context import WriteContext
    from target_appcrm.write.records_by_contact import Item

CHANGED_SINCE_PLAN = "changed since the plan"


@dataclass
class Planned:
    """What the plan says of one record.

    Args:
        olds: field to the values that it may hold before: more than one where an address is let go on the way.
        news: field to the value that it is to hold.
        companies: those that the plan creates, by the ids that stand for them.
    """

    operations: set[str] = field(default_factory=set)
    contact_id: int | None = None
    at: datetime | None = None
    olds: dict[str, list[Any]] = field(default_factory=dict)
    news: dict[str, Any] = field(default_factory=dict)
    companies: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, receipts: Iterable[Receipt]) -> Planned:
        """Fold a record's receipts, which were made one after another, into one."""
        planned = cls()
        for receipt in receipts:
            planned.operations.add(receipt.operation)
            planned.contact_id = receipt.contact_id or planned.contact_id
            planned.at = parse_timestamp(receipt.at)
            named = (receipt.names or {}).get("companies", {})
            planned.companies |= {
                int(number): name for number, name in named.items() if is_planned_id(number)
            }
            for name, (old, new) in (receipt.changes or {}).items():
                planned.olds.setdefault(name, []).append(old)
                planned.news[name] = new
        return planned

    def resolve_planned_companies(self, id_of: Callable[[str, str], int | None]) -> None:
        """Put the ids of companies that were created since in the place of those that stood for them."""
        ids = {
            number: found
            for number, name in self.companies.items()
            if (found := id_of("companies", name)) is not None
        }
        if "companies" in self.news:
            self.news["companies"] = [ids.get(number, number) for number in self.news["companies"] or ()]

    @property
    def writes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.operations & WRITES)

    @property
    def is_create(self) -> bool:
        """Whether the contact is to be created."""
        return "create" in self.operations

    def is_before(self, name: str, held: object) -> bool:
        """Whether a field still holds what the plan found in it."""
        return any(same_planned(name, old, held) for old in self.olds[name])

    def let_go_of_moved(self, contact: Mapping[str, Any]) -> set[str]:
        """Take out the fields that hold neither what the plan found nor what it wants, and return their names."""
        moved = {
            name
            for name, new in self.news.items()
            if not same_planned(name, new, contact.get(name))
            and not self.is_before(name, as_written(name, contact.get(name)))
        }
        self.news = {name: new for name, new in self.news.items() if name not in moved}
        return moved

    def is_done(self, contact: Mapping[str, Any]) -> bool:
        """Whether a contact holds all that is to be written."""
        return all(same_planned(name, new, contact.get(name)) for name, new in self.news.items())


def is_planned_id(number: str) -> bool:
    """Whether an id stands for what a plan only creates."""
    return number.startswith("-")


def same_planned(name: str, one: Any, other: Any) -> bool:  # noqa: ANN401  any field's value
    """Whether two values of a field are the same to a plan."""
    if name in ASSOCIATIONS:
        return set(one or ()) == set(other or ())
    return same_field(name, one, other)


class Plan:
    """A plan that was read and may be applied; safe to share between threads.

    Args:
        run: that made it.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._kept = KeptLines()
        self._lock = threading.Lock()
        self._groups: dict[bytes, deque[tuple[int | None, list[Place]]]] = {}
        self._companies: set[str] = set()

    @property
    def companies(self) -> frozenset[str]:
        """Compared names of the companies that it creates."""
        return frozenset(self._companies)

    @property
    def is_undo(self) -> bool:
        """Whether it takes another run back, and is bound to no settings."""
        return self.run.undo_of is not None or self.run.settings is None

    def add(self, receipt: Receipt) -> None:
        """Take in a receipt of the run, in its order."""
        groups = self._groups.setdefault(_digest(receipt.stream, receipt.key or {}), deque())
        place = self._kept.put(as_record(receipt))
        named = (receipt.names or {}).get("companies", {})
        self._companies |= {plain_name(name) for number, name in named.items() if is_planned_id(number)}
        if groups and receipt.record_number is not None and groups[-1][0] == receipt.record_number:
            groups[-1][1].append(place)
        else:
            groups.append((receipt.record_number, [place]))

    def take(self, stream: str, key: dict[str, Any], number: int | None) -> Planned | None:
        """Return what the plan says of a record, once for each time that it stood in the input; None for nothing."""
        with self._lock:
            groups = self._groups.get(_digest(stream, key))
            if not groups:
                return None
            position = next((at for at, group in enumerate(groups) if group[0] == number), 0)
            _, places = groups[position]
            del groups[position]
        return Planned.of(Receipt(**json.loads(bytes(self._kept.get(place)))) for place in places)

    def apply(self, ctx: WriteContext, item: Item, known: Mapping[int, Contact], outcome: Outcome) -> None:
        """Write what the plan holds for a record, and nothing else.

        Raises:
            Unwritable: the record would do something else, or the contact is not any more what was planned for.
            ApiError: the CRM refused or failed.
        """
        change = item.change
        contact = resolve(change.keys, known.values())
        if contact is not None:
            check_external_key(change, contact, ctx.settings.external_id_field)
        planned = self.take(item.stream.source, item.key, item.number)
        if planned is None:
            raise not_in_plan()
        planned.resolve_planned_companies(ctx.lookups.names.associations.id_of_planned)
        if not planned.writes:
            self._do_nothing(ctx, item, contact, known, outcome)
            return
        if contact is not None:
            contact = with_sets(ctx, change, contact)
            if planned.is_done(contact):
                outcome.contact = contact
                outcome.decisions.append(Decision("unchanged", shown_id(contact["id"])))
                return
        if planned.is_create != (contact is None) or (
            contact is not None and planned.contact_id not in (None, contact["id"])
        ):
            raise changed_since_plan()
        if contact is None:
            check_new(ctx, change, planned)
            upsert(ctx, _only(change, planned.news), item.stream.name, known, outcome)
            return
        # What somebody changed since is theirs, and in an undo no reason to keep the rest of a run's mistake.
        moved = planned.let_go_of_moved(contact) if self.is_undo else set()
        check_update(ctx, _only(change, planned.news) if moved else change, contact, planned)
        if planned.news:
            upsert(ctx, _only(change, planned.news), item.stream.name, known, outcome)
        if moved:
            raise changed_since_plan()

    def _do_nothing(
        self,
        ctx: WriteContext,
        item: Item,
        contact: Contact | None,
        known: Mapping[int, Contact],
        outcome: Outcome,
    ) -> None:
        """Take a record of which nothing was planned: it may not want anything now."""
        settings = ctx.settings
        if settings.mode == "upsert" or (settings.mode == "update_only") == (contact is not None):
            if contact is None and any(key.field != "id" for key in item.change.keys):
                raise not_in_plan()
            if contact is not None and intended(ctx, item.change, with_sets(ctx, item.change, contact)):
                raise not_in_plan()
        upsert(ctx, item.change, item.stream.name, known, outcome)

    def why_not_deleted(
        self, stream: str, key: dict[str, Any], number: int | None, contact: Contact
    ) -> str | None:
        """Return why a contact may not be deleted by this plan; None where it may."""
        planned = self.take(stream, key, number)
        if planned is None or "delete" not in planned.operations:
            return NOT_IN_PLAN
        if planned.contact_id not in (None, contact["id"]):
            return CHANGED_SINCE_PLAN
        is_as_planned = all(
            planned.is_before(name, as_written(name, contact.get(name))) for name in planned.olds
        )
        return None if is_as_planned else CHANGED_SINCE_PLAN


def not_in_plan() -> Unwritable:
    """Return the refusal of a record that would do what the plan does not hold."""
    return Unwritable(NOT_IN_PLAN, is_of_plan=True)


def changed_since_plan() -> Unwritable:
    """Return the refusal of a record whose contact is not any more what was planned for."""
    return Unwritable(CHANGED_SINCE_PLAN, is_of_plan=True)


def check_new(ctx: WriteContext, change: Change, planned: Planned) -> None:
    """Check that a record would create exactly what was planned.

    Raises:
        Unwritable: it would not.
    """
    body, plan, _ = wanted_of_new(ctx, change)
    wanted = {
        **body,
        **plan.body,
        **{name: ids for sets in plan.calls.values() for name, ids in sets.items()},
    }
    if wanted.keys() != planned.news.keys() or not all(
        same_planned(name, planned.news[name], value) for name, value in wanted.items()
    ):
        raise not_in_plan()


def check_update(ctx: WriteContext, change: Change, contact: Contact, planned: Planned) -> None:
    """Check a record and its contact against the plan, field by field.

    What somebody else changed in other fields since is left as it is; what the record newly wants is refused.

    Raises:
        Unwritable: they do not fit.
    """
    wanted = intended(ctx, change, contact)
    for name, new in planned.news.items():
        if same_planned(name, new, contact.get(name)):
            continue
        if not planned.is_before(name, as_written(name, contact.get(name))):
            raise changed_since_plan()
        if name not in wanted or not same_planned(name, new, wanted[name]):
            raise not_in_plan()
    touched_at = parse_timestamp(contact.get("updated_at"))
    was_touched = touched_at is None or planned.at is None or touched_at > planned.at
    if wanted.keys() - planned.news.keys() and not was_touched:
        raise not_in_plan()


def _only(change: Change, names: Iterable[str]) -> Change:
    """Return what a record wants of these fields alone."""
    kept = frozenset(names)
    return replace(
        change,
        fields={name: value for name, value in change.fields.items() if name in kept},
        associations={name: ids for name, ids in change.associations.items() if name in kept},
    )


def _digest(stream: str, key: Mapping[str, Any]) -> bytes:
    # As it is read back, whatever types a key's values have now.
    plain = json.loads(encode_line(key))
    return hashlib.blake2b(json.dumps([stream, plain], sort_keys=True).encode(), digest_size=16).digest()


def read_plan(
    path: str, *, account: str, settings_hash: str, max_age_hours: float, now: Callable[[], datetime]
) -> Plan:
    """Read the last run of a file of receipts as a plan.

    Raises:
        SettingsError: it is no plan, or one that must not be applied now; nothing was written.
    """
    try:
        with ReceiptsFile(path) as file:
            found = file.last_run
            run = found.run
            reason = found.why_not_whole() or why_refused(
                run, account=account, settings_hash=settings_hash, max_age_hours=max_age_hours, now=now()
            )
            if reason is not None:
                raise SettingsError(
                    f"plan_path: {path}: {reason}; make a new plan with dry_run and receipts_path"
                )
            plan = Plan(run)
            for receipt in file.receipts(found):
                plan.add(receipt)
    except ReceiptsError as error:
        raise SettingsError(f"plan_path: {error}") from error
    return plan


def why_refused(
    run: Run, *, account: str, settings_hash: str, max_age_hours: float, now: datetime
) -> str | None:
    """Return why a run that is whole must not be applied; None where it may."""
    if not run.planned:
        return f"its last run, {run.run_id}, is no dry run but one that wrote"
    if run.account != account:
        return f"it was made for another account ({run.account})"
    if run.undo_of is None and run.settings != settings_hash:
        return "it was made under other settings, and those decide what is written"
    made_at = parse_timestamp(run.ended_at)
    if made_at is None or now - made_at > timedelta(hours=max_age_hours):
        return f"it is older than plan_max_age_hours ({max_age_hours:g}) allows"
    return None
