"""Reads files of receipts back: which runs stand in them, whether each is whole, and its receipts one by one."""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar, final

from appcrm.contact import parse_timestamp
from appcrm.errors import AppcrmError
from appcrm.receipts import FORMAT_VERSION, OPERATIONS, RECEIPTS, RUNS, Receipt, Run, Seal, schema_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class ReceiptsError(AppcrmError):
    """A file of receipts that cannot be used: one sentence that names it and says what to do."""


class NotReceipts(ReceiptsError):
    """A file of something else."""


@dataclass
class RunInFile:
    """One run of a file.

    Args:
        run: its end record, or its start record where it never ended.
        first_line: where it begins.
        receipts: read, of all operations.
        counts: receipts by operation, as read.
        is_sealed: whether it ended and its seal is right, so that nothing was cut off, edited or reordered.
    """

    run: Run
    first_line: int
    receipts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    is_sealed: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether its end record is there."""
        return self.run.ended_at is not None

    def why_not_whole(self) -> str | None:
        """Return what is wrong with it as the rest of a sentence; None where it is whole."""
        if not self.has_ended:
            return f"run {self.run.run_id} has no end record: it is still running, was killed, or the file was cut off"
        if not self.is_sealed:
            return f"run {self.run.run_id} does not fit its seal: the file was cut, edited or reordered since"
        return None


@dataclass(frozen=True)
class _Line:
    number: int
    text: bytes
    message: dict[str, Any]

    @property
    def record(self) -> Any:  # noqa: ANN401  whatever the file holds
        return self.message.get("record")

    @property
    def stream(self) -> object:
        return self.message.get("stream")


@final
class ReceiptsFile:
    """A file that ``receipts_path`` names. Opening it reads it once; receipts are read again when they are asked for.

    The half line of a run that was killed is passed over, and receipts of before runs had records are only counted.

    Args:
        path: of a plain file.

    Attributes:
        runs: in the order in which they began.
        old_receipts: receipts of before runs had records.

    Raises:
        NotReceipts: it is a file of something else.
        ReceiptsError: it cannot be read, is empty, broken, of a newer version, or holds nothing but old receipts.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.runs: list[RunInFile] = []
        self.old_receipts = 0
        self._types = {Receipt: _types_of(RECEIPTS), Run: _types_of(RUNS)}
        self._file = _open(path)
        try:
            self._index()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> ReceiptsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def last_run(self) -> RunInFile:
        """The run that began last."""
        return self.runs[-1]

    def receipts(self, run: RunInFile) -> Iterator[Receipt]:
        """Yield the receipts of one run in their order.

        Raises:
            ReceiptsError: the file changed since it was opened, so that it cannot be read any more.
        """
        left = run.receipts
        for line in self._lines():
            if not left:
                return
            if line.number > run.first_line and self._run_id_of(line, RECEIPTS) == run.run.run_id:
                left -= 1
                yield self._read(Receipt, line)
        if left:
            raise ReceiptsError(f"{self.path} changed while it was read; run this again")

    def _index(self) -> None:
        runs: dict[str, RunInFile] = {}
        seals: dict[str, Seal] = {}
        for line in self._lines():
            if (run_id := self._run_id_of(line, RUNS)) is not None:
                run = self._read(Run, line)
                if run.ended_at is None and run_id not in runs:
                    runs[run_id] = RunInFile(run, line.number)
                    seals[run_id] = Seal()
                    continue
                known = self._open_run(runs, run_id, line)
                if run.ended_at is None:
                    raise ReceiptsError(
                        f"{self.path}: run {run_id} begins twice, in lines {known.first_line} and {line.number}; "
                        "take a file in which each run stands once"
                    )
                known.run = run
                known.is_sealed = (
                    known.receipts == run.receipts and seals.pop(run_id).of(line.record) == run.seal
                )
            elif (run_id := self._run_id_of(line, RECEIPTS)) is not None:
                known = self._open_run(runs, run_id, line)
                known.receipts += 1
                known.counts[self._read(Receipt, line).operation] += 1
                seals[run_id].add(line.text)
        self.runs = list(runs.values())
        if not self.runs and self.old_receipts:
            raise ReceiptsError(
                f"{self.path} was written by an older version, whose receipts say of no run; "
                "make it anew with this version"
            )
        if not self.runs:
            raise NotReceipts(
                f"{self.path} holds no run; name a file that target-appcrm wrote at receipts_path"
            )

    def _open_run(self, runs: dict[str, RunInFile], run_id: str, line: _Line) -> RunInFile:
        known = runs.get(run_id)
        if known is None:
            raise ReceiptsError(
                f"{self.path}: line {line.number} belongs to run {run_id}, whose start is missing: the file was cut; "
                "take the whole file"
            )
        if known.has_ended:
            raise ReceiptsError(
                f"{self.path}: line {line.number} belongs to run {run_id}, which had ended before: the file was edited "
                "or reordered; take it as it was written"
            )
        return known

    def _run_id_of(self, line: _Line, stream: str) -> str | None:
        """Return the run of a RECORD of ``stream``; None for whatever else the line is."""
        if line.message.get("type") != "RECORD" or line.stream != stream or not isinstance(line.record, dict):
            return None
        run_id = line.record.get("run_id")
        return run_id if isinstance(run_id, str) else None

    def _lines(self) -> Iterator[_Line]:
        """Yield what is in the file, from its beginning.

        Raises:
            ReceiptsError: a line is broken, and no run was killed while it wrote it.
        """
        self._file.seek(0)
        self.old_receipts = 0
        broken, anything, number = 0, False, 0
        for number, raw in enumerate(self._file, 1):
            text = raw.strip().removeprefix(_BOM)
            if not text:
                continue
            message = _decode(text)
            if message is None:
                if broken or number == 1:
                    self._refuse(broken or number)
                broken = number
                continue
            line = _Line(number, text, message)
            self._check(line)
            if broken and message["type"] != "SCHEMA":
                # A run that was killed leaves half a line, and the next one begins with its SCHEMA behind it.
                self._refuse(broken)
            broken, anything = 0, True
            yield line
        if not anything:
            raise NotReceipts(
                f"{self.path} is empty: no run has written to it; name a file that target-appcrm wrote at receipts_path"
            )

    def _check(self, line: _Line) -> None:
        """Refuse a message of another kind of file; count receipts of before there were runs."""
        kind, stream = line.message.get("type"), line.stream
        is_ours = stream in (RECEIPTS, RUNS)
        if kind not in ("SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION") or (
            kind == "RECORD" and not is_ours
        ):
            what = f"a record of {stream!r}" if kind == "RECORD" else "no receipt"
            raise NotReceipts(
                f"{self.path}: line {line.number} is {what[:80]}; name a file that target-appcrm wrote at receipts_path"
            )
        if kind != "RECORD":
            return
        if not isinstance(line.record, dict):
            self._refuse(line.number)
        if not isinstance(line.record.get("run_id"), str):
            if stream == RUNS or "operation" not in line.record:
                self._refuse(line.number)
            self.old_receipts += 1
        version = line.record.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ReceiptsError(
                f"{self.path} was written by a newer version; install that version of appcrm-connectors here too"
            )

    def _read(self, kind: type[_Item], line: _Line) -> _Item:
        item = _item(kind, line.record, self._types[kind])
        if item is None:
            self._refuse(line.number)
        return item

    def _refuse(self, number: int) -> NoReturn:
        kind = NotReceipts if number == 1 else ReceiptsError
        raise kind(
            f"{self.path}: line {number} is broken, so that it is no receipt of target-appcrm; "
            "take the file as it was written"
        )


