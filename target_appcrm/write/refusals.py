"""What the CRM's refusals mean for one record: words for its receipt, and a cause for the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_appcrm.errors import Unwritable

if TYPE_CHECKING:
    from appcrm.errors import ApiError, InvalidRecord


def refused(error: ApiError) -> Unwritable:
    """Say which call the CRM refused."""
    detail = f": {error.detail}" if error.detail else ""
    return Unwritable(
        f"{error.operation}: status {error.status}{detail}",
        cause=f"{error.operation} refused with status {error.status}",
        status=error.status,
    )


def refused_fields(error: InvalidRecord) -> Unwritable:
    """Say which fields the CRM refused, with its own texts for the receipt and field names for the summary."""
    texts = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.field_errors.items())
    names = sorted({name.partition(".")[0] for name in error.field_errors})
    reason = f"status {error.status}: {texts or error.detail}"
    if "email" in names:
        reason += (
            " (another contact holds this address, perhaps one in the trash or one that the token cannot see; "
            "a user of the CRM may hold it, too)"
        )
    cause = f"status {error.status}" + (f" on {', '.join(names)}" if names else "")
    return Unwritable(reason, cause=cause, status=error.status)
