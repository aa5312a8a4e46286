"""What a run leaves for the next one: the bookmark that Singer tools know, and this tap's own keys beside it.

    {"replication_key": "updated_at", "replication_key_value": "2026-01-23T04:58:56.000000Z",
     "appcrm": {"version": 1, "scope": {…}, "backfill": {…}, "known_ids": "…", …}}

docs/reading.md describes every key. A shape that is not understood is an error, never a silent full read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from appcrm.contact import canonical_timestamp, format_timestamp
from appcrm.errors import AppcrmError
from tap_appcrm.id_set import LARGEST_ID, IdSet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

STATE_VERSION = 1
REPLICATION_KEY = "updated_at"
OUR_KEY = "appcrm"
SDK_KEYS = frozenset(
    {"replication_key", "replication_key_value", "replication_key_signpost"}
    | {"starting_replication_value", "progress_markers"}
)
"""What any tap on the SDK leaves for a stream."""


class StateError(AppcrmError):
    """A state that cannot be used: the message says what to do with it."""


@dataclass(frozen=True)
class Scope:
    """Whose rows a state is about, and which of them were read.

    Args:
        account: ``api_url`` with its host in lower case; None where an old state does not say.
        query, search_fields, search_match: the settings of that name.
        start_date: rows not changed since were left out.
    """

    account: str | None
    query: str | None = None
    search_fields: str | None = None
    search_match: str | None = None
    start_date: str | None = None

    def has_filters_of(self, other: Scope) -> bool:
        """Whether both see the same rows."""
        mine = (self.query, self.search_fields, self.search_match)
        return mine == (other.query, other.search_fields, other.search_match)

    def lacks(self, start_date: str | None) -> bool:
        """Whether rows that a start date asks for were left out."""
        return self.start_date is not None and (start_date is None or start_date < self.start_date)


@dataclass
class Backfill:
    """Where a read by id stands: all that was there at or above ``below_id`` has been emitted.

    Args:
        watermark: newest ``updated_at`` before the first page; changes since are read afterwards.
        total: rows when the first page by id was read.
        max_id: newest id then.
        below_id: rows with lower ids are still to be read.
        rows_below: how many those were when it was written.
        seen: the ids read so far.
        count_fell: whether the server's count went down on the way, or the pages by id showed another number of
            rows than it, so that pages may have shifted.
        largest_total: the largest count that the server told on the way.
        at_watermark: of those read so far, the ids whose version of the watermark's second was emitted.
        scan_until: only where the order by ``updated_at`` is refused: what the bookmark may not pass.
    """

    watermark: str | None
    total: int | None
    max_id: int
    below_id: int
    rows_below: int
    seen: IdSet = field(default_factory=IdSet)
    count_fell: bool = False
    largest_total: int | None = None
    at_watermark: IdSet = field(default_factory=IdSet)
    scan_until: str | None = None

    def already_there(self, ids: IdSet) -> int:
        """Count the ids that may have been there when the read began."""
        return ids.count_below(self.max_id + 1)

    def is_at(self, other: Backfill) -> bool:
        """Whether another stream's read by id stands at the same place."""
        return self == other


_Count = Annotated[int, msgspec.Meta(le=LARGEST_ID)]
_Position = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]


@dataclass
class _StoredBackfill:
    """A position as it stands in the state; ``since``, ``filters`` and ``table_version`` are of older states."""

    watermark: str | None
    total: _Count | None
    max_id: _Position
    below_id: _Position
    rows_below: _Position
    seen: str
    shrank: bool = False
    largest_total: _Count | None = None
    at_watermark: str | None = None
    scan_until: str | None = None
    since: str | None = None
    filters: list[str | None] = field(default_factory=list)
    table_version: _Count | None = None


@dataclass
class _Refusal:
    until: str


@dataclass
class _Stored:
    """The keys below ``appcrm``."""

    version: int
    scope: Scope | None = None
    backfill: _StoredBackfill | None = None
    proven_total: _Count | None = None
    known_ids: str | None = None
    unlisted_ids: str | None = None
    order_refused: _Refusal | None = None
    trash_refused: _Refusal | None = None
    table_version: _Count | None = None


