"""Records in, contacts written: chunks are looked up together, then each contact's records are applied in order."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appcrm.errors import (
    ApiError,
    AppcrmError,
    ConnectionFault,
    CsrfRejected,
    RateLimited,
    ServerFault,
    Unauthenticated,
)
from target_appcrm.costs import VALUES_PER_SEARCH
from target_appcrm.deletes import PlannedDelete, Tombstone
from target_appcrm.errors import RunStopped, Unwritable
from target_appcrm.matching import EMAIL, ID, resolve
from target_appcrm.progress import StateBook
from target_appcrm.receipts import Receipt
from target_appcrm.records import CONTACTS, key_of, read_change
from target_appcrm.values import email_key
from target_appcrm.writing import Outcome, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from target_appcrm.deletes import Deletes
    from target_appcrm.found import Found
    from target_appcrm.lookup import Lookups
    from target_appcrm.matching import Contact
    from target_appcrm.receipts import ReceiptFile
    from target_appcrm.records import Change, StreamSchema
    from target_appcrm.rejects import RejectFile
    from target_appcrm.settings import TargetSettings
    from target_appcrm.summary import Summary
    from target_appcrm.workers import Workers

RECORDS_PER_CHUNK = 10 * VALUES_PER_SEARCH
CHARS_PER_CHUNK = 16_000_000
SECONDS_BETWEEN_STATES = 30.0
QUIET_SECONDS = 1.0
"""Without input for so long, what has come in is written."""
SERVER_FAULTS_THAT_STOP = 5
"""Records in a row that the server failed on: it is down, and the rest would fare no better."""
STOPS_THE_RUN = (Unauthenticated, CsrfRejected, ConnectionFault, RateLimited)

logger = logging.getLogger("target-appcrm")


@dataclass
class Item:
    """One record on its way.

    Args:
        number: from 1, in the order in which records came in.
        stream: as its SCHEMA described it.
        record: as it came in, for the rejects file.
        change: what it wants; None where it was refused before.
        key: for receipts and messages.
        version: of a table, where the tap sends one.
    """

    number: int
    stream: StreamSchema
    record: Mapping[str, Any]
    change: Change | None
    key: dict[str, Any]
    version: int | None = None


class Stopping(AppcrmError):
    """The run is ending: whatever waits is not begun."""


class Pipeline:
    """Takes records from one thread and writes them on several; at most one chunk is in memory.

    Args:
        emit_state: writes one state to standard output.
    """

    def __init__(  # noqa: PLR0913  the parts that it joins, each by name
        self,
        *,
        settings: TargetSettings,
        lookups: Lookups,
        workers: Workers,
        writer: Writer,
        deletes: Deletes,
        rejects: RejectFile,
        receipts: ReceiptFile,
        summary: Summary,
        emit_state: Callable[[Any], None],
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._lookups = lookups
        self._workers = workers
        self._writer = writer
        self._deletes = deletes
        self._rejects = rejects
        self._receipts = receipts
        self._summary = summary
        self._emit_state = emit_state
        self._stopping = stopping
        self._clock = clock
        self._chunk: list[Item] = []
        self._chunk_chars = 0
        self._chunk_began_at = 0.0
        self._taken_at = 0.0
        self._count = 0
        self._states = StateBook()
        self._state_out_at = clock()
        self._changed = threading.Condition()
        self._finished: deque[int] = deque()
        self._open_chains = 0
        self._server_faults = 0
        self._fatal: Exception | None = None
        self._warned_fields: set[str] = set()
        self._warned_keyless = False

    # Input

    def take(
        self,
        stream: StreamSchema,
        record: Mapping[str, Any],
        original: Mapping[str, Any],
        *,
        chars: int = 0,
        version: int | None = None,
        refusal: str | None = None,
    ) -> None:
        """Take one record in; now and then this writes a chunk first.

        Args:
            stream: as its SCHEMA described it.
            record: after stream maps.
            original: as it came in.
            chars: its size, to bound memory.
            version: of its table.
            refusal: why it cannot be written, where that is known already.
        """
        self._taken_at = self._clock()
        if not self._chunk:
            self._chunk_began_at = self._taken_at
        self._deletes.reading(stream.name, version)
        self._count += 1
        self._summary.read()
        item = Item(self._count, stream, original, None, key_of(record, stream), version)
        try:
            if refusal is not None:
                raise Unwritable(refusal, cause="does not fit its schema")  # noqa: TRY301  one way to refuse
            item.change = read_change(record, stream, self._settings)
        except Unwritable as error:
            self._reject(item, error, [])
            self._finish(item)
        else:
            self._warn_of(item.change.unknown)
            self._warn_where_keyless(item)
            self._chunk.append(item)
            self._chunk_chars += chars
        if (
            len(self._chunk) >= RECORDS_PER_CHUNK
            or self._chunk_chars >= CHARS_PER_CHUNK
            or self._is_chunk_old()
        ):
            self.drain()

    def idle(self) -> None:
        """Write what has come in, and let true states out, while the input is silent."""
        if self._chunk and self._clock() - self._taken_at >= QUIET_SECONDS:
            self.drain()
        self._emit_states(if_due=True)

    def _is_chunk_old(self) -> bool:
        return bool(self._chunk) and self._clock() - self._chunk_began_at >= SECONDS_BETWEEN_STATES

    def take_state(self, state: Any) -> None:  # noqa: ANN401  any JSON value
        """Take a state in; it goes out when every record before it is done."""
        self._states.note(self._count, state)
        if self._is_chunk_old():
            self.drain()
        self._emit_states(if_due=True)

    def _warn_of(self, names: Iterable[str]) -> None:
        new = [name for name in names if name not in self._warned_fields]
        if new:
            self._warned_fields.update(new)
            logger.warning(
                "Not sent, because the CRM's contacts have no such fields: %s. Name a custom field in custom_fields",
                ", ".join(sorted(new)),
            )

    def _warn_where_keyless(self, item: Item) -> None:
        change = item.change
        if change is None or change.keys or change.is_delete or self._warned_keyless:
            return
        if item.stream.name == CONTACTS and self._settings.mode != "update_only":
            self._warned_keyless = True
            logger.warning(
                "Stream %s has records without a match key (%s): each is created anew every time it comes, also when "
                "a tap reads it twice. Name a field that every record has in match_on, or set external_id_field",
                item.stream.source,
                ", ".join(self._settings.key_fields),
            )

    # Writing

    def drain(self) -> None:
        """Write all that was taken in, and emit the states that this makes true.

        Raises:
            AppcrmError: what stopped the run.
        """
        chunk, self._chunk, self._chunk_chars = self._chunk, [], 0
        if chunk:
            self._check_running()
            with_associations = any(item.change and item.change.associations for item in chunk)
            try:
                found = self._lookups.find(
                    [item.change.keys for item in chunk if item.change], with_associations=with_associations
                )
            except Stopping:
                self._check_running()
                raise
            chains = self._chains(chunk, found)
            with self._changed:
                self._open_chains += len(chains)
            self._workers.submit([self._task(chain, found) for chain in chains])
            self._wait()
        self._check_running()
        self._emit_states(if_due=True)

    def _chains(self, chunk: list[Item], found: Found) -> list[list[Item]]:
        """Group records that may mean the same contact, in the order in which they came."""
        parents: dict[object, object] = {}

        def root(node: object) -> object:
            while parents.setdefault(node, node) != node:
                parents[node] = parents[parents[node]]
                node = parents[node]
            return node

        for item in chunk:
            nodes: list[object] = []
            if item.change is not None:
                nodes += [key.bucket for key in item.change.keys]
                # A contact is one, whether its id or any other key names it.
                held = found.of(item.change.keys)
                nodes += [(ID, str(contact_id)) for contact_id in held]
                # An address can pass from one contact to another, and is free only once the first has let it go.
                addresses = (row.get(EMAIL) for row in (item.change.fields, *held.values()))
                nodes += [(EMAIL, address) for address in map(email_key, addresses) if address]
            for node in nodes:
                parents[root(node)] = root(("item", item.number))
        chains: dict[object, list[Item]] = {}
        for item in chunk:
            chains.setdefault(root(("item", item.number)), []).append(item)
        return list(chains.values())

    def _task(self, chain: list[Item], found: Found) -> Callable[[], None]:
        def run() -> None:
            try:
                self._write_chain(chain, found)
            except Stopping:
                pass
            except Exception as error:  # noqa: BLE001  handed on to the main thread, whatever it is
                with self._changed:
                    self._fatal = self._fatal or error
                self._stopping.set()
            finally:
                with self._changed:
                    self._open_chains -= 1
                    self._changed.notify_all()

        return run

    def _write_chain(self, chain: list[Item], found: Found) -> None:
        known: dict[int, Contact] = {}
        for item in chain:
            if item.change is not None:
                known |= found.of(item.change.keys)
        for item in chain:
            if self._stopping.is_set():
                return
            self._write(item, known, found)

    def _write(self, item: Item, known: dict[int, Contact], found: Found) -> None:
        """Apply one record, and have it written, skipped or rejected when this returns."""
        change = item.change
        if change is None:
            return
        outcome = Outcome()
        try:
            self._check_lookups(change, known, found)
            if change.is_delete:
                self._plan_delete(item, change, known, outcome)
            else:
                self._writer.apply(change, item.stream.name, known, outcome)
            self._server_faults = 0
        except Unwritable as error:
            self._reject(item, error, outcome.receipts)
        except STOPS_THE_RUN:
            raise
        except ApiError as error:
            self._reject(item, self._refusal(error), outcome.receipts)
        else:
            self._summary.add(item.key, outcome.receipts)
            self._receipts.write(item.stream.source, item.key, outcome.receipts)
        if outcome.contact is not None:
            known[outcome.contact["id"]] = outcome.contact
            if not change.is_delete:
                self._deletes.cancel(outcome.contact["id"])
                self._deletes.touch(item.stream.name, item.version, outcome.contact["id"])
        self._finish(item)

    def _check_lookups(self, change: Change, known: Mapping[int, Contact], found: Found) -> None:
        """Refuse a record whose keys the server would not look up, and nothing else finds."""
        failed = [found.failed[key.token] for key in change.keys if key.token in found.failed]
        if failed and resolve(change.keys, known.values()) is None:
            error = failed[0]
            raise Unwritable(
                f"its contact cannot be looked up: {error}", cause="look-up refused", status=error.status
            )

    def _refusal(self, error: ApiError) -> Unwritable:
        """Turn the CRM's refusal of one record into a reject; where the server keeps failing, into the end.

        Raises:
            RunStopped: too many records in a row met a failing server.
        """
        if isinstance(error, ServerFault):
            self._server_faults += 1
            if self._server_faults >= SERVER_FAULTS_THAT_STOP:
                raise RunStopped(
                    f"the server failed on {self._server_faults} records in a row, last: {error}"
                )
        detail = f": {error.detail}" if error.detail else ""
        return Unwritable(
            f"{error.operation}: status {error.status}{detail}",
            cause=f"{error.operation} refused with status {error.status}",
            status=error.status,
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
        self._deletes.plan(
            PlannedDelete(
                contact["id"], item.stream.source, item.key, item.number, Tombstone(item.stream, item.record)
            )
        )
        with self._changed:
            self._states.hold(item.number)

    def _reject(self, item: Item, error: Unwritable, done: list[Receipt]) -> None:
        """Put a record among the rejects; what was done for it before stays told."""
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

    def _finish(self, item: Item) -> None:
        with self._changed:
            self._finished.append(item.number)

    def activate_version(self, stream: str, version: int, source: str) -> None:
        """Take note that a table version is whole."""
        self._deletes.activate(stream, version, source)

    # Waiting, states and the end

    def _wait(self) -> None:
        """Wait until everything submitted is done, emitting states on the way."""
        while True:
            with self._changed:
                if not self._open_chains:
                    return
                self._changed.wait(timeout=1.0)
            self._emit_states(if_due=True)

    def _check_running(self) -> None:
        with self._changed:
            if self._fatal is not None:
                raise self._fatal
        if self._stopping.is_set():
            raise Stopping("the run was ended")

    def _emit_states(self, *, if_due: bool = False) -> None:
        if if_due and self._clock() - self._state_out_at < SECONDS_BETWEEN_STATES:
            return
        with self._changed:
            while self._finished:
                self._states.done(self._finished.popleft())
            states = self._states.take()
        if not states:
            return
        self._receipts.flush()
        self._rejects.make_durable()
        self._state_out_at = self._clock()
        if not self._settings.dry_run:
            for state in states:
                self._emit_state(state)

    def finish(self) -> None:
        """Write what is left, delete what is to be deleted, emit the last state.

        Raises:
            AppcrmError: what stopped the run.
        """
        self.drain()
        self._deletes.carry_out(self._check_running)
        with self._changed:
            self._states.release()
        self._emit_states()

    def break_off(self) -> None:
        """End early: begin nothing new, let what is in flight end, emit the last state that is true."""
        self._stopping.set()
        self._wait()
        self._emit_states()
