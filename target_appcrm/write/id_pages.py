"""Ids of contacts that a run has seen, in a few bits each."""

from __future__ import annotations

PAGE_BITS = 12


class IdPages:
    """A set of ids that takes a bit each where ids lie close together, as a CRM gives them out.

    Not safe to share between threads.
    """

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Add an id; returns whether it was new."""
        page, bit = number >> PAGE_BITS, 1 << (number & ((1 << PAGE_BITS) - 1))
        held = self._pages.get(page, 0)
        self._pages[page] = held | bit
        return not held & bit

    def __contains__(self, number: int) -> bool:
        return bool(self._pages.get(number >> PAGE_BITS, 0) >> (number & ((1 << PAGE_BITS) - 1)) & 1)

    def __bool__(self) -> bool:
        return bool(self._pages)