@dataclass
class StreamState:
    """One stream's state, read from and written to the Singer state.

    Args:
        bookmark: the latest ``updated_at`` up to which all was emitted.
        scope: whose rows these are; None in a state that does not say.
        backfill: an unfinished read by id.
        proven_total: rows that the last read found which was proven complete.
        known_ids: rows that were emitted and not reported as deleted; only with ``detect_deletes``.
        unlisted_ids: those of them that exist but are not listed.
        order_refused_until: while it lasts, the server is not asked to order by ``updated_at``.
        trash_refused_until: while it lasts, the server is not asked for its trash.
        table_version: of the last FULL_TABLE read that began.
    """

    bookmark: str | None = None
    scope: Scope | None = None
    backfill: Backfill | None = None
    proven_total: int | None = None
    known_ids: IdSet | None = None
    unlisted_ids: IdSet | None = None
    order_refused_until: str | None = None
    trash_refused_until: str | None = None
    table_version: int | None = None

    @classmethod
    def parse(cls, stream: str, state: object) -> StreamState:
        """Read what an earlier run, or another tap on the SDK, left for the stream.

        Raises:
            StateError: it cannot be understood.
        """
        if not isinstance(state, dict):
            raise _malformed(stream, "it is not an object")
        unknown = sorted(str(key) for key in state.keys() - SDK_KEYS - {OUR_KEY})
        if unknown:
            raise _malformed(stream, f"its keys {', '.join(unknown)} are not of this tap")
        raw = state.get("replication_key_value")
        key = state.get("replication_key", REPLICATION_KEY)
        if raw is not None and key != REPLICATION_KEY:
            raise _malformed(stream, f"its replication_key is not {REPLICATION_KEY}")
        bookmark = canonical_timestamp(raw)
        if raw is not None and bookmark is None:
            raise _malformed(stream, "its replication_key_value is no timestamp")
        own = state.get(OUR_KEY)
        if own is None:
            return cls(bookmark)
        version = own.get("version") if isinstance(own, dict) else None
        if version != STATE_VERSION:
            told = "no version" if version is None else f"version {version}"
            raise _malformed(stream, f"its key {OUR_KEY} has {told}, and this tap writes {STATE_VERSION}")
        try:
            return cls._from_stored(bookmark, _stored(own))
        except (msgspec.ValidationError, ValueError) as error:
            raise _malformed(stream, f"its key {OUR_KEY} is damaged ({error})") from error

    @classmethod
    def _from_stored(cls, bookmark: str | None, stored: _Stored) -> StreamState:
        scope, held = stored.scope, stored.backfill
        # A FULL_TABLE read that was interrupted begins anew, so its position means nothing.
        backfill = None if held is None or held.table_version is not None else _from_stored_backfill(held)
        if scope is None and held is not None and backfill is not None:
            query, search_fields, search_match = (held.filters + [None] * 3)[:3]
            scope = Scope(None, query, search_fields, search_match, held.since)
        return cls(
            bookmark=bookmark,
            scope=scope,
            backfill=backfill,
            proven_total=stored.proven_total,
            known_ids=_unpacked(stored.known_ids),
            unlisted_ids=_unpacked(stored.unlisted_ids),
            order_refused_until=_moment(stored.order_refused),
            trash_refused_until=_moment(stored.trash_refused),
            table_version=stored.table_version,
        )

    def dump(self) -> dict[str, Any]:
        """Return the stream's part of the Singer state."""
        own: dict[str, Any] = {
            "version": STATE_VERSION,
            "scope": None if self.scope is None else asdict(self.scope),
            "backfill": None if self.backfill is None else _dumped_backfill(self.backfill),
            "proven_total": self.proven_total,
            "known_ids": None if self.known_ids is None else self.known_ids.to_text(),
            "unlisted_ids": None if self.unlisted_ids is None else self.unlisted_ids.to_text(),
            "order_refused": self.order_refused_until and {"until": self.order_refused_until},
            "trash_refused": self.trash_refused_until and {"until": self.trash_refused_until},
            "table_version": self.table_version,
        }
        result: dict[str, Any] = {}
        if self.bookmark is not None:
            result |= {"replication_key": REPLICATION_KEY, "replication_key_value": self.bookmark}
        result[OUR_KEY] = {name: value for name, value in own.items() if value is not None}
        return result