_Item = TypeVar("_Item", Receipt, Run)


def _open(path: str) -> IO[bytes]:
    """Open a plain file of UTF-8.

    Raises:
        ReceiptsError: it is none.
    """
    try:
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")  # noqa: SIM115,PTH123  its user closes it
    except OSError as error:
        raise ReceiptsError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise ReceiptsError("a path holds a character that no path can hold; check it") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ReceiptsError(
            f"{path} is no plain file; write it to one first, because it is read more than once"
        )
    if file.read(2) in _UTF16_BOMS:
        file.close()
        raise NotReceipts(f"{path} is in UTF-16; save it as UTF-8")
    return file


def _decode(text: bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for whatever is none."""
    try:
        message = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "null": (type(None),),
}


def _types_of(stream: str) -> dict[str, tuple[tuple[type, ...], bool]]:
    """Return each field of a stream's schema to its Python types, and whether it is a moment."""
    found = {}
    for name, schema in schema_message(stream)["schema"]["properties"].items():
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        found[name] = (
            tuple(each for kind in kinds for each in _TYPES[kind]),
            schema.get("format") == "date-time",
        )
    return found


def _item(
    kind: type[_Item], record: dict[str, Any], types: dict[str, tuple[tuple[type, ...], bool]]
) -> _Item | None:
    """Return a receipt or a run from its record; None where a value is not of its field's type."""
    values = {name: record[name] for name in types if name in record}
    for name, value in values.items():
        allowed, is_moment = types[name]
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            return None
        if is_moment and value is not None and parse_timestamp(value) is None:
            return None
    try:
        item = kind(**values)
    except TypeError:  # a field without a default is missing
        return None
    return item if _is_sound(item) else None


def _is_sound(item: Receipt | Run) -> bool:
    """Whether what is inside a receipt's or a run's objects is of its kind."""
    if isinstance(item, Run):
        return all(type(count) is int for count in item.counts.values())
    return (
        item.operation in OPERATIONS
        and all(isinstance(pair, list) and len(pair) == 2 for pair in (item.changes or {}).values())
        and all(isinstance(names, dict) for names in (item.names or {}).values())
    )
