"""What ACTIVATE_VERSION says is gone: contacts that no record of the run means, once every version is whole."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from appcrm.client import ListQuery
from appcrm.contact import as_id
from appcrm.errors import BadRequest, InvalidRecord, NotFound, ServerFault
from target_appcrm.write.id_pages import IdPages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appcrm.client import Client

SAFE_SELECT = ("id", "first_name", "user_id", "updated_at")
"""Without ``first_name`` and ``user_id`` a select may be refused, or come back empty (vendor's product)."""


class Mirror:
    """Knows which contacts the run's records mean, and which versions are whole; safe to share between threads.

    Args:
        is_allowed: whether it may ever delete; without it nothing is noted or asked.
    """

    def __init__(self, client: Client, *, is_allowed: bool) -> None:
        self._client = client
        self._is_allowed = is_allowed
        self._lock = threading.Lock()
        self._kept = IdPages()
        self._read: dict[str, int] = {}
        self._whole: dict[str, int] = {}
        self._with_records: set[str] = set()
        self._newest_id: int | None = None
        self._unclear: str | None = None

    def keep(self, contact_ids: Iterable[int]) -> None:
        """Note contacts that a record means, whatever becomes of it."""
        if self._is_allowed:
            with self._lock:
                for contact_id in contact_ids:
                    if contact_id > 0:
                        self._kept.add(contact_id)

    def cannot_tell(self, why: str) -> None:
        """Note a record that may mean any contact, so that nothing is deleted."""
        self._unclear = self._unclear or why

    def reading(self, source: str, version: int | None) -> None:
        """Note a record of a stream of the input: whatever was announced before it, its version is not whole yet."""
        if version is None or not self._is_allowed:
            return
        if self._newest_id is None:
            self._newest_id = self._read_newest_id()
        self._read[source] = version
        self._whole.pop(source, None)

    def activate(self, source: str, version: int) -> None:
        """Note that a version is whole; a tap also announces one before its first record, which says nothing."""
        if self._read.get(source) == version:
            self._whole[source] = version

    @property
    def sources(self) -> list[str]:
        """Streams whose version is whole."""
        return sorted(self._whole)

    def why_not(self, rejects: int) -> str | None:
        """Return why nothing may be deleted, where a version is whole and its deletes may yet be wrong."""
        if not self._whole:
            return None
        if rejects:
            return f"{rejects} rejected, any of which may mean any contact; fix the rejects and run again"
        if self._unclear is not None:
            return self._unclear
        partial = sorted(self._read.keys() - self._whole.keys())
        if partial:
            return f"stream {partial[0]} has a version that is not whole"
        return None

    def gone(self) -> dict[int, object]:
        """Return the contacts that no record of the run means, with when each was last changed.

        A contact that someone else created since the version's first record came in is newer than what the source
        was read from, so it is not among them.
        """
        newest = self._newest_id or 0
        return {
            contact_id: updated_at
            for contact_id, updated_at in sorted(self._all_contacts().items())
            if contact_id <= newest and contact_id not in self._kept
        }

    def _read_newest_id(self) -> int:
        """Return the highest id that the CRM has given out to a contact that is there."""
        try:
            page = self._client.list_contacts(ListQuery(order="id|desc", select=SAFE_SELECT, per_page=1), 1)
        except (BadRequest, InvalidRecord, NotFound, ServerFault):
            return max(self._all_contacts(), default=0)
        ids = [number for row in page.rows if (number := as_id(row.get("id"))) is not None]
        is_all = page.total is not None and len(page.rows) >= page.total
        if ids and not is_all and ids != sorted(ids, reverse=True):
            # The order was ignored, so the highest id may be on any page.
            return max(self._all_contacts(), default=0)
        return max(ids, default=0)

    def _all_contacts(self) -> dict[int, object]:
        """Sweep all contacts, from the last page to the first, as id to when each was last changed."""
        query = ListQuery(order="id", select=SAFE_SELECT)
        first = self._client.list_contacts(query, 1)
        found = {
            number: row.get("updated_at")
            for row in first.rows
            if (number := as_id(row.get("id"))) is not None
        }
        size = first.per_page or len(first.rows) or 1
        last = first.last_page or -(-(first.total or 0) // size)
        for page in range(last, 1, -1):
            for row in self._client.list_contacts(query, page).rows:
                if (number := as_id(row.get("id"))) is not None:
                    found[number] = row.get("updated_at")
        return found