def _stored(own: dict[str, Any]) -> _Stored:
    """Check the keys below ours, strictly: what is not understood may be what keeps a contact from being lost."""
    for kind, held in (
        (_Stored, own),
        (Scope, own.get("scope")),
        (_StoredBackfill, own.get("backfill")),
    ):
        known = {each.name for each in fields(kind)}
        if isinstance(held, dict) and (unknown := sorted(map(str, held.keys() - known))):
            raise ValueError(f"unknown keys {', '.join(unknown)}")
    return msgspec.convert(own, _Stored)


def _from_stored_backfill(held: _StoredBackfill) -> Backfill:
    return Backfill(
        watermark=held.watermark,
        total=held.total,
        max_id=held.max_id,
        below_id=held.below_id,
        rows_below=held.rows_below,
        seen=IdSet.from_text(held.seen),
        count_fell=held.shrank,
        largest_total=held.largest_total,
        at_watermark=_unpacked(held.at_watermark) or IdSet(),
        scan_until=held.scan_until,
    )


def _dumped_backfill(position: Backfill) -> dict[str, Any]:
    held = _StoredBackfill(
        watermark=position.watermark,
        total=position.total,
        max_id=position.max_id,
        below_id=position.below_id,
        rows_below=position.rows_below,
        seen=position.seen.to_text(),
        shrank=position.count_fell,
        largest_total=position.largest_total,
        at_watermark=position.at_watermark.to_text() if position.at_watermark else None,
        scan_until=position.scan_until,
    )
    required = {"watermark", "total", "max_id", "below_id", "rows_below", "seen"}
    return {name: value for name, value in asdict(held).items() if value or name in required}


def _moment(refusal: _Refusal | None) -> str | None:
    moment = None if refusal is None else canonical_timestamp(refusal.until)
    if refusal is not None and moment is None:
        raise ValueError("until is no timestamp")
    return moment


def _unpacked(text: str | None) -> IdSet | None:
    return None if text is None else IdSet.from_text(text)


def is_still_refused(until: str | None, now: datetime, longest: timedelta) -> bool:
    """Whether what the server refused need not be asked for yet.

    A moment further ahead than any that is written is of a clock that was wrong, and does not count.
    """
    return until is not None and format_timestamp(now) < until <= format_timestamp(now + longest)


def check_account(stream: str, state: StreamState, account: str) -> None:
    """Refuse a state that was made of another account.

    Raises:
        StateError: it is one; nothing was read.
    """
    before = None if state.scope is None else state.scope.account
    if before is None or before == account:
        return
    raise StateError(
        f"state of stream {stream}: it is of {before}, and api_url is {account}; ids and moments of one account mean "
        "nothing in another. Read everything again (meltano run --full-refresh, or no --state), or use another state "
        f"for this account. If only the address of the same account changed, keep replication_key and "
        f"replication_key_value of bookmarks.{stream} and remove its key {OUR_KEY}"
    )


def bookmarks_of(state: object, streams: Iterable[str]) -> dict[str, Any]:
    """Return what a Singer state holds for each stream, after a look at that of some.

    Raises:
        StateError: it cannot be understood, so that reading on would silently read everything again.
    """
    if not isinstance(state, dict) or (state.keys() - {"currently_syncing"} and "bookmarks" not in state):
        raise StateError(
            "the state has no bookmarks; expected the value of a STATE message of this tap. "
            "Run without --state to read everything again"
        )
    bookmarks = {} if state.get("bookmarks") is None else state["bookmarks"]
    if not isinstance(bookmarks, dict):
        raise StateError(
            "the state's bookmarks are not an object; run without --state to read everything again"
        )
    for name in streams:
        StreamState.parse(name, bookmarks.get(name, {}))
    return bookmarks


def _malformed(stream: str, why: str) -> StateError:
    return StateError(
        f"state of stream {stream}: {why}. Use the version of the tap that wrote it, or remove the stream from "
        "the state (meltano run --full-refresh) to read everything again"
    )
