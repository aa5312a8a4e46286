"""Rows of one ``updated_at`` at page boundaries: whether an unstable order may have hidden one of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_appcrm.source.page import SourcePage


@dataclass
class TieGroup:
    """Rows of one ``updated_at`` across a page boundary, where an unstable order can show one twice, another never."""

    stamp: str
    ids: set[int] = field(default_factory=set)
    shown: int = 0
    first_position: int = 0
    last_position: int = 0

    @property
    def is_suspicious(self) -> bool:
        """Whether a row was shown twice, so that another may have been shown never."""
        return len(self.ids) < self.shown


class TieWatch:
    """Watches the boundaries of pages that are read from right to left."""

    def __init__(self) -> None:
        self._right: SourcePage | None = None
        self._group: TieGroup | None = None
        self.suspicious: list[TieGroup] = []

    def see(self, page: SourcePage) -> None:
        """Look at the next page on the left."""
        right, self._right = self._right, page
        if not page.ids:
            return
        if right is None or not right.ids:
            return
        stamp = right.stamps[0]
        if stamp is None or stamp != page.stamps[-1]:
            self.close()
            return
        if self._group is None or self._group.stamp != stamp:
            self.close()
            self._group = TieGroup(stamp)
            self._count(right)
        self._count(page)
        if page.stamps[0] != stamp:
            self.close()

    def _count(self, page: SourcePage) -> None:
        group = self._group
        if group is None:
            return
        begin = (page.number - 1) * page.rows_per_page
        members = [index for index, stamp in enumerate(page.stamps) if stamp == group.stamp]
        if group.shown == 0:
            group.last_position = begin + members[-1]
        group.first_position = begin + members[0]
        group.shown += len(members)
        group.ids.update(page.ids[index] for index in members)

    def close(self) -> None:
        """Judge the group in hand."""
        if self._group is not None and self._group.is_suspicious:
            self.suspicious.append(self._group)
        self._group = None


class TieSearch:
    """Which rows of groups, of those that were not shown, an id scan has come upon so far."""

    def __init__(self, groups: Mapping[str, TieGroup]) -> None:
        self._groups = groups
        self._found: defaultdict[str, set[int]] = defaultdict(set)

    def wants(self, row_id: int, stamp: str | None) -> bool:
        """Whether this is such a row."""
        if stamp is None or stamp not in self._groups or row_id in self._groups[stamp].ids:
            return False
        self._found[stamp].add(row_id)
        return True

    def has_all(self) -> bool:
        """Whether of each group as many rows are known as it took up positions.

        Each by itself: rows that come into one group this very second must not stand in for another's.
        """
        return all(
            len(group.ids) + len(self._found[stamp]) >= group.shown for stamp, group in self._groups.items()
        )
