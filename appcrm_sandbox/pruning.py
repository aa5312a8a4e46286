"""The trash is emptied of what has lain in it for a month."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from appcrm_sandbox.clock import stamp
from appcrm_sandbox.schema import RESOURCES

if TYPE_CHECKING:
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.writing import Writer

KEPT_DAYS = 30


class Pruner:
    """Removes what is too old for the trash, once a day of the sandbox's clock, as the CRM's nightly task does."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer
        self._day: dt.date | None = None

    def prune_if_due(self) -> None:
        """Prune unless that was done today."""
        now = self._store.clock.now()
        if now.date() == self._day:
            return
        self._day = now.date()
        oldest = stamp(now - dt.timedelta(days=KEPT_DAYS))
        for resource in RESOURCES.values():
            for row in self._store.rows(f"SELECT id FROM {resource.name} WHERE deleted_at < ?", [oldest]):
                self._writer.purge(resource, row["id"])
