"""Records in, contacts written: chunks are looked up together, then each contact's records are applied in order."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from target_appcrm.attempt import read_or_reason
from target_appcrm.errors import Stopping, Unwritable
from target_appcrm.match.ways import VALUES_PER_SEARCH
from target_appcrm.read.change import key_of, read_change, unknown_fields_warning
from target_appcrm.read.stream_schema import CONTACTS
from target_appcrm.state import SECONDS_BETWEEN_STATES
from target_appcrm.write.records_by_contact import Arrived, Item, records_by_contact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from target_appcrm.read.change import Change
    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.decision_log import DecisionLog
    from target_appcrm.report.open_rejects import OpenReject
    from target_appcrm.state import States
    from target_appcrm.write.context import WriteContext
    from target_appcrm.write.deletes import Deletes
    from target_appcrm.write.record_processor import RecordProcessor
    from target_appcrm.write.waiting import WaitingForAddress
    from target_appcrm.write.workers import Workers

CHARS_PER_CHUNK = 16_000_000
RECORDS_THAT_TELL = VALUES_PER_SEARCH + 1
"""More than one search finds, so that the CRM's size will be asked for."""
SECONDS_BETWEEN_NOTES = 0.5
QUIET_SECONDS = 1.0
"""Without input for so long, what has come in is written."""
KEYLESS = "records without a match key"

logger = logging.getLogger("target-appcrm")


