"""What a run leaves for the next one: the bookmark that Singer tools know, and this tap's own keys beside it.

    {"replication_key": "updated_at", "replication_key_value": "2026-01-23T04:58:56.000000Z",
     "appcrm": {"version": 1, "backfill": {…}, "known_ids": "…", …}}

docs/reading.md describes every key. A shape that is not understood is an error, never a silent full read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from appcrm.contact import canonical_timestamp
from appcrm.errors import AppcrmError
from tap_appcrm.replication.id_set import IdSet

if TYPE_CHECKING:
    from collections.abc import Iterable

STATE_VERSION = 1
REPLICATION_KEY = "updated_at"
OUR_KEY = "appcrm"
SDK_KEYS = frozenset(
    {"replication_key", "replication_key_value", "replication_key_signpost"}
    | {"starting_replication_value", "progress_markers"}
)
"""What any tap on the SDK leaves for a stream."""


class StateError(AppcrmError):
    """A state that cannot be read: the message says what to do with it."""


class Backfill(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Where a read by id stands: all that was there at or above ``below_id`` has been emitted.

    Args:
        watermark: newest ``updated_at`` before the first page; changes since are read afterwards.
        total: contacts when the first page by id was read.
        max_id: newest id then.
        below_id: contacts with lower ids are still to be read.
        rows_below: how many those were when it was written.
        seen: the ids read so far, packed.
        since: the ``start_date`` it was begun with.
        filters: the query, search fields and search match it was begun with.
        table_version: of a FULL_TABLE read.
        shrank: whether the server's count went down on the way, or the pages by id showed another number of
            contacts than it, so that pages may have shifted.
        largest_total: the largest count that the server told on the way.
        at_watermark: of those read so far, the ids whose version of the watermark's second was emitted, packed.
        scan_until: only where the order by ``updated_at`` is refused: what the bookmark may not pass.
    """

    watermark: str | None
    total: int | None
    max_id: int
    below_id: int
    rows_below: int
    seen: str
    since: str | None = None
    filters: list[str | None] = []
    table_version: int | None = None
    shrank: bool = False
    largest_total: int | None = None
    at_watermark: str | None = None
    scan_until: str | None = None

    def already_there(self, ids: IdSet) -> int:
        """Count the ids that may have been there when the read began."""
        return ids.count_below(self.max_id + 1)

    def with_version(self, table_version: int | None) -> Backfill:
        """Return the same position for another stream's FULL_TABLE read."""
        return msgspec.structs.replace(self, table_version=table_version)

    def is_at(self, other: Backfill) -> bool:
        """Whether another stream's read by id stands at the same place."""
        return msgspec.structs.replace(self, table_version=None) == msgspec.structs.replace(
            other, table_version=None
        )


class OrderRefused(msgspec.Struct, forbid_unknown_fields=True):
    """That the server refused ``order=updated_at``, and until when it is not asked again."""

    until: str


class OwnState(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The keys below ``appcrm``.

    Args:
        version: of this shape.
        backfill: an unfinished read by id.
        known_ids: contacts that were emitted and not reported as deleted, packed; only with ``detect_deletes``.
        unlisted_ids: those of them that exist but are not listed, packed.
        order_refused: that the server does not order by ``updated_at``.
        table_version: of the last FULL_TABLE read.
    """

    version: int
    backfill: Backfill | None = None
    known_ids: str | None = None
    unlisted_ids: str | None = None
    order_refused: OrderRefused | None = None
    table_version: int | None = None


class StreamState:
    """One stream's state, read from and written to the Singer state."""

    def __init__(self, bookmark: str | None = None, own: OwnState | None = None) -> None:
        own = own or OwnState(STATE_VERSION)
        self.bookmark = bookmark
        self.backfill = own.backfill
        self.order_refused = own.order_refused
        self.table_version = own.table_version
        self.seen = IdSet() if own.backfill is None else IdSet.from_text(own.backfill.seen)
        """Contacts that an interrupted read by id has emitted."""
        packed = None if own.backfill is None else own.backfill.at_watermark
        self.at_watermark = IdSet() if packed is None else IdSet.from_text(packed)
        """Those of them whose version of the watermark's second it has emitted."""
        self.known_ids = None if own.known_ids is None else IdSet.from_text(own.known_ids)
        self.unlisted_ids = None if own.unlisted_ids is None else IdSet.from_text(own.unlisted_ids)

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
            return cls(bookmark, msgspec.convert(own, OwnState))
        except (msgspec.ValidationError, ValueError) as error:
            raise _malformed(stream, f"its key {OUR_KEY} is damaged ({error})") from error

    def dump(self) -> dict[str, Any]:
        """Return the stream's part of the Singer state."""
        own = OwnState(
            STATE_VERSION,
            backfill=self.backfill,
            known_ids=None if self.known_ids is None else self.known_ids.to_text(),
            unlisted_ids=None if self.unlisted_ids is None else self.unlisted_ids.to_text(),
            order_refused=self.order_refused,
            table_version=self.table_version,
        )
        result: dict[str, Any] = {}
        if self.bookmark is not None:
            result |= {"replication_key": REPLICATION_KEY, "replication_key_value": self.bookmark}
        result[OUR_KEY] = msgspec.to_builtins(own)
        return result


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
