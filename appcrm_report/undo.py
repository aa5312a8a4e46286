"""What puts back what a run changed: a Singer stream of contacts, and a plan that holds the target to it.

The oldest value that the run found is what returns, whatever it wrote in between. Deciding that is pure: receipts in,
records, planned receipts and sentences out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from appcrm.contact import (
    ASSOCIATIONS,
    CUSTOM_FIELD_PREFIX,
    LIST_FIELDS,
    READ_ONLY_FIELDS,
    SCALAR_FIELDS,
)
from appcrm.receipts import WRITES, Receipt, ReceiptWriter, Run, encode_line, no_counts
from appcrm.schemas import load_schema
from appcrm.text import counted, masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CONTACTS = "contacts"
KEPT_IN_TRASH = "the CRM's trash keeps them for 30 days"
DELETED_AT = "_sdc_deleted_at"
_KNOWN_FIELDS = frozenset({*SCALAR_FIELDS, *LIST_FIELDS, *ASSOCIATIONS})
_UNSENDABLE = frozenset(READ_ONLY_FIELDS)
_FILLED_BY_THE_CRM = frozenset({"user_id", "source_id", "country_id", "companies", "activities"})
"""What a new contact may get from the CRM itself: an owner, a country, the companies of its address."""


@dataclass
class ContactChange:
    """What one run did to one contact, folded: each field from the first value found to the last one written."""

    contact_id: int
    key: dict[str, Any] | None = None
    fields: dict[str, list[Any]] = field(default_factory=dict)
    was_created: bool = False
    is_deleted: bool = False

    def take(self, receipt: Receipt) -> None:
        """Fold in a later receipt."""
        self.key = self.key or receipt.key
        self.was_created |= receipt.operation == "create"
        self.is_deleted = receipt.operation == "delete"
        for name, (old, new) in (receipt.changes or {}).items():
            self.fields[name] = [self.fields.get(name, [old])[0], new]


@dataclass
class Undo:
    """What an undo sends, what it expects to change by that, and what it cannot put back.

    Args:
        records: of the stream ``contacts``, in the order in which they are to be applied.
        planned: a receipt for each, as a dry run would write it.
        limits: sentences on what will not be as it was.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    planned: list[Receipt] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    def count(self, operation: str) -> int:
        """Return how many records are to do this."""
        return sum(receipt.operation == operation for receipt in self.planned)

    def add(
        self, record: dict[str, Any], operation: str, contact_id: int | None, changes: dict[str, list[Any]]
    ) -> None:
        """Add one record and its planned receipt."""
        key = {name: record[name] for name in key_properties_of(record)}
        self.records.append(record)
        self.planned.append(
            Receipt(
                CONTACTS,
                operation,
                "",
                key=key or None,
                contact_id=contact_id,
                changes=changes,
                record_number=len(self.records),
            )
        )


def key_properties_of(record: dict[str, Any]) -> list[str]:
    """Return the key of a record of an undo: its id, or where it is to be created, its address if it has one."""
    return [name for name in ("id", "email") if record.get(name) is not None][:1]


def folded(receipts: Iterable[Receipt]) -> tuple[list[ContactChange], int]:
    """Return what a run changed, contact by contact in the order of its first writes, and its writes of no contact."""
    contacts: dict[int, ContactChange] = {}
    lost = 0
    for receipt in receipts:
        if receipt.operation not in WRITES:
            continue
        if receipt.contact_id is None:
            lost += 1
            continue
        contacts.setdefault(receipt.contact_id, ContactChange(receipt.contact_id)).take(receipt)
    return list(contacts.values()), lost


def undo_of(receipts: Iterable[Receipt], deleted_at: str) -> Undo:
    """Return what undoes a run.

    Created contacts go first, so that the addresses and numbers that they hold are free for those that return.

    Args:
        receipts: of the run, in their order.
        deleted_at: the moment to write into tombstones.
    """
    undo = Undo()
    changes, lost = folded(receipts)
    if lost:
        undo.limits.append(
            f"{counted(lost, 'write')} named no contact, so nothing is put back for them; look at them in the report."
        )
    for change in changes:
        if change.was_created and not change.is_deleted:
            undo.add(
                {"id": change.contact_id, DELETED_AT: deleted_at}, "delete", change.contact_id, _gone(change)
            )
    if deletes := undo.count("delete"):
        undo.limits.append(
            f"{counted(deletes, 'contact')} that the run created will be deleted, and notes, calls and deals "
            f"that hang on them since are hidden with them; {KEPT_IN_TRASH}."
        )
    for change in changes:
        if not change.was_created and not change.is_deleted:
            _put_back(change, undo)
    for change in changes:
        if not change.was_created and change.is_deleted:
            _create_again(change, undo)
    return undo


def _gone(change: ContactChange) -> dict[str, list[Any]]:
    """Return what a created contact must still hold, if it is to go: what the run wrote, and nothing else since."""
    held: dict[str, list[Any]] = {
        name: [[] if name in (*LIST_FIELDS, *ASSOCIATIONS) else None, None]
        for name in sorted(_KNOWN_FIELDS - _FILLED_BY_THE_CRM)
    }
    written = {
        name: [_plain_list(new), None] for name, (_, new) in change.fields.items() if name not in _UNSENDABLE
    }
    return held | written


