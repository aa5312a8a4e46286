"""One stream's part of a run: what a replication hands out becomes messages, with true states behind them."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from appcrm.errors import SettingsError
from appcrm.text import counted, printable
from tap_appcrm.output.progress_bar import ProgressBar
from tap_appcrm.output.receipt import Receipt, now_text
from tap_appcrm.output.record_writer import RecordWriter
from tap_appcrm.replication.backfill import Checkpoint
from tap_appcrm.replication.deletes import Gone
from tap_appcrm.replication.read_context import Rows
from tap_appcrm.source.list_source import ListSource
from tap_appcrm.source.records import MISFITS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from tap_appcrm.output.receipt import ReceiptBook
    from tap_appcrm.output.written_stream import BesideContacts, WrittenStream
    from tap_appcrm.replication.replication import Replication
    from tap_appcrm.settings import TapSettings
    from tap_appcrm.source.page import Row
    from tap_appcrm.source.records import Record

RECORDS_BETWEEN_STATES = 500
SECONDS_BETWEEN_STATES = 30.0
DELETED_AT = "_sdc_deleted_at"

logger = logging.getLogger("tap-appcrm")
summary = logging.getLogger("tap-appcrm.summary")
"""Shown at every log level: the command sets it so."""


class StreamSync:
    """One stream's part of a run: records out, state behind them, the receipt at the end.

    Args:
        stream: whose messages are written.
        replication: what is read.
        settings: of the tap.
        receipts: of the run.
        requests_sent: requests of the run so far.
        associations: that go out beside contacts, if they do.
        writes: False where records go into files of a BATCH.
    """

    def __init__(
        self,
        stream: WrittenStream,
        replication: Replication,
        *,
        settings: TapSettings,
        receipts: ReceiptBook,
        requests_sent: Callable[[], int],
        associations: BesideContacts | None = None,
        writes: bool,
    ) -> None:
        self._stream = stream
        self._page_size = settings.page_size
        self._receipts = receipts
        self._requests_sent = requests_sent
        self._replication = replication
        self._writes = writes
        self.writer = RecordWriter(stream, writes=writes)
        self.maker = stream.make_maker()
        if settings.detect_deletes and stream.can_tell_deletes and DELETED_AT not in self.maker.names:
            raise SettingsError(f"detect_deletes needs {DELETED_AT} selected in the catalog of {stream.name}")
        self._associations = associations
        self.receipt = Receipt(
            stream.name, replication.mode, started_at=now_text(), bookmark_before=replication.bookmark_before
        )
        receipts.open(self.receipt)
        self._is_clean = True
        self._records_since_state = 0
        self._state_written_at = time.monotonic()

    def run(self) -> Iterator[list[Record]]:
        """Yield batches of records, after their messages were written."""
        replication, stream = self._replication, self._stream
        requests_before = self._requests_sent()
        already = replication.resumed
        progress_bar = ProgressBar(stream.name, 0 if already is None else already.total or 0)
        # Each of these happens whatever comes, also where one before it fails: the last first.
        with ExitStack() as at_end:
            at_end.callback(self._close_receipt, requests_before, time.monotonic())
            at_end.callback(self._save_what_is_whole)
            at_end.callback(progress_bar.close)
            stream.begin_version(replication)
            for step in replication.steps():
                if isinstance(step, Checkpoint):
                    self._checkpoint()
                    continue
                self._is_clean = False
                for rows in self._rows(step):
                    yield self.emit(rows)
                    sent = self._requests_sent() - requests_before
                    progress_bar.tick(len(replication.context.seen), replication.context.total, sent)
                if self._associations is not None and isinstance(step, Rows):
                    yield from self._associations.take(step)
                self._is_clean = True
            self._end()
            self.receipt.complete = True

    def _save_what_is_whole(self) -> None:
        """Let the state say what was written, where a run ends before its end.

        A contact among what was handed out that goes before the next run becomes a tombstone.
        """
        if self._is_clean and self._writes and not self.receipt.complete:
            self._save()

    def _rows(self, step: Rows | Gone) -> Iterator[list[Row]]:
        if isinstance(step, Gone):
            moment = now_text()
            yield [{"id": contact_id, DELETED_AT: moment} for contact_id in step.ids]
            return
        limit = self._stream.ABORT_AT_RECORD_COUNT
        room = None if limit is None else max(0, limit - self.writer.records)
        yield from self._stream.rows_of(step if room is None else step.at(range(min(room, len(step.ids)))))

    def emit(self, rows: list[Row]) -> list[Record]:
        """Write the records of rows."""
        records = self.writer.write(self.maker.make(rows))
        self._records_since_state += len(rows)
        self._stream.check_limit(self.writer.records)
        return records

    def _checkpoint(self) -> None:
        is_due = (
            self._records_since_state + self._page_size > RECORDS_BETWEEN_STATES
            or time.monotonic() - self._state_written_at > SECONDS_BETWEEN_STATES
        )
        if is_due:
            self._save()

    def _save(self) -> None:
        self._replication.save()
        self._stream.store(self._replication.state)
        if self._associations is not None:
            self._associations.save()
        if self._writes:
            self._stream.write_state()
        self._records_since_state = 0
        self._state_written_at = time.monotonic()

    def _end(self) -> None:
        """Let the state say that all is done, and the messages that go with it."""
        self._stream.activate_version()
        source = self._replication.context.source
        if isinstance(source, ListSource) and (unknown := self._stream.unknown_fields(source.columns)):
            logger.warning(
                "%s: the CRM has custom fields that the catalog does not know: %s; run discovery again to read them",
                self._stream.name,
                ", ".join(unknown),
            )
        if self._associations is not None:
            self._associations.finish()
        self._save()

    def _close_receipt(self, requests_before: int, began: float) -> None:
        receipt, run = self.receipt, self._replication.context
        seconds = time.monotonic() - began
        receipt.ended_at = now_text()
        receipt.requests = self._requests_sent() - requests_before
        receipt.records = self.writer.records
        receipt.distinct_ids = len(run.seen)
        receipt.total = run.total
        receipt.repaired = run.repaired
        receipt.bookmark_after = (
            self._replication.state.bookmark if receipt.complete else receipt.bookmark_before
        )
        self._warn_of_values()
        self._stream.log_requests(receipt.requests)
        summary.info(
            "%s: %s of %s, %s in the CRM, %s, %d repaired, %.1f s%s",
            self._stream.name,
            counted(receipt.records, "record"),
            counted(receipt.distinct_ids, "contact"),
            "an unknown number" if run.total is None else run.total,
            counted(receipt.requests, "request"),
            receipt.repaired,
            seconds,
            "" if receipt.complete else ": NOT COMPLETE",
        )
        self._receipts.close(receipt)

    def _warn_of_values(self) -> None:
        """Say once which fields held values that did not fit, or characters that no warehouse can hold."""
        if self.maker.misfits:
            logger.warning(
                "%s: values that do not fit the type of their column are null in it and stand as text in %s: %s. "
                "Run discovery again to update the catalog, or give the type in custom_fields",
                self._stream.name,
                MISFITS,
                _told(self.maker.misfits),
            )
        if self.writer.cleaned:
            logger.warning(
                "%s: characters that no warehouse can hold, such as NUL, were left out of: %s",
                self._stream.name,
                _told(self.writer.cleaned),
            )


def _told(counts: Counter[str]) -> str:
    """Write fields with how often each was met, the most frequent first."""
    return ", ".join(f"{printable(name)} ({count})" for name, count in counts.most_common())
