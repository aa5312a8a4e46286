"""What the files on the command line hold: runs of the target with their receipts, or receipts of the tap."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from appcrm.errors import AppcrmError
from appcrm.receipt_reader import NotReceipts, ReceiptsError, ReceiptsFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from appcrm.receipt_reader import RunInFile
    from appcrm.receipts import Receipt

_LONGEST_TAP_FILE_BYTES = 1 << 20
"""The tap writes one line a stream, so that a longer file is none of its."""


class ReportError(AppcrmError):
    """What was asked for cannot be done: one sentence that says why and what would."""


@dataclass(frozen=True)
class TapReceipt:
    """What one run of the tap read of one stream (contract, "How it reads")."""

    stream: str
    mode: str
    started_at: str
    ended_at: str | None = None
    requests: int = 0
    records: int = 0
    distinct_ids: int = 0
    total: int | None = None
    complete: bool = False
    repaired: int = 0
    bookmark_before: str | None = None
    bookmark_after: str | None = None


@dataclass(frozen=True)
class SourcedRun:
    """A run, and the file that holds it."""

    file: ReceiptsFile
    in_file: RunInFile

    @property
    def receipts(self) -> Iterator[Receipt]:
        """The run's receipts, read anew each time."""
        return self.file.receipts(self.in_file)


class Sources:
    """The files of one command, open until it ends.

    Args:
        paths: of files that target-appcrm or tap-appcrm wrote.

    Attributes:
        runs: each run once, in the order of the files.
        tap_receipts: of all files.
        old_receipts: receipts of before runs had records, which cannot be shown.

    Raises:
        ReceiptsError: a file cannot be used.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.runs: list[SourcedRun] = []
        self.tap_receipts: list[TapReceipt] = []
        self.old_receipts = 0
        with ExitStack() as files:
            for path in paths:
                self._open(path, files)
            self._files = files.pop_all()

    def __enter__(self) -> Sources:  # noqa: PYI034  nothing derives from it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def _open(self, path: str, files: ExitStack) -> None:
        try:
            file = files.enter_context(ReceiptsFile(path))
        except NotReceipts as error:
            found = read_tap_receipts(path)
            if not found:
                raise error from None
            self.tap_receipts += found
            return
        known = {each.in_file.run.run_id for each in self.runs}
        self.runs += [SourcedRun(file, run) for run in file.runs if run.run.run_id not in known]
        self.old_receipts += file.old_receipts

    def refuse_edited(self) -> None:
        """Refuse runs that ended and do not fit their seals.

        Raises:
            ReceiptsError: there is one.
        """
        for each in self.runs:
            if each.in_file.has_ended and not each.in_file.is_sealed:
                raise ReceiptsError(
                    f"{each.file.path}: {each.in_file.why_not_whole()}; take it as it was written"
                )

    def chosen(self, run_ids: Sequence[str]) -> list[SourcedRun]:
        """Return the runs that are asked for, or all.

        Raises:
            ReportError: one is not there.
        """
        for run_id in run_ids:
            if run_id not in {each.in_file.run.run_id for each in self.runs}:
                listed = ", ".join(each.in_file.run.run_id for each in self.runs[-5:]) or "none"
                raise ReportError(f"run {run_id} stands in none of the files; the last ones are: {listed}")
        return [each for each in self.runs if not run_ids or each.in_file.run.run_id in run_ids]


def read_tap_receipts(path: str) -> list[TapReceipt]:
    """Return the receipts of the tap in a file; none where it holds anything else."""
    try:
        text = Path(path).read_bytes()[: _LONGEST_TAP_FILE_BYTES + 1].decode("utf-8-sig")
        messages = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError):
        return []
    receipts = [_tap_receipt(message) for message in messages]
    return [each for each in receipts if each is not None] if None not in receipts else []


def _tap_receipt(message: object) -> TapReceipt | None:
    if not isinstance(message, dict) or not {"stream", "mode", "started_at", "complete"} <= set(message):
        return None
    texts = ("stream", "mode", "started_at", "ended_at", "bookmark_before", "bookmark_after")
    for name in (each.name for each in fields(TapReceipt)):
        value = message.get(name)
        if name in message and value is not None and isinstance(value, str) is not (name in texts):
            return None
        if value is None and name in ("stream", "mode", "started_at"):
            return None
        if name not in texts and not isinstance(value, (int, type(None))):
            return None
    known = {
        each.name: message[each.name] for each in fields(TapReceipt) if message.get(each.name) is not None
    }
    return TapReceipt(**known)
