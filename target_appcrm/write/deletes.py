"""Deletes: collected until the input has ended, counted, and only then carried out, or none of them."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from appcrm.client import ListQuery
from appcrm.contact import as_id
from appcrm.errors import (
    ApiError,
    BadRequest,
    ConnectionFault,
    CsrfRejected,
    InvalidRecord,
    NotFound,
    RateLimited,
    ServerFault,
    Unauthenticated,
)
from target_appcrm.errors import RunIncomplete
from target_appcrm.read.stream_schema import CONTACTS
from target_appcrm.report.private_file import KeptLines, encode_line
from target_appcrm.report.receipts import Receipt, shown_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from appcrm.client import Client
    from target_appcrm.match.lookup import Lookups
    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.private_file import Place
    from target_appcrm.report.receipts import ReceiptFile
    from target_appcrm.report.rejects import RejectFile
    from target_appcrm.report.summary import Summary
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.records_by_contact import Item
    from target_appcrm.write.workers import Workers

MAX_DELETES = "max_deletes"

logger = logging.getLogger("target-appcrm")


class Tombstone(NamedTuple):
    """A record that asked for a delete: where the CRM refuses, it goes among the rejects.

    ``record`` is where it is kept, as it came in.
    """

    stream: StreamSchema
    record: Place


class PlannedDelete(NamedTuple):
    """A contact to delete, and the record that asked for it; none where a table version did."""

    contact_id: int
    stream: str
    key: dict[str, Any]
    number: int
    tombstone: Tombstone | None = None


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
        rejects: RejectFile,
        receipts: ReceiptFile,
        summary: Summary,
        requests_of_thread: Callable[[], int],
    ) -> None:
        self._client = client
        self._settings = settings
        self._lookups = lookups
        self._workers = workers
        self._rejects = rejects
        self._receipts = receipts
        self._summary = summary
        self._requests_of_thread = requests_of_thread
        self._lock = threading.Lock()
        self._planned: dict[int, PlannedDelete] = {}
        self._kept = KeptLines()
        self._warned = False
        self._touched: dict[int, set[int]] = {}
        self._active: tuple[str, int] | None = None
        self._version_read: int | None = None
        self._newest_id: int | None = None

    def warn_not_allowed(self) -> None:
        """Say once that deletes are not allowed."""
        with self._lock:
            if self._warned:
                return
            self._warned = True
        logger.warning("Records that would delete contacts are skipped; allow_deletes lets them")

    def plan(self, contact_id: int, item: Item) -> None:
        """Collect one contact, and the record that asks for its delete."""
        tombstone = Tombstone(item.stream, self._kept.put(encode_line(item.record)))
        self._plan(PlannedDelete(contact_id, item.stream.source, item.key, item.number, tombstone))

    def _plan(self, delete: PlannedDelete) -> None:
        with self._lock:
            self._planned.setdefault(delete.contact_id, delete)

    def cancel(self, contact_id: int) -> None:
        """Take a contact back: a later record says that it lives."""
        with self._lock:
            planned = self._planned.pop(contact_id, None)
        if planned is not None:
            self._tell(
                planned,
                Receipt(
                    "skipped", shown_id(contact_id), reason="a later record of this contact is no delete"
                ),
            )

    def touch(self, stream: str, version: int | None, contact_id: int) -> None:
        """Note that a table version holds a contact, where mirroring is allowed."""
        if self._settings.allow_deletes and stream == CONTACTS and version is not None:
            with self._lock:
                self._touched.setdefault(version, set()).add(contact_id)

    def reading(self, stream: str, version: int | None) -> None:
        """Note that a record of a table version came in: whatever was announced before it, it is not whole yet."""
        if version is None or stream != CONTACTS:
            return
        if self._settings.allow_deletes and self._newest_id is None:
            self._newest_id = self._read_newest_id()
        self._version_read = version
        self._active = None

    def activate(self, stream: str, version: int, source: str) -> None:
        """Note that a table version is whole, so that what is not in it is gone at the source.

        A tap also announces a version before its first record; only what comes after the last one counts. A version
        of ``contact_associations`` says nothing about which contacts there are.
        """
        if stream != CONTACTS:
            return
        self._active = None
        if self._version_read != version:
            return
        if not self._settings.allow_deletes:
            self.warn_not_allowed()
            return
        self._active = (source, version)

    def carry_out(self, check_running: Callable[[], None]) -> None:
        """Delete what was collected, unless it is too many.

        Args:
            check_running: raises where the run is ending; asked before each delete.

        Raises:
            RunIncomplete: more than ``max_deletes``: nothing was deleted.
        """
        if self._active is not None:
            self._plan_mirror(*self._active)
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
                    delete,
                    Receipt("reject", shown_id(delete.contact_id), reason=MAX_DELETES, cause=MAX_DELETES),
                )
            raise RunIncomplete(
                f"{len(planned)} contacts are to be deleted, more than max_deletes allows ({most}), so none was. "
                "receipts_path lists them; raise max_deletes if they are right, and run again"
            )

        def carry(delete: PlannedDelete) -> None:
            check_running()
            self._delete(delete)

        self._workers.map_urgent(carry, planned)

    def _delete(self, delete: PlannedDelete) -> None:
        before = self._requests_of_thread()
        receipt = Receipt("delete", shown_id(delete.contact_id))
        if not self._settings.dry_run:
            receipt.status = 204
            try:
                self._client.delete_contact(delete.contact_id)
            except NotFound:
                receipt.status = 404
                if self._requests_of_thread() - before == 1:
                    receipt = Receipt(
                        "skipped", delete.contact_id, reason="the contact is gone already", status=404
                    )
                # After a try whose answer was lost, 404 says that the try did it.
                self._lookups.forget(delete.contact_id)
            except (Unauthenticated, CsrfRejected, RateLimited, ConnectionFault):
                raise
            except ApiError as error:
                cause = f"delete refused with status {error.status}"
                receipt = Receipt(
                    "reject", delete.contact_id, reason=str(error), cause=cause, status=error.status
                )
                if delete.tombstone is not None:
                    # Its state goes out after this, so the source will not send it again.
                    stream, place = delete.tombstone
                    self._rejects.write(stream, self._kept.get(place))
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
        mean any contact, so neither deletes anything. A contact that someone else created since the version's first
        record came in is newer than what the source was read from, so it stays.
        """
        kept = self._touched.get(version)
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
        newest = self._newest_id or 0
        for contact_id in sorted(self._all_ids() - kept - self._planned.keys()):
            if contact_id <= newest:
                number += 1
                self._plan(PlannedDelete(contact_id, stream, {"id": contact_id}, number))

    def _read_newest_id(self) -> int:
        """Return the highest id that the CRM has given out to a contact that is there."""
        try:
            page = self._client.list_contacts(
                ListQuery(order="id|desc", select=("id", "first_name", "user_id"), per_page=1), 1
            )
        except (BadRequest, InvalidRecord, NotFound, ServerFault):
            return max(self._all_ids(), default=0)
        ids = [number for row in page.rows if (number := as_id(row.get("id"))) is not None]
        is_all = page.total is not None and len(page.rows) >= page.total
        if ids and not is_all and ids != sorted(ids, reverse=True):
            # The order was ignored, so the highest id may be on any page.
            return max(self._all_ids(), default=0)
        return max(ids, default=0)

    def _all_ids(self) -> set[int]:
        """Sweep the ids of all contacts, from the last page to the first."""
        query = ListQuery(order="id", select=("id", "first_name", "user_id"))
        first = self._client.list_contacts(query, 1)
        found = {number for row in first.rows if (number := as_id(row.get("id"))) is not None}
        size = first.per_page or len(first.rows) or 1
        last = first.last_page or -(-(first.total or 0) // size)
        for page in range(last, 1, -1):
            rows = self._client.list_contacts(query, page).rows
            found |= {number for row in rows if (number := as_id(row.get("id"))) is not None}
        return found
