"""One record on a thread: when it is done with, it is written, skipped or rejected, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.errors import (
    ApiError,
    AppcrmError,
    ConnectionFault,
    CsrfRejected,
    RateLimited,
    ServerFault,
    Unauthenticated,
)
from target_appcrm.errors import RunStopped, Unwritable
from target_appcrm.match.addresses import address_key
from target_appcrm.match.keys import EMAIL, resolve
from target_appcrm.read.stream_schema import CONTACTS
from target_appcrm.report.receipts import Outcome, Receipt
from target_appcrm.write.email_swap import Move, are_handed_over, next_of
from target_appcrm.write.refusals import refused

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup_result import Found
    from target_appcrm.read.change import Change
    from target_appcrm.report.receipts import ReceiptFile
    from target_appcrm.report.rejects import RejectFile
    from target_appcrm.report.summary import Summary
    from target_appcrm.settings import TargetSettings
    from target_appcrm.state import States
    from target_appcrm.write.deletes import Deletes
    from target_appcrm.write.records_by_contact import Item
    from target_appcrm.write.upsert import Writer

SERVER_FAULTS_THAT_STOP = 5
"""Records in a row that the server failed on: it is down, and the rest would fare no better."""
STOPS_THE_RUN = (Unauthenticated, CsrfRejected, ConnectionFault, RateLimited)


class Stopping(AppcrmError):
    """The run is ending: whatever waits is not begun."""


class Applier:
    """Applies records, and has each written, skipped or rejected before it counts as done.

    Args:
        stopping: once set, no further record is begun.
    """

    def __init__(
        self,
        *,
        settings: TargetSettings,
        writer: Writer,
        deletes: Deletes,
        rejects: RejectFile,
        receipts: ReceiptFile,
        summary: Summary,
        states: States,
        stopping: threading.Event,
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._deletes = deletes
        self._rejects = rejects
        self._receipts = receipts
        self._summary = summary
        self._states = states
        self._stopping = stopping
        self._server_faults = 0

    def apply(self, chain: list[Item], found: Found) -> None:
        """Apply the records of one contact in their order.

        Raises:
            AppcrmError: what ends the run.
        """
        known: dict[int, Contact] = {}
        for item in chain:
            if item.change is not None:
                known |= found.of(item.change.keys)
        if EMAIL not in self._settings.key_fields and len(known) > 1:
            moves = [_move(item, found) for item in chain]
            if are_handed_over(moves, known):
                self._hand_over(chain, moves, known, found)
                return
        for item in chain:
            if self._stopping.is_set():
                return
            if item.change is not None:
                self._apply(item, item.change, known, found)

    def _hand_over(
        self, chain: list[Item], moves: list[Move], known: dict[int, Contact], found: Found
    ) -> None:
        """Apply the records of contacts that pass addresses to one another, each when its address is free."""
        let_go: dict[int, Item] = {}
        addresses = {contact_id: contact.get(EMAIL) for contact_id, contact in known.items()}
        items, waiting = list(chain), list(moves)
        while items and not self._stopping.is_set():
            position, must_let_go = next_of(waiting, known)
            item, move = items.pop(position), waiting.pop(position)
            if item.change is None:
                continue
            if must_let_go and move.contact_id is not None:
                let_go[move.contact_id] = item
                self._set_address(item, known, move.contact_id, None)
                items.insert(0, item)
                waiting.insert(0, move)
                continue
            self._apply(item, item.change, known, found)
        held = {address_key(contact.get(EMAIL)) for contact in known.values()}
        for contact_id, item in let_go.items():
            # Its record was refused: it gets back what it had, if nobody else has it now.
            if (
                None is address_key(known[contact_id].get(EMAIL))
                and address_key(addresses[contact_id]) not in held
            ):
                self._set_address(item, known, contact_id, addresses[contact_id])

    def _set_address(
        self, item: Item, known: dict[int, Contact], contact_id: int, address: str | None
    ) -> None:
        outcome = Outcome()
        try:
            self._writer.set_address(known[contact_id], address, outcome)
        except STOPS_THE_RUN:
            raise
        except (Unwritable, ApiError):
            # The record that needed it is refused with the CRM's own reason.
            known[contact_id] = {**known[contact_id], EMAIL: address}
            return
        self._summary.add(item.key, outcome.receipts)
        self._receipts.write(item.stream.source, item.key, outcome.receipts)
        if outcome.contact is not None:
            known[contact_id] = outcome.contact

    def _apply(self, item: Item, change: Change, known: dict[int, Contact], found: Found) -> None:
        outcome = Outcome()
        try:
            self._check_lookups(change, known, found)
            if change.is_delete:
                self._plan_delete(item, change, known, outcome)
            else:
                self._writer.apply(change, item.stream.name, known, outcome)
            self._server_faults = 0
        except Unwritable as error:
            self.reject(item, error, outcome.receipts)
        except STOPS_THE_RUN:
            raise
        except ApiError as error:
            self._check_server(error)
            self.reject(item, refused(error), outcome.receipts)
        else:
            self._summary.add(item.key, outcome.receipts)
            self._receipts.write(item.stream.source, item.key, outcome.receipts)
        if outcome.contact is not None:
            known[outcome.contact["id"]] = outcome.contact
            if not change.is_delete:
                self._deletes.cancel(outcome.contact["id"])
                self._deletes.touch(item.stream.name, item.version, outcome.contact["id"])
        self._states.done(item.number)

    def _check_lookups(self, change: Change, known: Mapping[int, Contact], found: Found) -> None:
        """Refuse a record whose keys the server would not look up, and nothing else finds."""
        failed = [found.failed[key.token] for key in change.keys if key.token in found.failed]
        if failed and resolve(change.keys, known.values()) is None:
            error = failed[0]
            raise Unwritable(
                f"its contact cannot be looked up: {error}", cause="look-up refused", status=error.status
            )

    def _check_server(self, error: ApiError) -> None:
        """Count records in a row that the server failed on.

        Raises:
            RunStopped: too many.
        """
        if isinstance(error, ServerFault):
            self._server_faults += 1
            if self._server_faults >= SERVER_FAULTS_THAT_STOP:
                raise RunStopped(
                    f"the server failed on {self._server_faults} records in a row, last: {error}"
                )

    def _plan_delete(
        self, item: Item, change: Change, known: Mapping[int, Contact], outcome: Outcome
    ) -> None:
        if item.stream.name != CONTACTS:
            outcome.receipts.append(Receipt("skipped", reason="only records of contacts delete contacts"))
            return
        if not self._settings.allow_deletes:
            outcome.receipts.append(Receipt("skipped", reason="allow_deletes is false"))
            self._deletes.warn_not_allowed()
            return
        if not change.keys:
            keys = ", ".join(self._settings.key_fields)
            raise Unwritable(
                f"the record has no value to find its contact by ({keys}); "
                "match_on may name id for records that came from this very CRM",
                cause="delete without a match key",
            )
        contact = resolve(change.keys, known.values())
        if contact is None:
            outcome.receipts.append(Receipt("skipped", reason="no contact matches, so none is deleted"))
            return
        self._deletes.plan(contact["id"], item)
        self._states.hold(item.number)

    def reject(self, item: Item, error: Unwritable, done: list[Receipt]) -> None:
        """Put a record among the rejects; what was done for it before stays told.

        Raises:
            RunStopped: this is one too many, and ``stop_on_rejects`` is set.
        """
        receipts = [*done, Receipt("reject", reason=error.reason, cause=error.cause, status=error.status)]
        if not self._settings.dry_run:
            self._rejects.write(item.stream, item.record)
        self._summary.add(item.key, receipts)
        self._receipts.write(item.stream.source, item.key, receipts)
        if self._settings.stop_on_rejects and self._too_many_rejects():
            raise RunStopped(
                f"stopped after {self._summary.rejects} rejects; max_rejects and stop_on_rejects say when"
            )

    def _too_many_rejects(self) -> bool:
        return self._summary.rejects > self._settings.max_rejects.of(self._summary.records)


def _move(item: Item, found: Found) -> Move:
    if item.change is None:
        return Move(None, None)
    meant = list(found.of(item.change.keys))
    address = None if item.change.is_delete else address_key(item.change.fields.get(EMAIL))
    return Move(meant[0] if len(meant) == 1 else None, address)
