"""The receipts file: what was decided about each record, and which run decided it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from appcrm.contact import format_timestamp
from appcrm.errors import SettingsError
from appcrm.private_file import open_private
from appcrm.receipts import Receipt, ReceiptWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from appcrm.receipts import Run
    from target_appcrm.report.decisions import Decision


class ReceiptFile:
    """Appends one run and its receipts to a file; safe to share between threads.

    Args:
        path: None for no file.
        run: as it begins.
        now: the moment, in UTC.

    Raises:
        SettingsError: the file cannot be opened.
    """

    def __init__(self, path: str | None, run: Run, now: Callable[[], datetime]) -> None:
        self._path = path
        self._now = now
        self._file: IO[bytes] | None = None
        self._failure: SettingsError | None = None
        self._writer: ReceiptWriter | None = None
        if path is not None:
            self._file = open_private(path, "receipts_path")
            self._writer = ReceiptWriter(self._write, run)

    def tell(
        self, stream: str, key: dict[str, Any], decisions: Iterable[Decision], number: int | None
    ) -> None:
        """Append the decisions about one record.

        Raises:
            SettingsError: the file cannot be written.
        """
        if self._failure is not None:
            raise self._failure
        if self._writer is None:
            return
        at = format_timestamp(self._now())
        for decision in decisions:
            self._writer.write(
                Receipt(
                    stream=stream,
                    operation=decision.operation,
                    at=at,
                    key=key or None,
                    contact_id=decision.contact_id,
                    changes=decision.changes,
                    left_alone=decision.left_alone,
                    names=decision.names,
                    reason=decision.reason,
                    cause=decision.cause,
                    status=decision.status,
                    requests=decision.requests,
                    record_number=number,
                )
            )

    def _write(self, line: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(line)
        except OSError as error:
            self._failure = self._unwritable(error)
            raise self._failure from error

    def _unwritable(self, error: OSError) -> SettingsError:
        return SettingsError(
            f"receipts_path: {self._path} cannot be written ({error.strerror}); make room, or set another path"
        )

    def flush(self) -> None:
        """Hand what was written to the operating system; where that fails, the next receipt raises it."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._failure = self._unwritable(error)

    def end(self, run: Run) -> Run:
        """Append the run as it ended, and close the file; returns it with its seal.

        Raises:
            SettingsError: it cannot be written.
        """
        file, writer = self._file, self._writer
        if file is None or writer is None:
            return run
        try:
            if self._failure is not None:
                raise self._failure
            sealed = writer.end(run)
            file.flush()
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            self._file = None
            file.detach().close()  # type: ignore[attr-defined]  # a buffer that cannot be written must not be tried again
        return sealed
