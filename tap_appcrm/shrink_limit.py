"""The setting ``max_shrink``: how much smaller a CRM may be than it was before that is an error."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_SHARE = 10
"""A share of a small CRM would forbid what people delete on a normal day."""
MOST = 1e15
"""More than any CRM holds, and yet a number that can be counted with."""


@dataclass(frozen=True)
class ShrinkLimit:
    """How many rows fewer are believed: a count, or a share of what was there before.

    Args:
        amount: the count, or per cent.
        is_share: which of both it is.
    """

    amount: float
    is_share: bool

    @classmethod
    def parse(cls, value: object) -> ShrinkLimit:
        """Read the setting ``max_shrink``.

        Raises:
            ValueError: it is neither a count nor a share.
        """
        text = str(value).strip()
        is_share = text.endswith("%")
        number = text[:-1].strip() if is_share else text
        if (
            isinstance(value, bool)
            or not number.isascii()
            or not number.replace(".", "", int(is_share)).isdigit()
        ):
            raise ValueError("neither a count nor a share")
        amount = min(float(number), MOST)
        if is_share and amount > 100:
            raise ValueError("a share is at most 100%")
        return cls(amount, is_share)

    def allowed(self, before: int) -> int:
        """How many of so many rows may be missing."""
        return max(SMALLEST_SHARE, int(before * self.amount / 100)) if self.is_share else int(self.amount)

    def is_passed(self, before: int | None, found: int | None) -> bool:
        """Whether more are missing than is believed; nothing is where one of both counts is not known."""
        return before is not None and found is not None and before - found > self.allowed(before)
