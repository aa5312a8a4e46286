"""Deletes: collected until the input has ended, counted, looked at again, and then carried out, or none of them."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from appcrm.contact import BODY_ASSOCIATIONS, LIST_FIELDS, SCALAR_FIELDS, canonical_timestamp, is_custom_field
from appcrm.errors import ApiError, NotFound
from target_appcrm.errors import RunIncomplete
from target_appcrm.match.equality import is_empty
from target_appcrm.match.keys import holds
from target_appcrm.report.decisions import Decision, shown_id
from target_appcrm.report.kept_lines import KeptLines
from target_appcrm.report.open_rejects import tokens_of
from target_appcrm.write.diff import as_written
from target_appcrm.write.refusals import STOPS_THE_RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from target_appcrm.match.keys import Contact, MatchKey
    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.decision_log import DecisionLog
    from target_appcrm.report.kept_lines import Place
    from target_appcrm.report.open_rejects import OpenReject
    from target_appcrm.state import States
    from target_appcrm.write.context import WriteContext
    from target_appcrm.write.mirror import Mirror
    from target_appcrm.write.plan import Plan
    from target_appcrm.write.records_by_contact import Item
    from target_appcrm.write.refusals import WriteFaults
    from target_appcrm.write.workers import Workers

MAX_DELETES = "max_deletes"
GONE_ALREADY = "the contact is gone already"
CHANGED_SINCE = "the contact was changed since it was looked up, so it stays"

logger = logging.getLogger("target-appcrm")


@dataclass(frozen=True)
class Tombstone:
    """A record that asked for a delete: where the CRM refuses, it goes among the rejects.

    ``place`` is where it is kept, as it came in.
    """

    stream: StreamSchema
    place: Place
    keys: tuple[MatchKey, ...]
    retried: OpenReject | None
    tokens: frozenset[bytes]


@dataclass(frozen=True)
class PlannedDelete:
    """A contact to delete, and the record that asked for it; none where a table version did.

    Args:
        updated_at: of a contact that a version does not hold, when it was listed.
    """

    contact_id: int
    stream: str
    key: dict[str, Any]
    number: int | None
    tombstone: Tombstone | None = None
    updated_at: object = None


class Deletes:
    """Contacts to delete at the end; safe to share between threads."""

    def __init__(
        self,
        *,
        ctx: WriteContext,
        log: DecisionLog,
        mirror: Mirror,
        workers: Workers,
        faults: WriteFaults,
        states: States,
        plan: Plan | None,
    ) -> None:
        self._ctx = ctx
        self._log = log
        self.mirror = mirror
        self._workers = workers
        self._faults = faults
        self._states = states
        self._plan = plan
        self._lock = threading.Lock()
        self._planned: dict[int, PlannedDelete] = {}
        self._kept = KeptLines()
        self._warned = False
        self.keep: Callable[[Iterable[int]], None] = mirror.keep
        """Notes contacts that a record means."""

    def warn_not_allowed(self) -> None:
        """Say once that deletes are not allowed."""
        with self._lock:
            if self._warned:
                return
            self._warned = True
        logger.warning("Records that would delete contacts are skipped; allow_deletes lets them")

    def plan(self, contact_id: int, item: Item) -> None:
        """Collect one contact, and the record that asks for its delete."""
        tombstone = Tombstone(
            item.stream, self._kept.put(item.record), item.change.keys, item.retried, tokens_of(item)
        )
        delete = PlannedDelete(contact_id, item.stream.source, item.key, item.number, tombstone)
        with self._lock:
            self._planned.setdefault(contact_id, delete)

    def cancel(self, contact_id: int) -> None:
        """Take a contact back: a later record says that it lives."""
        with self._lock:
            planned = self._planned.pop(contact_id, None)
        if planned is not None:
            reason = "a later record of this contact is no delete"
            self._tell(planned, Decision("skipped", shown_id(contact_id), reason=reason))

    def carry_out(self, check_running: Callable[[], None]) -> None:
        """Delete what was collected, unless it is too many.

        Args:
            check_running: raises where the run is ending; asked before each delete.

        Raises:
            RunIncomplete: more than ``max_deletes``, and nothing was deleted; or a version could not be mirrored.
        """
        not_mirrored = self._plan_mirror()
        planned = sorted(
            self._planned.values(),
            key=lambda delete: (delete.number is None, delete.number, delete.contact_id),
        )
        self._planned = {}
        if planned:
            self._check_ceiling(planned)

        def carry(delete: PlannedDelete) -> None:
            check_running()
            self._delete(delete)

        self._workers.map(carry, planned)
        if not_mirrored:
            raise RunIncomplete(not_mirrored)

    def _check_ceiling(self, planned: list[PlannedDelete]) -> None:
        most = self._ctx.settings.max_deletes.of_crm(MAX_DELETES, self._ctx.lookups.total)
        if len(planned) <= most:
            return
        for delete in planned:
            self._tell(
                delete, Decision("reject", shown_id(delete.contact_id), reason=MAX_DELETES, cause=MAX_DELETES)
            )
        raise RunIncomplete(
            f"{len(planned)} contacts are to be deleted, more than max_deletes allows ({most}), so none was. "
            "receipts_path lists them; raise max_deletes if they are right, and run again"
        )

    def _plan_mirror(self) -> str | None:
        """Collect the contacts that no record means, where every version is whole; else say why not."""
        sources = self.mirror.sources
        if not sources:
            return None
        if not self._ctx.settings.allow_deletes:
            self.warn_not_allowed()
            return None
        why_not = self.mirror.why_not(self._log.summary.rejects)
        if why_not is not None:
            return f"ACTIVATE_VERSION of {', '.join(sources)} deletes nothing: {why_not}"
        for contact_id, updated_at in self.mirror.gone().items():
            self._planned.setdefault(
                contact_id,
                PlannedDelete(contact_id, sources[0], {"id": contact_id}, None, updated_at=updated_at),
            )
        return None

    def _delete(self, delete: PlannedDelete) -> None:
        before = self._ctx.requests.of_thread()
        try:
            decision = self._carry(delete)
            self._faults.told(() if self._ctx.is_dry else (decision,))
        except ApiError as error:
            if isinstance(error, STOPS_THE_RUN):
                raise
            self._faults.failed(error)
            cause = f"delete refused with status {error.status}"
            decision = Decision(
                "reject", delete.contact_id, reason=str(error), cause=cause, status=error.status
            )
            if delete.tombstone is not None:
                # Its state goes out after this, so the source will not send it again.
                kept = delete.tombstone
                self._log.keep(
                    kept.stream,
                    self._kept.get(kept.place),
                    cause,
                    rejected_at=None if kept.retried is None else kept.retried.rejected_at,
                    number=delete.number,
                )
        decision.requests = self._ctx.requests.of_thread() - before
        self._tell(delete, decision)
        if decision.operation == "reject":
            self._log.check()
        elif delete.tombstone is not None and delete.number is not None:
            self._log.settle_key(delete.tombstone.retried, delete.tombstone.tokens, delete.number)

    def _carry(self, delete: PlannedDelete) -> Decision:
        """Look at a contact again, and delete it if it is still what was meant."""
        client, lookups = self._ctx.client, self._ctx.lookups
        try:
            contact = self._ctx.read(client.retrieve_contact(delete.contact_id), delete.contact_id)
        except NotFound:
            lookups.forget(delete.contact_id)
            return Decision("skipped", delete.contact_id, reason=GONE_ALREADY, status=404)
        if not _is_still_meant(delete, contact):
            return Decision("skipped", delete.contact_id, reason=CHANGED_SINCE)
        decision = Decision("delete", delete.contact_id, old_values(contact, self._ctx.settings.custom_names))
        if self._plan is not None:
            refusal = self._plan.why_not_deleted(delete.stream, delete.key, delete.number, contact)
            if refusal is not None:
                self._hold(delete)
                return replace(decision, operation="reject", changes=None, reason=refusal, cause=refusal)
        if self._ctx.is_dry:
            return decision
        sent = self._ctx.requests.of_thread()
        try:
            client.delete_contact(delete.contact_id)
            decision.status = 204
        except NotFound:
            # After a try whose answer was lost, 404 says that the try did it.
            decision.status = 404
            if self._ctx.requests.of_thread() - sent == 1:
                decision = Decision("skipped", delete.contact_id, reason=GONE_ALREADY, status=404)
        lookups.forget(delete.contact_id)
        return decision

    def _hold(self, delete: PlannedDelete) -> None:
        if delete.number is not None:
            self._states.hold(delete.number, for_good=True)

    def _tell(self, delete: PlannedDelete, decision: Decision) -> None:
        self._log.tell(delete.stream, delete.key, [decision], delete.number)


def _is_still_meant(delete: PlannedDelete, contact: Contact) -> bool:
    """Whether a contact is still the one that was to be deleted, however long ago that was decided."""
    if delete.tombstone is not None:
        return any(holds(contact, key) for key in delete.tombstone.keys)
    # It is nobody's by the source's word; who touched it meanwhile may have made it one of the source's.
    listed = canonical_timestamp(delete.updated_at)
    return listed is None or canonical_timestamp(contact.get("updated_at")) == listed


def old_values(contact: Contact, custom_names: frozenset[str]) -> dict[str, list[Any]]:
    """Return what a contact holds that can be written, as changes to nothing, so that a delete can be undone."""
    return {
        name: [as_written(name, value), None]
        for name, value in contact.items()
        if (
            name in SCALAR_FIELDS
            or name in LIST_FIELDS
            or name in BODY_ASSOCIATIONS
            or is_custom_field(name, custom_names)
        )
        and not is_empty(value)
    }
