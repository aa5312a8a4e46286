"""Records in, contacts written: chunks are looked up together, then each contact's records are applied in order."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from target_appcrm.errors import Unwritable
from target_appcrm.match.costs import VALUES_PER_SEARCH
from target_appcrm.read.change import key_of, read_change, unknown_fields_warning
from target_appcrm.read.stream_schema import CONTACTS
from target_appcrm.state import SECONDS_BETWEEN_STATES
from target_appcrm.write.record_processor import Stopping
from target_appcrm.write.records_by_contact import Item, chains_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from target_appcrm.match.lookup import Lookups
    from target_appcrm.match.lookup_result import Found
    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.summary import Summary
    from target_appcrm.settings import TargetSettings
    from target_appcrm.state import States
    from target_appcrm.write.deletes import Deletes
    from target_appcrm.write.record_processor import Applier
    from target_appcrm.write.workers import Workers

CHARS_PER_CHUNK = 16_000_000
RECORDS_THAT_TELL = VALUES_PER_SEARCH + 1
"""More than one search finds, so that the CRM's size will be asked for."""
SECONDS_BETWEEN_NOTES = 0.5
QUIET_SECONDS = 1.0
"""Without input for so long, what has come in is written."""

logger = logging.getLogger("target-appcrm")


class Pipeline:
    """Takes records from one thread and writes them on several: a chunk comes in while the one before is written."""

    def __init__(
        self,
        *,
        settings: TargetSettings,
        lookups: Lookups,
        workers: Workers,
        applier: Applier,
        deletes: Deletes,
        summary: Summary,
        states: States,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._lookups = lookups
        self._workers = workers
        self._applier = applier
        self._deletes = deletes
        self._summary = summary
        self._states = states
        self._stopping = stopping
        self._clock = clock
        self._chunk: list[Item] = []
        self._chunk_chars = 0
        self._chunk_began_at = 0.0
        self._taken_at = 0.0
        self._count = 0
        self._changed = threading.Condition()
        self._open_chains = 0
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
        refusal: Unwritable | None = None,
    ) -> None:
        """Take one record in; now and then this hands a chunk over, once the one before it is written.

        Args:
            stream: as its SCHEMA described it.
            record: after stream maps.
            original: as it came in.
            chars: its size, to bound memory.
            version: of its table.
            refusal: why it cannot be written, where that is known already.

        Raises:
            AppcrmError: what stopped the run meanwhile.
        """
        if self._stopping.is_set():
            self._check_running()
        self._taken_at = self._clock()
        if not self._chunk:
            self._chunk_began_at = self._taken_at
        self._deletes.reading(stream.name, version)
        self._count += 1
        self._summary.read()
        item = Item(self._count, stream, original, None, key_of(record, stream), version)
        try:
            if refusal is not None:
                raise refusal
            item.change = read_change(record, stream, self._settings)
        except Unwritable as error:
            self._applier.reject(item, error, [])
            self._states.done(item.number)
        else:
            self._warn_of(item.change.unknown)
            self._warn_where_keyless(item)
            self._chunk.append(item)
            self._chunk_chars += chars
            if len(self._chunk) == RECORDS_THAT_TELL and not stream.has_associations:
                self._lookups.look_ahead([each.change.keys for each in self._chunk if each.change])
        if (
            len(self._chunk) >= self._lookups.records_at_once
            or self._chunk_chars >= CHARS_PER_CHUNK
            or self._is_chunk_old()
        ):
            self._hand_over()

    def idle(self) -> None:
        """Write what has come in, while the input is silent.

        Raises:
            AppcrmError: what stopped the run meanwhile.
        """
        self._check_running()
        if self._chunk and self._clock() - self._taken_at >= QUIET_SECONDS:
            self._hand_over()

    def _is_chunk_old(self) -> bool:
        return bool(self._chunk) and self._clock() - self._chunk_began_at >= SECONDS_BETWEEN_STATES

    def take_state(self, state: Any) -> None:  # noqa: ANN401  any JSON value
        """Take a state in; it goes out when every record before it is done."""
        self._states.note(self._count, state)
        if self._is_chunk_old():
            self._hand_over()

    def _warn_of(self, names: Iterable[str]) -> None:
        new = [name for name in names if name not in self._warned_fields]
        if new:
            self._warned_fields.update(new)
            logger.warning("%s", unknown_fields_warning(new, self._settings))

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

    def activate_version(self, stream: str, version: int, source: str) -> None:
        """Take note that a table version is whole."""
        self._deletes.activate(stream, version, source)

    # Writing

    def drain(self) -> None:
        """Write all that was taken in, and wait for it.

        Raises:
            AppcrmError: what stopped the run.
        """
        self._hand_over()
        self._wait()
        self._check_running()

    def _hand_over(self) -> None:
        """Look the chunk up and have it written; what was written before it is what the look-ups must see."""
        self._wait()
        self._check_running()
        chunk, self._chunk, self._chunk_chars = self._chunk, [], 0
        if chunk:
            with_associations = any(item.change and item.change.associations for item in chunk)
            try:
                found = self._lookups.find(
                    [item.change.keys for item in chunk if item.change], with_associations=with_associations
                )
            except Stopping:
                self._check_running()
                raise
            chains = chains_of(chunk, found)
            with self._changed:
                self._open_chains += len(chains)
            self._workers.submit([self._task(chain, found) for chain in chains])

    def _task(self, chain: list[Item], found: Found) -> Callable[[], None]:
        def run() -> None:
            try:
                self._applier.apply(chain, found)
            except Stopping:
                pass
            except Exception as error:  # noqa: BLE001  handed on to the main thread, whatever it is
                with self._changed:
                    self._fatal = self._fatal or error
                self._stopping.set()
            finally:
                with self._changed:
                    self._open_chains -= 1
                    if not self._open_chains:
                        self._changed.notify_all()

        return run

    # Waiting and the end

    def _wait(self) -> None:
        """Wait until everything submitted is done, and note meanwhile what it did, so that look-ups find that noted."""
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: not self._open_chains, timeout=SECONDS_BETWEEN_NOTES):
                    return
            self._lookups.note_written()

    def _check_running(self) -> None:
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
        self._deletes.carry_out(self._check_running)
        self._states.release()
        self._states.emit()

    def break_off(self) -> None:
        """End early: begin nothing new, let what is in flight end, emit the last state that is true."""
        self._stopping.set()
        self._wait()
        self._states.emit()
