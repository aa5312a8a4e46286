"""The rejects file of earlier runs, whose records are tried again: what is still refused, and since when."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appcrm.contact import format_timestamp, parse_timestamp
from appcrm.errors import SettingsError
from appcrm.private_file import replace_private
from appcrm.text import counted
from target_appcrm.report.rejects import encode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from target_appcrm.match.keys import MatchKey
    from target_appcrm.write.records_by_contact import Arrived

OUTCOME_UNKNOWN = "outcome unknown"
"""A create that may have been carried out: such a record is sent again by hand only."""


@dataclass
class OpenReject:
    """One record that was refused.

    Args:
        schema: SCHEMA message that it stood under.
        message: RECORD message as it stands in the file.
        number: of the record in this run's input that was refused; None for one of an earlier run.
        match_tokens: what a newer record shares that has its match keys, where its stream has no key properties.
    """

    schema: dict[str, Any]
    message: dict[str, Any]
    number: int | None = None
    match_tokens: frozenset[bytes] = frozenset()

    @property
    def rejected_at(self) -> str | None:
        """When it was first refused."""
        value = self.message.get("rejected_at")
        return value if isinstance(value, str) else None

    @property
    def is_for_hands_only(self) -> bool:
        """Whether it may be in the CRM already."""
        return self.message.get("reason") == OUTCOME_UNKNOWN

    @property
    def content(self) -> bytes:
        """What two identical records share."""
        return _digest([self.message["stream"], self.message["record"]])

    @property
    def tokens(self) -> frozenset[bytes]:
        """What a newer record of the same key shares."""
        names = self.schema.get("key_properties") or ()
        return key_tokens(str(self.message["stream"]), self.message["record"], names) or self.match_tokens


def tokens_of(item: Arrived) -> frozenset[bytes]:
    """Return what a record shares with those of the same key."""
    stream, change = item.stream, getattr(item, "change", None)
    names = stream.source_key_properties or ()
    return key_tokens(stream.source, item.record, names) or match_tokens(
        () if change is None else change.keys
    )


def key_tokens(stream: str, record: Mapping[str, Any], names: Collection[str]) -> frozenset[bytes]:
    """Return what records share that have the same values in their key properties; nothing without those."""
    if not names or any(record.get(name) is None for name in names):
        return frozenset()
    return frozenset([_digest([stream, *([name, record[name]] for name in sorted(names))])])


def match_tokens(keys: tuple[MatchKey, ...]) -> frozenset[bytes]:
    """Return what records share that have a match key in common."""
    return frozenset(_digest(list(key.bucket)) for key in keys)


class OpenRejects:
    """What a rejects file holds; safe to share between threads.

    It is saved whole, by a replacement of the file, so that at any moment the file holds what is refused.

    Args:
        path: of the file, which may not be there.
        now: the moment, in UTC.
        is_saved: False for a dry run, which leaves the file alone.

    Raises:
        SettingsError: it is no file of rejects.
    """

    def __init__(self, path: str, now: Callable[[], datetime], *, is_saved: bool = True) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._open: dict[bytes, OpenReject] = {}
        self._by_token: dict[bytes, set[bytes]] = {}
        self._may_save = is_saved
        self._is_changed = False
        self._read_count = 0
        for reject in _read(Path(path)):
            self._read_count += 1
            if reject.rejected_at is None:
                reject.message["rejected_at"] = format_timestamp(now())
            self._put(reject)
        self._is_changed = len(self._open) < self._read_count

    def __len__(self) -> int:
        return len(self._open)

    @property
    def oldest_at(self) -> str | None:
        """When the oldest of them was first refused."""
        with self._lock:
            return min((found for each in self._open.values() if (found := each.rejected_at)), default=None)

    def line(self) -> str | None:
        """Return the summary's line; None where nothing is open."""
        oldest = parse_timestamp(self.oldest_at)
        if not self._open or oldest is None:
            return None
        days = max(0, (self._now() - oldest).days)
        return f"open rejects: {len(self)}, oldest {counted(days, 'day')}"

    def to_retry(self) -> list[OpenReject]:
        """Return the records of earlier runs to send again, in the order of the file."""
        with self._lock:
            return [
                each for each in self._open.values() if each.number is None and not each.is_for_hands_only
            ]

    def is_open(self, reject: OpenReject) -> bool:
        """Whether a record is still to be sent again: a newer one of its key may have come meanwhile."""
        return reject.content in self._open

    @property
    def has_some_for_hands_only(self) -> bool:
        """Whether any record may be in the CRM already."""
        with self._lock:
            return any(each.is_for_hands_only for each in self._open.values())

    def know_match_keys(self, keys_of: Callable[[OpenReject], tuple[MatchKey, ...]]) -> None:
        """Find out the match keys of records whose streams have no key properties."""
        for content, reject in list(self._open.items()):
            if not reject.tokens:
                reject.match_tokens = match_tokens(keys_of(reject))
                self._note(content, reject)

    def superseded(
        self, tokens: frozenset[bytes], *, before: int, but: Mapping[str, Any] | None = None
    ) -> None:
        """Forget what a newer record of the same key makes out of date, once that one is done with.

        Args:
            tokens: of the newer record.
            before: its number.
            but: its content, which stays open where it is the same.
        """
        with self._lock:
            for token in tokens:
                for content in list(self._by_token.get(token, ())):
                    reject = self._open.get(content)
                    if reject is None or (reject.number or 0) >= before or _is_same(reject, but):
                        continue
                    self._forget(content)

    def accepted(self, reject: OpenReject) -> None:
        """Forget a record that was sent again and is done with."""
        with self._lock:
            self._forget(reject.content)

    def _forget(self, content: bytes) -> None:
        if self._open.pop(content, None) is not None:
            self._is_changed = True

    def refused(self, schema: dict[str, Any], message: dict[str, Any], number: int | None) -> None:
        """Keep a record that was refused, once, since its first refusal."""
        plain = json.loads(encode_message(message))
        with self._lock:
            self._put(OpenReject(json.loads(encode_message(schema)), plain, number=number))
            self._is_changed = True

    def _put(self, reject: OpenReject) -> None:
        content = reject.content
        known = self._open.get(content)
        if known is not None and known.rejected_at:
            reject.message["rejected_at"] = min(known.rejected_at, reject.rejected_at or known.rejected_at)
            reject.match_tokens = known.match_tokens
        self._open[content] = reject
        self._note(content, reject)

    def _note(self, content: bytes, reject: OpenReject) -> None:
        for token in reject.tokens:
            self._by_token.setdefault(token, set()).add(content)

    def save(self) -> None:
        """Replace the file by what is open, if that changed; without any it is emptied.

        Raises:
            SettingsError: it cannot be written.
        """
        with self._lock:
            if not self._is_changed or not self._may_save:
                return
            replace_private(self._path, b"".join(self._lines()), "rejects_path")
            self._is_changed = False

    def _lines(self) -> Iterator[bytes]:
        described: dict[str, dict[str, Any]] = {}
        for reject in self._open.values():
            stream = str(reject.message["stream"])
            if described.get(stream) != reject.schema:
                described[stream] = reject.schema
                yield encode_message(reject.schema)
            yield encode_message(reject.message)


def _is_same(reject: OpenReject, record: Mapping[str, Any] | None) -> bool:
    return (
        record is not None
        and json.loads(encode_message({"record": record}))["record"] == reject.message["record"]
    )


def _read(path: Path) -> Iterator[OpenReject]:
    schemas: dict[str, dict[str, Any]] = {}
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(
            f"rejects_path: {path} cannot be read ({error.strerror}); set another path"
        ) from error
    broken = 0
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        message = _decode(line)
        if message is None and not broken:
            # Perhaps half a line, of a run that was killed while it wrote: no state went out behind its record.
            broken = number
            continue
        kind = None if message is None else message.get("type")
        stream = None if message is None else message.get("stream")
        if message is not None and kind == "SCHEMA" and isinstance(stream, str):
            schemas[stream] = message
            broken = 0
        elif (
            message is not None
            and kind == "RECORD"
            and not broken
            and isinstance(message.get("record"), dict)
            and stream in schemas
        ):
            yield OpenReject(schemas[str(stream)], message)
        else:
            raise SettingsError(
                f"rejects_path: line {broken or number} of {path} is no refused record under a SCHEMA; mend it, or "
                "move the file away"
            )


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _digest(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
