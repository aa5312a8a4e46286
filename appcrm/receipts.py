"""Receipts and runs: two Singer streams in one file, which say what was decided about each record, and by which run.

A run is a start record of ``appcrm_runs`` (``ended_at`` null), its receipts, and an end record of the same key, which
seals them. Runs follow one another in a file; what belongs to which is told by ``run_id`` alone. The receipts of a dry
run are a plan. ``schemas/receipts.json`` and ``schemas/runs.json`` describe each field; ``appcrm.receipt_reader`` reads
the files back.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from appcrm.schemas import load_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECEIPTS = "appcrm_receipts"
RUNS = "appcrm_runs"
KEY_PROPERTIES = {RECEIPTS: ("run_id", "n"), RUNS: ("run_id",)}
FORMAT_VERSION = 1
"""Of the two streams; a reader refuses a higher one."""

OPERATIONS = ("create", "update", "unchanged", "skipped", "delete", "attach", "detach", "sync", "reject")
WRITES = frozenset({"create", "update", "delete", "attach", "detach", "sync"})
"""Operations that change the CRM."""

DECIDING_SETTINGS: dict[str, Any] = {
    "mode": "upsert",
    "match_on": ["email"],
    "skip_unchanged": True,
    "null_handling": "omit",
    "associations": "sync",
    "custom_fields": [],
    "external_id_field": None,
    "field_policy": {},
    "unknown_names": "reject",
    "allow_deletes": False,
    "stream_maps": {},
}
"""Settings that decide what is written, to their defaults (contract, "Plan, look, apply, undo")."""


@dataclass(frozen=True)
class Receipt:
    """One decision about one record; the writer fills in ``run_id``, ``n`` and ``planned``.

    Args:
        key: the record's key values, as the input had them.
        changes: field to [old, new]; of a create [null, new], of a delete [old, null].
        left_alone: field that differs and was not written, to the ``field_policy`` that held it back.
        names: of ids in ``changes``, where they are known: field to id, as text, to name.
        reason: why the record was skipped or rejected; it may name values.
        cause: the reason without values.
        at: in the API's own form, ``2026-01-23T04:58:56.000000Z``.
    """

    stream: str
    operation: str
    at: str
    key: dict[str, Any] | None = None
    contact_id: int | None = None
    changes: dict[str, list[Any]] | None = None
    left_alone: dict[str, str] | None = None
    names: dict[str, dict[str, str]] | None = None
    reason: str | None = None
    cause: str | None = None
    status: int | None = None
    requests: int = 0
    record_number: int | None = None
    run_id: str = ""
    n: int = 0
    planned: bool = False


def no_counts() -> dict[str, int]:
    """Return a count of 0 for each operation."""
    return dict.fromkeys(OPERATIONS, 0)


@dataclass(frozen=True)
class Run:
    """One run, as it began or as it ended.

    Args:
        ended_at: None while it runs.
        account: the CRM, as ``appcrm.settings`` tells accounts apart.
        settings: ``settings_hash`` of what decides; None for an undo plan, which is bound to the account alone.
        undo_of: the run that this plan undoes.
        seal: None while it runs; the writer makes it.
    """

    run_id: str
    started_at: str
    account: str
    planned: bool = False
    settings: str | None = None
    ended_at: str | None = None
    meltano_run_id: str | None = None
    plan_run_id: str | None = None
    undo_of: str | None = None
    app_version: str | None = None
    records: int = 0
    counts: dict[str, int] = field(default_factory=no_counts)
    open_rejects: int | None = None
    oldest_open_reject_at: str | None = None
    requests: int = 0
    waited_seconds: float = 0.0
    exit_code: int | None = None
    error: str | None = None
    receipts: int = 0
    seal: str | None = None
    format_version: int = FORMAT_VERSION


def as_record(item: Receipt | Run) -> dict[str, Any]:
    """Return a receipt or a run as the record of its stream."""
    return {each.name: getattr(item, each.name) for each in fields(item)}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Return one text for all settings under which the same input is decided alike.

    Args:
        settings: name to effective value. What does not decide is left out, and what is missing or null is taken for
            its default; the order of ``custom_fields`` does not count, that of ``match_on`` does.
    """
    deciding = {}
    for name, default in DECIDING_SETTINGS.items():
        given = settings.get(name)
        value = default if given is None else given
        if isinstance(value, (set, frozenset, tuple)):
            value = list(value)
        deciding[name] = sorted(value) if name == "custom_fields" else value
    return hashlib.sha256(_canonical(deciding)).hexdigest()


class Seal:
    """A digest over a run's receipts in their order, and over what the run says of itself.

    It shows that a file was cut off, edited or reordered by accident. It is no signature: whoever means to forge one
    can make it anew.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, line: bytes) -> None:
        """Take in a receipt's line as it stands in the file; white space around it does not count."""
        self._digest.update(line.strip() + b"\n")

    def of(self, run: Mapping[str, Any]) -> str:
        """Return the seal of a run's end record with all receipts that were added."""
        digest = self._digest.copy()
        digest.update(_canonical({name: value for name, value in run.items() if name != "seal"}))
        return digest.hexdigest()


class ReceiptWriter:
    """Writes one run: its start at once, its receipts as they come, its sealed end; safe to share between threads.

    Args:
        write: takes whole lines.
        run: as it begins.
    """

    def __init__(self, write: Callable[[bytes], object], run: Run) -> None:
        self._write = write
        self._run = run
        self._lock = threading.Lock()
        self._seal = Seal()
        self._count = 0
        for stream in (RUNS, RECEIPTS):
            write(encode_line(schema_message(stream)))
        write(encode_line(record_message(run)))

    def write(self, receipt: Receipt) -> None:
        """Write one receipt, numbered within its run."""
        with self._lock:
            self._count += 1
            numbered = replace(receipt, run_id=self._run.run_id, n=self._count, planned=self._run.planned)
            line = encode_line(record_message(numbered))
            self._seal.add(line)
            self._write(line)

    def end(self, run: Run) -> Run:
        """Write the run as it ended, and return it with its seal and its number of receipts."""
        with self._lock:
            ended = replace(run, receipts=self._count, seal=None)
            # Sealed as it will be read back, whatever types its values have now.
            sealed = replace(ended, seal=self._seal.of(json.loads(encode_line(as_record(ended)))))
            self._write(encode_line(record_message(sealed)))
        return sealed


def schema_message(stream: str) -> dict[str, Any]:
    """Return the SCHEMA message of ``RECEIPTS`` or ``RUNS``."""
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": load_schema(stream.removeprefix("appcrm_")),
        "key_properties": list(KEY_PROPERTIES[stream]),
    }


def record_message(item: Receipt | Run) -> dict[str, Any]:
    """Return the RECORD message of a receipt or a run."""
    return {
        "type": "RECORD",
        "stream": RUNS if isinstance(item, Run) else RECEIPTS,
        "record": as_record(item),
    }


_ENCODER = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def encode_line(message: Mapping[str, Any]) -> bytes:
    """Encode one message as a line, even where a text is no valid Unicode or a number is of no common size.

    What JSON cannot hold, NaN and the infinities, becomes null.
    """
    try:
        return _ENCODER.encode(message) + b"\n"
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError):
        finite = json.loads(json.dumps(message, default=_plain), parse_constant=lambda _: None)
        return json.dumps(finite).encode() + b"\n"


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()
