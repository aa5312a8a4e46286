"""Figures that page and Markdown share: what a run did in one sentence, its requests, and the minutes they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.receipts import WRITES
from appcrm.text import counted

if TYPE_CHECKING:
    from appcrm.receipt_reader import RunInFile

REQUESTS_PER_MINUTE = 90
"""The limit of the vendor's cloud (vendor page, rate limits)."""

OPERATION_WORDS = {
    "delete": ("deleted", "to delete"),
    "create": ("created", "to create"),
    "update": ("updated", "to update"),
    "attach": ("attached", "to attach"),
    "detach": ("detached", "to detach"),
    "sync": ("associations set", "associations to set"),
    "reject": ("rejected", "rejected"),
    "skipped": ("skipped", "to skip"),
    "unchanged": ("unchanged", "unchanged"),
}
"""Each operation in the order of a report: as a run says it, and as a plan says it."""


def words_for(operation: str, *, planned: bool) -> str:
    """Return an operation as a report names it."""
    return OPERATION_WORDS[operation][planned]


def counts_sentence(run: RunInFile) -> str:
    """Return what a run did or would do, deletes first."""
    parts = [
        f"{run.counts[operation]:,} {words_for(operation, planned=run.run.planned)}"
        for operation in OPERATION_WORDS
        if run.counts[operation]
    ]
    return ", ".join(parts) or "nothing to do"


def requests_to_apply(run: RunInFile) -> int:
    """Return about how many requests it takes to apply a plan: its reading again, and one for each write."""
    return run.run.requests + sum(run.counts[operation] for operation in WRITES)


def minutes_phrase(requests: int) -> str:
    """Return how long so many requests take at the vendor's limit."""
    if requests <= REQUESTS_PER_MINUTE:
        return f"under a minute at {REQUESTS_PER_MINUTE} a minute"
    minutes = -(-requests // REQUESTS_PER_MINUTE)
    return f"about {counted(minutes, 'minute')} at {REQUESTS_PER_MINUTE} a minute"


def kind_of(run: RunInFile) -> str:
    """Return what a run is, for people."""
    if run.run.undo_of is not None and run.run.planned:
        return "Undo plan"
    return "Plan" if run.run.planned else "Run"


def warnings_of(run: RunInFile) -> list[str]:
    """Return what somebody who trusts this run must know."""
    found = []
    if not run.has_ended:
        found.append(
            f"{kind_of(run)} {run.run.run_id} never ended: it was killed, still runs, or the file was cut off. "
            "What is shown may not be all"
            + (", and it cannot be applied." if run.run.planned else " that it wrote.")
        )
    elif run.run.exit_code:
        found.append(f"{kind_of(run)} {run.run.run_id} ended with exit code {run.run.exit_code}.")
    if run.run.error:
        found.append(run.run.error)
    if run.run.open_rejects:
        since = (
            f", the oldest since {moment(run.run.oldest_open_reject_at)}"
            if run.run.oldest_open_reject_at
            else ""
        )
        found.append(f"Open rejects: {run.run.open_rejects:,}{since}.")
    return found


def moment(value: str | None) -> str:
    """Return a moment as people write it, in UTC."""
    return "" if value is None else f"{value[:10]} {value[11:16]} UTC"
