"""Whether a CRM may have become so much smaller: a read is held against the last one before anything is marked gone."""

from __future__ import annotations

from dataclasses import dataclass

from appcrm.errors import AppcrmError

SMALLEST_SHARE = 10
"""A share of a small CRM would forbid what people delete on a normal day."""


class ShrunkTooMuch(AppcrmError):
    """The CRM shows far fewer rows than the last complete read found."""


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
        amount = float(number)
        if is_share and amount > 100:
            raise ValueError("a share is at most 100%")
        return cls(amount, is_share)

    def allowed(self, before: int) -> int:
        """How many of so many rows may be missing."""
        return max(SMALLEST_SHARE, int(before * self.amount / 100)) if self.is_share else int(self.amount)

    def is_passed(self, before: int | None, found: int | None) -> bool:
        """Whether more are missing than is believed; nothing is where one of both counts is not known."""
        return before is not None and found is not None and before - found > self.allowed(before)


def shrunk_too_much(stream: str, before: int, found: int, limit: ShrinkLimit) -> ShrunkTooMuch:
    """Say what was found and what to do about it."""
    return ShrunkTooMuch(
        f"stream {stream}: the CRM shows {found}, and the last complete read found {before}; max_shrink lets "
        f"{limit.allowed(before)} be missing. Nothing was marked as deleted and the bookmark is unmoved. If so many "
        f"were deleted, set max_shrink to {before - found} for one run; else see whether the token's user may still "
        "see them all"
    )
