"""Associations of the contacts that the same run has just read, where its pages did not carry them.

Each contact costs a Retrieve, which takes far longer than the list; so the contacts are finished first, and the
associations follow with a position of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_appcrm.id_set import IdSet
from tap_appcrm.replication.backfill import Checkpoint
from tap_appcrm.replication.read_context import Rows
from tap_appcrm.replication.replication import INCREMENTAL, Replication
from tap_appcrm.state import Backfill

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_appcrm.replication.read_context import ReadContext
    from tap_appcrm.replication.replication import Step
    from tap_appcrm.settings import TapSettings
    from tap_appcrm.state import StreamState


class FinishedRead:
    """What a finished read of contacts leaves to the stream of their associations.

    Args:
        mode: of the read.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.bookmark_after: str | None = None
        self.total: int | None = None
        self.seen = IdSet()
        self._changed: dict[int, str] = {}

    def note(self, rows: Rows) -> None:
        """Remember what was emitted by an incremental read."""
        if self.mode == INCREMENTAL:
            for contact_id, stamp in zip(rows.ids, rows.stamps, strict=True):
                self._changed[contact_id] = max(stamp or "", self._changed.get(contact_id, ""))

    def finish(self, read: Replication) -> None:
        """Take over what the finished read knows."""
        self.bookmark_after = read.state.bookmark
        self.total = read.context.total
        # What an id scan did not show was emitted all the same: its own request says whether it is gone.
        self.seen = IdSet(read.context.seen)
        self.seen.update(read.context.vanished)

    def changed(self) -> list[tuple[str, int]]:
        """``updated_at`` and id of each contact emitted, oldest first."""
        return sorted((stamp, contact_id) for contact_id, stamp in self._changed.items())


class DeferredAssociations(Replication):
    """Hands out the contacts of a finished read again, without listing them.

    Its state moves as it goes: an incremental bookmark after each group of equal ``updated_at``, a backfill's
    position downwards by id, in the same shape as that of a read of its own, which can go on from it.
    """

    def __init__(
        self,
        context: ReadContext,
        settings: TapSettings,
        state: StreamState,
        finished: FinishedRead,
        *,
        full_table: bool,
    ) -> None:
        super().__init__(context, settings, state, full_table=full_table, tells_deletes=False)
        self._finished = finished
        self._page_size = settings.page_size

    def steps(self) -> Iterator[Step]:
        """Yield rows that hold little more than ids."""
        self.context.total = self._finished.total
        if self._finished.mode == INCREMENTAL:
            yield from self._changed()
        else:
            yield from self._all()
            self.state.proven_total = self._finished.total
        self.state.backfill = self._position = None
        self.state.scope = self.scope
        self.state.bookmark = _later(self.state.bookmark, self._finished.bookmark_after)

    def _changed(self) -> Iterator[Step]:
        changed = self._finished.changed()
        limit = self._finished.bookmark_after
        for begin in range(0, len(changed), self._page_size):
            part = changed[begin : begin + self._page_size]
            self.context.seen.update(contact_id for _, contact_id in part)
            yield _bare_rows((contact_id for _, contact_id in part), [stamp or None for stamp, _ in part])
            following = changed[begin + self._page_size : begin + self._page_size + 1]
            done = [stamp for stamp, _ in part if stamp and all(stamp < later for later, _ in following)]
            if done and limit is not None:
                self.state.bookmark = _later(self.state.bookmark, min(done[-1], limit))
            yield Checkpoint()

    def _all(self) -> Iterator[Step]:
        ids = self._finished.seen
        newest_id = next(reversed(ids), 0)
        position = Backfill(
            watermark=self._finished.bookmark_after,
            total=self._finished.total,
            max_id=newest_id,
            below_id=newest_id + 1,
            rows_below=len(ids),
        )
        self._position = None if self._is_full_table else position
        part: list[int] = []
        for contact_id in reversed(ids):
            part.append(contact_id)
            if len(part) == self._page_size:
                yield from self._hand_out(part, position)
                part = []
        if part:
            yield from self._hand_out(part, position)

    def _hand_out(self, part: list[int], position: Backfill) -> Iterator[Step]:
        self.context.seen.update(part)
        yield _bare_rows(part, [None] * len(part))
        position.below_id = part[-1]
        position.rows_below -= len(part)
        yield Checkpoint()


def _later(one: str | None, other: str | None) -> str | None:
    return max(one or "", other or "") or None


def _bare_rows(ids: Iterable[int], stamps: list[str | None]) -> Rows:
    found = list(ids)
    return Rows([{"id": contact_id} for contact_id in found], found, stamps)


def stand_together(contacts: Replication, associations: Replication) -> bool:
    """Whether associations can go along with a read of contacts: both begin at the same place, in the same way."""
    if contacts.mode != associations.mode or contacts.state.bookmark != associations.state.bookmark:
        return False
    ours, theirs = contacts.resumed, associations.resumed
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return ours.is_at(theirs)
