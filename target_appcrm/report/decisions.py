"""What was decided about a record, before it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from target_appcrm.match.keys import Contact


@dataclass
class Decision:
    """One decision about one record, which becomes one receipt.

    Args:
        operation: as the schema of the receipts lists them.
        changes: field to [old, new].
        left_alone: field that differs to the ``field_policy`` that kept it.
        names: of the ids in ``changes``, as far as they are known: field to id to name.
        reason: why it was skipped or rejected; it may name values.
        status: of the last answer.
        requests: sent for this decision.
        cause: of a reject, for the summary; it never names values.
    """

    operation: str
    contact_id: int | None = None
    changes: dict[str, list[Any]] | None = None
    left_alone: dict[str, str] | None = None
    names: dict[str, dict[str, str]] | None = None
    reason: str | None = None
    status: int | None = None
    requests: int = 0
    cause: str | None = None


@dataclass
class Outcome:
    """What came of one record: its decisions, and the contact as it is now, where there is one."""

    decisions: list[Decision] = field(default_factory=list)
    contact: Contact | None = None


def shown_id(contact_id: int) -> int | None:
    """Return a contact's id; None for one that a dry run only planned."""
    return contact_id if contact_id > 0 else None