def _put_back(change: ContactChange, undo: Undo) -> None:
    """Restore the fields of a contact that is still there."""
    together: dict[str, list[Any]] = {}
    for name, (oldest, newest) in change.fields.items():
        if name in _UNSENDABLE or _is_same(name, oldest, newest):
            continue
        if name in ASSOCIATIONS and oldest is None:
            undo.limits.append(
                f"{_named(change)}: which {name} it had before is not known, so they stay as they are."
            )
            continue
        planned = [_plain_list(newest), _sendable(name, oldest)]
        if _may_be_select(name, newest) and _is_empty(oldest):
            undo.limits.append(
                f"{_named(change)}: {name} was empty. If it is a select, the CRM cannot clear it, and it stays."
            )
            # Apart from the others, so that it alone is refused.
            undo.add(
                {"id": change.contact_id, name: planned[1]}, "update", change.contact_id, {name: planned}
            )
        else:
            together[name] = planned
    if together:
        record = {"id": change.contact_id, **{name: old for name, (_, old) in together.items()}}
        undo.add(record, "update", change.contact_id, together)


def _may_be_select(name: str, value: object) -> bool:
    """Whether a field may be a select, whose value is an option's id, or a list of them."""
    return name not in _KNOWN_FIELDS and isinstance(value, (int, list)) and not isinstance(value, bool)


def _create_again(change: ContactChange, undo: Undo) -> None:
    """Create a contact that the run deleted, with all that the run found in it."""
    record = {
        name: _sendable(name, oldest)
        for name, (oldest, _) in change.fields.items()
        if name not in _UNSENDABLE and not name.endswith("_count") and not _is_empty(oldest)
    }
    if not record.get("first_name"):
        undo.limits.append(
            f"{_named(change)} was deleted, and its receipt lacks what it held, so it is not created again; "
            "restore it from the CRM's trash."
        )
        return
    address = ", and not while the trash holds its address" if record.get("email") else ""
    undo.limits.append(
        f"{_named(change)} was deleted. It returns under a new id, without its notes, calls and history{address}. "
        "To restore it from the CRM's trash is better."
    )
    undo.add(record, "create", None, {name: [None, value] for name, value in record.items()})


def _sendable(name: str, value: object) -> object:
    if _is_empty(value) and name in (*LIST_FIELDS, *ASSOCIATIONS):
        return []
    return _plain_list(value)


def _plain_list(value: object) -> object:
    """Return a list of phones in the form in which they are written, without the ids that the CRM gives them."""
    if not isinstance(value, list):
        return value
    return [
        {"number": each.get("number"), "type": each.get("type")}
        if isinstance(each, dict) and "number" in each
        else each
        for each in value
    ]


def _is_same(name: str, one: object, other: object) -> bool:
    if name in ASSOCIATIONS and isinstance(one, list) and isinstance(other, list):
        return set(one) == set(other)
    return _plain_list(one) == _plain_list(other)


def _is_empty(value: object) -> bool:
    return value is None or value in ("", [])


def _named(change: ContactChange) -> str:
    shown = ", ".join(
        masked(str(value)) for name, value in (change.key or {}).items() if value and name != "id"
    )
    return f"Contact {change.contact_id}" + (f" ({shown})" if shown else "")


def undo_settings(undo: Undo) -> dict[str, Any]:
    """Return the settings under which the target applies an undo, whatever the run's own were."""
    custom = {
        name
        for record in undo.records
        for name in record
        if name not in _KNOWN_FIELDS
        and name not in ("id", DELETED_AT)
        and not name.startswith(CUSTOM_FIELD_PREFIX)
    }
    deletes = undo.count("delete")
    return {
        "mode": "upsert",
        "match_on": ["id", "email"] if undo.count("create") else ["id"],
        "null_handling": "clear",
        "associations": "sync",
        "custom_fields": sorted(custom),
        "external_id_field": None,
        "field_policy": {},
        "stream_maps": {},
        "unknown_names": "reject",
        "retry_rejects": False,
        "dry_run": False,
        "allow_deletes": deletes > 0,
        "max_deletes": deletes,
    }


def undo_stream(undo: Undo) -> Iterator[bytes]:
    """Yield the Singer messages of an undo; what is to be created has another key, so it has a SCHEMA of its own."""
    described = load_schema(CONTACTS)["properties"]
    keys: list[str] | None = None
    names = sorted({name for record in undo.records for name in record})
    schema = {"type": "object", "properties": {name: described.get(name, {}) for name in names}}
    for record in undo.records:
        if keys != key_properties_of(record):
            keys = key_properties_of(record)
            yield encode_line(
                {"type": "SCHEMA", "stream": CONTACTS, "schema": schema, "key_properties": keys}
            )
        yield encode_line({"type": "RECORD", "stream": CONTACTS, "record": record})


def undo_plan(undo: Undo, *, run: Run, run_id: str, now: str) -> bytes:
    """Return the plan that holds the target to an undo.

    Args:
        undo: what is planned.
        run: the one that is undone.
        run_id: of the plan.
        now: when it is made.
    """
    lines: list[bytes] = []
    begun = Run(run_id, now, run.account, planned=True, undo_of=run.run_id, app_version=run.app_version)
    writer = ReceiptWriter(lines.append, begun)
    counts = no_counts()
    for receipt in undo.planned:
        writer.write(replace(receipt, at=now))
        counts[receipt.operation] += 1
    writer.end(replace(begun, ended_at=now, counts=counts, records=len(undo.records), exit_code=0))
    return b"".join(lines)
