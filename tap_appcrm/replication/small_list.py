"""Small look-up lists, such as users and sources: read whole in each run, by id, and proven by their count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_appcrm.replication.read_context import IncompleteRead, Rows
from tap_appcrm.replication.replication import Replication
from tap_appcrm.source.page import BY_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_appcrm.replication.replication import Step
    from tap_appcrm.source.page import Row

ROUNDS = 3
"""How often a list is read whose rows moved meanwhile."""


class SmallList(Replication):
    """Reads a list of a few pages whole; it has no ``updated_at`` to go by."""

    def steps(self) -> Iterator[Step]:
        """Yield all rows at once, when they are known to be all.

        Raises:
            IncompleteRead: the list kept moving, or its count and its rows disagree.
            ShrunkTooMuch: far fewer rows are there than the last time.
        """
        rows: dict[int, Row] = {}
        for attempt in range(ROUNDS):
            known, rows = set(rows), self._read()
            is_less = len(rows) < (self.state.proven_total or 0)
            # One answer alone is not believed where something would be gone.
            if self._is_whole(rows) and (not is_less or (attempt > 0 and known == set(rows))):
                break
        else:
            raise IncompleteRead(
                f"stream {self.context.stream}: {len(rows)} rows were read and the CRM counts {self.context.total}, "
                f"{ROUNDS} times; nothing was marked as gone. Run again when fewer people change the list"
            )
        self._size.check(len(rows))
        self.context.seen.update(rows)
        yield Rows(list(rows.values()), list(rows), [None] * len(rows))
        self.state.scope = self.scope
        self._size.note(len(rows))

    def _is_whole(self, rows: dict[int, Row]) -> bool:
        return self.context.total is None or len(rows) == self.context.total

    def _read(self) -> dict[int, Row]:
        rows: dict[int, Row] = {}
        number = 1
        while True:
            page = self.context.source.page(BY_ID, number)
            self.context.note_total(page)
            new = {row_id: row for row_id, row in zip(page.ids, page.rows, strict=True) if row_id not in rows}
            rows |= new
            # A server that knows no pages sends the same one again.
            if not new or (self.context.total is not None and len(rows) >= self.context.total):
                return rows
            number += 1
