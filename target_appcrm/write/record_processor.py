"""One contact's records on a thread: when it is done with one, it is written, skipped or rejected, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm.errors import ApiError
from target_appcrm.errors import Unwritable
from target_appcrm.match.addresses import address_key
from target_appcrm.match.keys import EMAIL, resolve
from target_appcrm.read.stream_schema import CONTACTS
from target_appcrm.report.decisions import Decision, Outcome
from target_appcrm.write.email_swap import Move, are_swapped, next_of
from target_appcrm.write.refusals import STOPS_THE_RUN, refused
from target_appcrm.write.update import set_address
from target_appcrm.write.upsert import upsert

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup_result import Found
    from target_appcrm.read.change import Change
    from target_appcrm.report.decision_log import DecisionLog
    from target_appcrm.state import States
    from target_appcrm.write.context import WriteContext
    from target_appcrm.write.deletes import Deletes
    from target_appcrm.write.plan import Plan
    from target_appcrm.write.records_by_contact import Item
    from target_appcrm.write.refusals import WriteFaults
    from target_appcrm.write.waiting import WaitingForAddress

DELETED_LATER = "a later record of this input deletes it"


class RecordProcessor:
    """Applies records, and has each written, skipped or rejected before it counts as done.

    Args:
        plan: what alone may be written; None for whatever the records say.
        waiting: records whose address another contact holds.
        stopping: once set, no further record is begun.
    """

    def __init__(
        self,
        *,
        ctx: WriteContext,
        log: DecisionLog,
        deletes: Deletes,
        plan: Plan | None,
        waiting: WaitingForAddress,
        states: States,
        faults: WriteFaults,
        stopping: threading.Event,
    ) -> None:
        self._ctx = ctx
        self._log = log
        self._deletes = deletes
        self._plan = plan
        self._waiting = waiting
        self._states = states
        self._faults = faults
        self._stopping = stopping

    def process(self, group: list[Item], found: Found) -> None:
        """Apply the records of one contact in their order.

        Raises:
            AppcrmError: what ends the run.
        """
        known: dict[int, Contact] = {}
        for item in group:
            known |= found.of(item.change.keys)
        if EMAIL not in self._ctx.settings.key_fields and len(known) > 1:
            moves = [_move(item, found) for item in group]
            if are_swapped(moves, known):
                self._swap_addresses(group, moves, known, found)
                return
        for position, item in enumerate(group):
            if self._stopping.is_set():
                return
            self._process(item, known, found, later=group[position + 1 :])

    def _swap_addresses(
        self, group: list[Item], moves: list[Move], known: dict[int, Contact], found: Found
    ) -> None:
        """Apply the records of contacts that pass addresses to one another, each when its address is free."""
        let_go: dict[int, Item] = {}
        addresses = {contact_id: contact.get(EMAIL) for contact_id, contact in known.items()}
        items, waiting = list(group), list(moves)
        while items and not self._stopping.is_set():
            position, must_let_go = next_of(waiting, known)
            item, move = items.pop(position), waiting.pop(position)
            if must_let_go and move.contact_id is not None:
                let_go[move.contact_id] = item
                self._set_address(item, known, move.contact_id, None)
                items.insert(0, item)
                waiting.insert(0, move)
                continue
            self._process(item, known, found, later=items)
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
            set_address(self._ctx, known[contact_id], address, outcome)
        except (Unwritable, ApiError) as error:
            if isinstance(error, STOPS_THE_RUN):
                raise
            # The record that needed it is refused with the CRM's own reason.
            known[contact_id] = {**known[contact_id], EMAIL: address}
            return
        self._log.tell(item.stream.source, item.key, outcome.decisions, item.number)
        if outcome.contact is not None:
            known[contact_id] = outcome.contact

    def _process(self, item: Item, known: dict[int, Contact], found: Found, *, later: list[Item]) -> None:
        change = item.change
        self._deletes.keep(found.of(change.keys))
        if item.is_kept_only:
            self._states.done(item.number)
            return
        if self._waiting.takes_follower(item, known):
            self._states.hold(item.number)
            return
        outcome = Outcome()
        try:
            check_lookups(change, known, found)
            self._decide(item, known, outcome, later)
            self._faults.told(() if self._ctx.is_dry else outcome.decisions)
        except Unwritable as error:
            if self._waiting.takes(item, error, outcome):
                self._states.hold(item.number)
                return
            if error.is_of_plan:
                self._states.hold(item.number, for_good=True)
            self._log.reject(item, error, outcome.decisions)
        except ApiError as error:
            if isinstance(error, STOPS_THE_RUN):
                raise
            self._faults.failed(error)
            self._log.reject(item, refused(error), outcome.decisions)
        else:
            self._log.tell(item.stream.source, item.key, outcome.decisions, item.number)
            if outcome.decisions:
                self._log.settle(item)
        self._note(item, known, outcome)
        self._states.done(item.number)

    def _decide(self, item: Item, known: dict[int, Contact], outcome: Outcome, later: list[Item]) -> None:
        change = item.change
        if change.is_delete:
            self._plan_delete(item, change, known, outcome)
            return
        if self._is_deleted_later(change, known, later):
            # A create would end in the trash, and be refused when the same input comes again.
            outcome.decisions.append(Decision("skipped", reason=DELETED_LATER))
            return
        if self._plan is not None:
            self._plan.apply(self._ctx, item, known, outcome)
            return
        upsert(self._ctx, change, item.stream.name, known, outcome)

    def _is_deleted_later(self, change: Change, known: Mapping[int, Contact], later: list[Item]) -> bool:
        if (
            not self._ctx.settings.allow_deletes
            or not later
            or resolve(change.keys, known.values()) is not None
        ):
            return False
        buckets = {key.bucket for key in change.keys}
        for item in reversed(later):
            if item.stream.name == CONTACTS and any(key.bucket in buckets for key in item.change.keys):
                return item.change.is_delete
        return False

    def _note(self, item: Item, known: dict[int, Contact], outcome: Outcome) -> None:
        contact = outcome.contact
        if contact is None:
            return
        before = known.get(contact["id"])
        if before is not None and address_key(before.get(EMAIL)) != address_key(contact.get(EMAIL)):
            self._waiting.freed(address_key(before.get(EMAIL)))
        known[contact["id"]] = contact
        if not item.change.is_delete:
            self._deletes.cancel(contact["id"])
            self._deletes.keep([contact["id"]])
            if item.stream.name == CONTACTS:
                self._log.summary.note_contact(contact["id"])

    def _plan_delete(
        self, item: Item, change: Change, known: Mapping[int, Contact], outcome: Outcome
    ) -> None:
        if item.stream.name != CONTACTS:
            outcome.decisions.append(Decision("skipped", reason="only records of contacts delete contacts"))
            return
        if not self._ctx.settings.allow_deletes:
            outcome.decisions.append(Decision("skipped", reason="allow_deletes is false"))
            self._deletes.warn_not_allowed()
            return
        if not change.keys:
            keys = ", ".join(self._ctx.settings.key_fields)
            raise Unwritable(
                f"the record has no value to find its contact by ({keys}); "
                "match_on may name id for records that came from this very CRM",
                cause="delete without a match key",
            )
        contact = resolve(change.keys, known.values())
        if contact is None:
            outcome.decisions.append(Decision("skipped", reason="no contact matches, so none is deleted"))
            return
        if contact["id"] < 0:
            outcome.decisions.append(Decision("skipped", reason=DELETED_LATER))
            return
        self._deletes.plan(contact["id"], item)
        self._states.hold(item.number)


def check_lookups(change: Change, known: Mapping[int, Contact], found: Found) -> None:
    """Refuse a record whose keys the server would not look up, and nothing else finds.

    Raises:
        Unwritable: it has such keys.
    """
    if change.fault is not None:
        raise change.fault
    failed = [found.failed[key.token] for key in change.keys if key.token in found.failed]
    if failed and resolve(change.keys, known.values()) is None:
        error = failed[0]
        raise Unwritable(
            f"its contact cannot be looked up: {error}", cause="look-up refused", status=error.status
        )


def _move(item: Item, found: Found) -> Move:
    meant = list(found.of(item.change.keys))
    address = (
        None if item.change.is_delete or item.is_kept_only else address_key(item.change.fields.get(EMAIL))
    )
    return Move(meant[0] if len(meant) == 1 else None, address)
