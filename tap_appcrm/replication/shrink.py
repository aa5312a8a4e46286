"""Whether a CRM may have become so much smaller: a read is held against the last one before anything is marked gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.errors import AppcrmError

if TYPE_CHECKING:
    from tap_appcrm.shrink_limit import ShrinkLimit
    from tap_appcrm.state import StreamState


class ShrunkTooMuch(AppcrmError):
    """The CRM shows far fewer rows than the last complete read found."""


class SizeCheck:
    """Holds what is found against what the last proven read of the same account and filters found.

    Args:
        stream: its name, for messages.
        state: of the stream.
        limit: how much less is believed.
        knows_all: whether the ids in the state are all that there were.
        compares: whether what is not found now may go from the warehouse, or would be the measure of later reads.
    """

    def __init__(
        self, stream: str, state: StreamState, limit: ShrinkLimit, *, knows_all: bool, compares: bool
    ) -> None:
        self._stream = stream
        self._state = state
        self._limit = limit
        self._knows_all = knows_all
        self._compares = compares

    @property
    def _before(self) -> int | None:
        """Rows that the last proven read found; an old state may know by its ids alone."""
        known = self._state.known_ids
        if self._state.proven_total is not None or known is None or not self._knows_all:
            return self._state.proven_total
        return len(known) - len(self._state.unlisted_ids or ())

    def is_much_smaller(self, found: int | None) -> bool:
        """Whether an answer is one to ask for a second time."""
        return self._compares and self._limit.is_passed(self._before, found)

    def check(self, found: int | None) -> None:
        """Stop before anything is marked gone because far fewer rows are shown than there were.

        Raises:
            ShrunkTooMuch: that is so.
        """
        before = self._before
        if before is None or found is None or not self.is_much_smaller(found):
            return
        raise ShrunkTooMuch(
            f"stream {self._stream}: the CRM shows {found}, and the last complete read found {before}; max_shrink "
            f"lets {self._limit.allowed(before)} be missing. Nothing was marked as deleted and the bookmark is "
            f"unmoved. If so many were deleted, set max_shrink to {before - found} for one run; else see whether the "
            "token's user may still see them all"
        )

    def note(self, found: int) -> None:
        """Remember how many rows there are; where nothing was held against it, not a number that needs to be."""
        if not self._limit.is_passed(self._before, found):
            self._state.proven_total = found
