"""What the CRM answers to a write, as a contact, and who is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm.contact import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.report.receipts import Outcome


class Answers:
    """Reads answers and passes contacts on as they are now.

    Args:
        custom_names: custom fields beyond ``cf_…``.
        tell: is told of each contact that was written.
    """

    def __init__(self, custom_names: frozenset[str], tell: Callable[[Contact], None]) -> None:
        self._custom_names = custom_names
        self._tell = tell

    def read(self, answer: Mapping[str, Any], contact_id: int | None = None) -> Contact:
        """Return an answer as a contact; its id is given where the answer may be empty."""
        contact = normalise(dict(answer), self._custom_names)
        if contact_id is not None:
            contact["id"] = contact_id
        return contact

    def remember(self, contact: Contact, outcome: Outcome) -> None:
        """Have a contact known as it is now."""
        outcome.contact = contact
        self._tell(contact)