class Pipeline:
    """Takes records from one thread and writes them on several: a chunk comes in while the one before is written."""

    def __init__(
        self,
        *,
        ctx: WriteContext,
        log: DecisionLog,
        workers: Workers,
        processor: RecordProcessor,
        waiting: WaitingForAddress,
        deletes: Deletes,
        states: States,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ctx = ctx
        self._log = log
        self._workers = workers
        self._processor = processor
        self._waiting = waiting
        self._deletes = deletes
        self._mirror = deletes.mirror
        self._states = states
        self._stopping = stopping
        self.when_waiting: Callable[[], None] = lambda: None
        """Called again and again while the main thread waits for the others."""
        self._clock = clock
        self._chunk: list[Item] = []
        self._chunk_chars = 0
        self._chunk_began_at = 0.0
        self._taken_at = 0.0
        self._count = 0
        self._changed = threading.Condition()
        self._open_groups = 0
        self._done = 0
        self._fatal: BaseException | None = None
        self._warned_fields: set[str] = set()

    @property
    def open_groups(self) -> int:
        """Contacts whose records are being written, or wait for it."""
        return self._open_groups

    @property
    def done(self) -> int:
        """Records that are done with, but for those that could not be read."""
        return self._done

    # Input

    def take(
        self,
        stream: StreamSchema,
        record: Mapping[str, Any],
        original: Mapping[str, Any],
        *,
        chars: int = 0,
        version: int | None = None,
        refusal: Unwritable | None = None,
        retried: OpenReject | None = None,
    ) -> None:
        """Take one record in; now and then this dispatches a chunk, once the one before it is written.

        Args:
            stream: as its SCHEMA described it.
            record: after stream maps.
            original: as it came in.
            chars: its size, to bound memory.
            version: of its table.
            refusal: why it cannot be written, where that is known already.
            retried: what it is among the open rejects, where it comes from there.

        Raises:
            AppcrmError: what stopped the run meanwhile.
        """
        self._begin(stream, version)
        self._log.summary.read()
        key = key_of(record, stream)
        change, error = self._read(record, stream, refusal)
        arrived = Arrived(self._count, stream, original, key, retried)
        if change is None:
            self._log.reject(arrived, error or Unwritable("it cannot be read"), [])
            self._states.done(arrived.number)
            return
        self._warn_of(change.unknown)
        self._note_where_keyless(stream, change)
        self._add(Item(**vars(arrived), change=change), chars)

    def take_filtered(
        self, stream: StreamSchema, record: Mapping[str, Any] | None, *, chars: int, version: int | None
    ) -> None:
        """Take a record that a stream map filtered out: nothing is written, but the source has its contact.

        Args:
            stream: as its SCHEMA described it.
            record: as the map makes it without its filter; None where it cannot.
            chars: its size.
            version: of its table.
        """
        self._begin(stream, version)
        change = None
        if record is not None and stream.name == CONTACTS:
            change, _ = self._read(record, stream, None)
        if change is None or not change.keys:
            self._mirror.cannot_tell("a record that was filtered out may mean any contact")
            self._states.done(self._count)
            return
        self._add(Item(self._count, stream, {}, {}, change=change, is_kept_only=True), chars)

    def _begin(self, stream: StreamSchema, version: int | None) -> None:
        if self._stopping.is_set():
            self.check_running()
        self._taken_at = self._clock()
        if stream.name == CONTACTS:
            self._mirror.reading(stream.source, version)
        self._count += 1

    def _read(
        self, record: Mapping[str, Any], stream: StreamSchema, refusal: Unwritable | None
    ) -> tuple[Change | None, Unwritable | None]:
        if refusal is not None:
            return None, refusal
        change, error = read_or_reason(partial(read_change, record, stream, self._ctx.settings))
        if error is None or isinstance(error, Unwritable):
            return change, error
        kind = type(error).__name__
        return None, Unwritable(
            f"a value of it cannot be read ({kind})", cause=f"a value cannot be read ({kind})"
        )

    def _add(self, item: Item, chars: int) -> None:
        if not self._chunk:
            self._chunk_began_at = self._taken_at
        self._chunk.append(item)
        self._chunk_chars += chars
        if len(self._chunk) == RECORDS_THAT_TELL and not item.stream.has_associations:
            self._ctx.lookups.look_ahead([each.change.keys for each in self._chunk])
        if (
            len(self._chunk) >= self._ctx.lookups.records_at_once
            or self._chunk_chars >= CHARS_PER_CHUNK
            or self._is_chunk_old()
        ):
            self._dispatch()

    def idle(self) -> None:
        """Write what has come in, while the input is silent.

        Raises:
            AppcrmError: what stopped the run meanwhile.
        """
        self.check_running()
        if self._chunk and self._clock() - self._taken_at >= QUIET_SECONDS:
            self._dispatch()

    def _is_chunk_old(self) -> bool:
        return bool(self._chunk) and self._clock() - self._chunk_began_at >= SECONDS_BETWEEN_STATES

    def take_state(self, state: Any) -> None:  # noqa: ANN401  any JSON value
        """Take a state in; it goes out when every record before it is done."""
        self._states.note(self._count, state)
        if self._is_chunk_old():
            self._dispatch()

    def _warn_of(self, names: Iterable[str]) -> None:
        new = [name for name in names if name not in self._warned_fields]
        if new:
            self._warned_fields.update(new)
            logger.warning("%s", unknown_fields_warning(new, self._ctx.settings))

    def _note_where_keyless(self, stream: StreamSchema, change: Change) -> None:
        is_created = stream.name == CONTACTS and self._ctx.settings.mode != "update_only"
        if is_created and not change.keys and not change.is_delete:
            self._ctx.seen.count(KEYLESS)

    def activate_version(self, stream: str, version: int, source: str) -> None:
        """Take note that a table version is whole; one of associations says nothing about which contacts there are.

        Raises:
            AppcrmError: what stopped the run.
        """
        self.drain()
        if stream == CONTACTS:
            self._mirror.activate(source, version)

    # Writing

    def drain(self) -> None:
        """Write all that was taken in, and wait for it.

        Raises:
            AppcrmError: what stopped the run.
        """
        self._dispatch()
        self._wait()
        self.check_running()

    def _dispatch(self) -> None:
        """Look the chunk up and have it written; what was written before it is what the look-ups must see."""
        self._wait()
        self.check_running()
        chunk, self._chunk, self._chunk_chars = self._chunk, [], 0
        if chunk:
            self._write(chunk)

    def _write(self, chunk: list[Item]) -> None:
        with_associations = any(item.change.associations for item in chunk)
        try:
            found = self._ctx.lookups.find(
                [item.change.keys for item in chunk], with_associations=with_associations
            )
            self._ctx.lookups.resolve_names([item.change for item in chunk], found)
        except Stopping:
            self.check_running()
            raise
        groups = records_by_contact(chunk, found)
        with self._changed:
            self._open_groups += len(groups)
        for group in groups:
            future = self._workers.begin(partial(self._processor.process, group, found))
            future.add_done_callback(partial(self._note_end, len(group)))

    def _note_end(self, count: int, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        with self._changed:
            if error is not None and not isinstance(error, Stopping):
                self._fatal = self._fatal or error
                self._stopping.set()
            self._open_groups -= 1
            self._done += count
            if not self._open_groups:
                self._changed.notify_all()

    # Waiting and the end

    def _wait(self) -> None:
        """Wait until everything submitted is done, and note meanwhile what it did, so that look-ups find that noted."""
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: not self._open_groups, timeout=SECONDS_BETWEEN_NOTES):
                    return
            self._ctx.lookups.note_written()
            self.when_waiting()

    def check_running(self) -> None:
        """Raise what stopped the run, if anything did.

        Raises:
            AppcrmError: that.
        """
        with self._changed:
            if self._fatal is not None:
                raise self._fatal
        if self._stopping.is_set():
            raise Stopping("the run was ended")

    def finish(self) -> None:
        """Write what is left, delete what is to be deleted, emit the last state.

        Raises:
            AppcrmError: what stopped the run.
        """
        self.drain()
        self._write_what_waited()
        self._deletes.carry_out(self.check_running)
        self._states.release()
        self._states.emit()

    def _write_what_waited(self) -> None:
        """Try once more what another contact's address was in the way of; refuse what it still is."""
        again, hopeless = self._waiting.take()
        for item, error in hopeless:
            self._log.reject(item, error, [])
            self._states.done(item.number)
        if again:
            self._write(again)
            self._wait()
            self.check_running()

    def break_off(self) -> None:
        """End early: begin nothing new, and let what is in flight end."""
        self._stopping.set()
        self._wait()
