"""Deletes: collected until the input has ended, counted, and only then carried out, or none of them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from appcrm.client import ListQuery
from appcrm.contact import as_id
from appcrm.errors import (
    ApiError,
    ConnectionFault,
    CsrfRejected,
    NotFound,
    RateLimited,
    Unauthenticated,
)
from target_appcrm.errors import RunIncomplete
from target_appcrm.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from appcrm.client import Client
    from target_appcrm.lookup import Lookups
    from target_appcrm.receipts import ReceiptFile
    from target_appcrm.settings import TargetSettings
    from target_appcrm.summary import Summary
    from target_appcrm.workers import Workers

MAX_DELETES = "max_deletes"

logger = logging.getLogger("target-appcrm")


class PlannedDelete(NamedTuple):
    """A contact to delete, and the record that asked for it."""

    contact_id: int
    stream: str
    key: dict[str, Any]
    number: int


class Deletes:
    """Contacts to delete at the end; safe to share between threads.

    Args:
        requests_of_thread: requests that the calling thread has sent so far.
    """

    def __init__(
        self,
        *,
        client: Client,
        settings: TargetSettings,
        lookups: Lookups,
        workers: Workers,
        receipts: ReceiptFile,
        summary: Summary,
        requests_of_thread: Callable[[], int],
    ) -> None:
        self._client = client
        self._settings = settings
        self._lookups = lookups
        self._workers = workers
        self._receipts = receipts
        self._summary = summary
        self._requests_of_thread = requests_of_thread
        self._lock = threading.Lock()
        self._planned: dict[int, PlannedDelete] = {}
        self._warned = False
        self._touched: dict[tuple[str, int], set[int]] = {}
        self._active: dict[str, int] = {}
        self._read: dict[str, int] = {}

    def warn_not_allowed(self) -> None:
        """Say once that deletes are not allowed."""
        with self._lock:
            if self._warned:
                return
            self._warned = True
        logger.warning("Records that would delete contacts are skipped; allow_deletes lets them")

    def plan(self, contact_id: int, stream: str, key: dict[str, Any], number: int) -> None:
        """Collect one contact."""
        with self._lock:
            self._planned.setdefault(contact_id, PlannedDelete(contact_id, stream, key, number))

    def cancel(self, contact_id: int) -> None:
        """Take a contact back: a later record says that it lives."""
        with self._lock:
            planned = self._planned.pop(contact_id, None)
        if planned is not None:
            self._tell(
                planned, Receipt("skipped", contact_id, reason="a later record of this contact is no delete")
            )

    def touch(self, stream: str, version: int | None, contact_id: int) -> None:
        """Note that a table version holds a contact, where mirroring is allowed."""
        if self._settings.allow_deletes and version is not None:
            with self._lock:
                self._touched.setdefault((stream, version), set()).add(contact_id)

    def reading(self, stream: str, version: int | None) -> None:
        """Note that a record of a table version came in: whatever was announced before it, it is not whole yet."""
        if version is not None:
            self._read[stream] = version
            self._active.pop(stream, None)

    def activate(self, stream: str, version: int) -> None:
        """Note that a table version is whole, so that what is not in it is gone at the source.

        A tap also announces a version before its first record; only what comes after the last one counts.
        """
        if self._read.get(stream) != version:
            return
        if not self._settings.allow_deletes:
            self.warn_not_allowed()
            return
        self._active[stream] = version

    def carry_out(self) -> None:
        """Delete what was collected, unless it is too many.

        Raises:
            RunIncomplete: more than ``max_deletes``: nothing was deleted.
        """
        for stream, version in self._active.items():
            self._plan_mirror(stream, version)
        planned = sorted(self._planned.values(), key=lambda delete: delete.number)
        self._planned = {}
        if not planned:
            return
        ceiling = self._settings.max_deletes
        total = self._lookups.total() if ceiling.needs_whole else None
        most = ceiling.of(total or 0)
        if len(planned) > most:
            for delete in planned:
                self._tell(
                    delete, Receipt("reject", delete.contact_id, reason=MAX_DELETES, cause=MAX_DELETES)
                )
            raise RunIncomplete(
                f"{len(planned)} contacts are to be deleted, more than max_deletes allows ({most}), so none was. "
                "receipts_path lists them; raise max_deletes if they are right, and run again"
            )
        self._workers.map_urgent(self._delete, planned)

    def _delete(self, delete: PlannedDelete) -> None:
        before = self._requests_of_thread()
        receipt = Receipt("delete", delete.contact_id)
        if not self._settings.dry_run:
            receipt.status = 204
            try:
                self._client.delete_contact(delete.contact_id)
            except NotFound:
                receipt = Receipt(
                    "skipped", delete.contact_id, reason="the contact is gone already", status=404
                )
            except (Unauthenticated, CsrfRejected, RateLimited, ConnectionFault):
                raise
            except ApiError as error:
                cause = f"delete refused with status {error.status}"
                receipt = Receipt(
                    "reject", delete.contact_id, reason=str(error), cause=cause, status=error.status
                )
            else:
                self._lookups.forget(delete.contact_id)
        receipt.requests = self._requests_of_thread() - before
        self._tell(delete, receipt)

    def _tell(self, delete: PlannedDelete, receipt: Receipt) -> None:
        self._summary.add(delete.key, [receipt])
        self._receipts.write(delete.stream, delete.key, [receipt])

    def _plan_mirror(self, stream: str, version: int) -> None:
        """Collect the contacts that a whole table version does not hold.

        A version without a single record is taken for a tap's announcement, and a record that was refused may
        mean any contact, so neither deletes anything.
        """
        kept = self._touched.get((stream, version))
        if not kept:
            logger.warning(
                "ACTIVATE_VERSION of %s holds no record of its version, so it deletes nothing", stream
            )
            return
        if self._summary.rejects:
            raise RunIncomplete(
                f"{self._summary.rejects} records were rejected, so ACTIVATE_VERSION of {stream} deletes nothing; "
                "fix the rejects and run again"
            )
        number = max((delete.number for delete in self._planned.values()), default=0)
        for contact_id in sorted(self._all_ids() - kept - self._planned.keys()):
            number += 1
            self.plan(contact_id, stream, {"id": contact_id}, number)

    def _all_ids(self) -> set[int]:
        """Sweep the ids of all contacts, from the last page to the first."""
        query = ListQuery(order="id", select=("id",))
        first = self._client.list_contacts(query, 1)
        found = {number for row in first.rows if (number := as_id(row.get("id"))) is not None}
        size = first.per_page or len(first.rows) or 1
        last = first.last_page or -(-(first.total or 0) // size)
        for page in range(last, 1, -1):
            rows = self._client.list_contacts(query, page).rows
            found |= {number for row in rows if (number := as_id(row.get("id"))) is not None}
        return found
