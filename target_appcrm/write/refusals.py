"""What the CRM's refusals mean: for one record, or for the whole run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from appcrm.errors import (
    AnswerTooLarge,
    ApiError,
    ConnectionFault,
    InvalidRecord,
    MalformedBody,
    NoRecordsFault,
    RateLimited,
    ServerFault,
)
from target_appcrm.errors import RunStopped, Unwritable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_appcrm.report.decisions import Decision

STOPS_THE_RUN = (NoRecordsFault, ConnectionFault, RateLimited, MalformedBody, AnswerTooLarge)
"""What would meet every record alike: then the run stops, instead of refusing them one by one."""
WRITE_FAULTS_THAT_STOP = 10
WRITES = frozenset({"create", "update", "delete", "attach", "detach", "sync"})


class WriteFaults:
    """Counts writes in a row that the server failed on; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_a_row = 0

    def failed(self, error: ApiError) -> None:
        """Count a record that ended in this error.

        Raises:
            RunStopped: too many in a row; it is down, and the rest would fare no better.
        """
        if not isinstance(error, ServerFault):
            return
        with self._lock:
            self._in_a_row += 1
            count = self._in_a_row
        if count >= WRITE_FAULTS_THAT_STOP:
            raise RunStopped(
                f"the server failed on {count} writes in a row, last: {error}. Run again when it is well"
            )

    def told(self, decisions: Iterable[Decision]) -> None:
        """Take note of what was decided: only a write that was done shows that the server does write."""
        if any(decision.operation in WRITES for decision in decisions):
            with self._lock:
                self._in_a_row = 0


def refused(error: ApiError) -> Unwritable:
    """Say which call the CRM refused."""
    detail = f": {error.detail}" if error.detail else ""
    return Unwritable(
        f"{error.operation}: status {error.status}{detail}",
        cause=f"{error.operation} refused with status {error.status}",
        status=error.status,
    )


HELD_BY_ANOTHER = {
    "email": "another contact holds this address, perhaps one in the trash or one that the token cannot see; "
    "a user of the CRM may hold it, too",
    "phones": "another contact may hold this number, perhaps one in the trash or one that the token cannot see: match "
    "by phone too, with phones.number in match_on; or it lacks its country's prefix",
}


def refused_fields(error: InvalidRecord) -> Unwritable:
    """Say which fields the CRM refused, with its own texts for the receipt and field names for the summary."""
    texts = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.field_errors.items())
    names = sorted({name.partition(".")[0] for name in error.field_errors})
    reason = f"status {error.status}: {texts or error.detail}"
    hints = [hint for name, hint in HELD_BY_ANOTHER.items() if name in names]
    if hints:
        reason += f" ({'; '.join(hints)})"
    cause = f"status {error.status}" + (f" on {', '.join(names)}" if names else "")
    if "phones" in names:
        cause += ", held by another contact (match by phone too) or without its country's prefix"
    return Unwritable(reason, cause=cause, status=error.status, fields=frozenset(names))
