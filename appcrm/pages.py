"""What the bodies of answers mean: a page of a list, or one contact."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from appcrm.error_body import UNREADABLE
from appcrm.errors import MalformedBody

if TYPE_CHECKING:
    from appcrm.session import Response

Row = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """One page of a list. What the server did not say is None."""

    rows: list[Row]
    page: int
    per_page: int | None = None
    last_page: int | None = None
    total: int | None = None
    server_time: datetime | None = None


def read_contact(response: Response, operation: str, path: str, *, needs_id: bool) -> Row:
    """Read a body that holds one contact, bare or below ``data``; a write may answer without any.

    Raises:
        MalformedBody: not JSON, not an object, or without the id that is needed.
    """
    if not response.body.strip() and not needs_id:
        return {}
    try:
        content = msgspec.json.decode(response.body)
    except UNREADABLE as error:
        raise _malformed(response, operation, path) from error
    if isinstance(content, dict) and "id" not in content and isinstance(content.get("data"), dict):
        content = content["data"]
    if not isinstance(content, dict) or (needs_id and not _is_id(content.get("id"))):
        raise _malformed(response, operation, path)
    return content


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_Number = Annotated[int, msgspec.Meta(le=(1 << 63) - 1)]
"""A number that counts something: one of a thousand digits cannot even be counted with."""


class _Numbers(msgspec.Struct):
    """Where a paginator says where it stands: below ``meta``, or beside ``data``."""

    current_page: _Number | None = None
    per_page: _Number | None = None
    last_page: _Number | None = None
    total: _Number | None = None


ABSENT = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct):
    """A list's body: rows, with what the paginator says below ``meta`` or beside them."""

    data: list[Row]
    meta: msgspec.Raw = ABSENT
    current_page: msgspec.Raw = ABSENT
    per_page: msgspec.Raw = ABSENT
    last_page: msgspec.Raw = ABSENT
    total: msgspec.Raw = ABSENT


def read_page(response: Response, page: int, operation: str = "list") -> Page:
    """Read a list's body: ``data`` with ``meta``, flat, or a bare array.

    Raises:
        MalformedBody: not JSON, cut off, or without rows.
    """
    body = response.body
    try:
        if body.lstrip()[:1] == b"[":
            return Page(msgspec.json.decode(body, type=list[Row]), page, server_time=_server_time(response))
        content = msgspec.json.decode(body, type=_Envelope)
        numbers = _numbers(content)
    except UNREADABLE as error:
        raise _malformed(response, operation, "/contacts") from error
    return Page(
        rows=content.data,
        page=page,
        per_page=numbers.per_page,
        last_page=numbers.last_page,
        total=numbers.total,
        server_time=_server_time(response),
    )


def _numbers(content: _Envelope) -> _Numbers:
    if bytes(content.meta).strip().startswith(b"{"):
        return msgspec.json.decode(content.meta, type=_Numbers, strict=False)
    found = {
        name: msgspec.json.decode(getattr(content, name), type=_Number | None, strict=False)
        for name in _Numbers.__struct_fields__
    }
    return _Numbers(**found)


def _server_time(response: Response) -> datetime | None:
    text = response.headers.get("Date")
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
        # A zone of -0000 means UTC of a clock that is unsure of itself.
        return (
            moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
        )
    except (ValueError, OverflowError):
        return None


def _malformed(response: Response, operation: str, path: str) -> MalformedBody:
    kind = response.headers.get("Content-Type", "no type").partition(";")[0]
    size = len(response.body)
    return MalformedBody(
        f"status {response.status} with a body that is not the JSON expected ({kind}, {size} bytes)",
        operation=operation,
        path=path,
        status=response.status,
    )
