"""What is sent back: JSON, and the envelopes that a page of rows comes in."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appcrm_sandbox.listing import Page
    from appcrm_sandbox.render import Shown
    from appcrm_sandbox.values import Json


@dataclasses.dataclass(slots=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def json(cls, status: int, payload: Json, headers: dict[str, str] | None = None) -> Reply:
        """A reply that carries JSON."""
        return cls(
            status, msgspec.json.encode(payload), {"Content-Type": "application/json", **(headers or {})}
        )


def paged(page: Page, shown: Sequence[Shown | None], envelope: str, path: str) -> Reply:
    """One page of rows in the envelope that this CRM uses; `path` is the address without its query."""
    if envelope == "bare":
        return Reply.json(200, shown)
    if envelope == "unpaged":
        return Reply.json(200, {"data": shown})
    last = max(1, -(-page.total // page.per_page))
    first_row = (page.page - 1) * page.per_page + 1 if shown else None

    def link(number: int) -> str:
        # Laravel's own links know nothing of the query that was asked.
        return f"{path}?page={number}"

    links = {
        "first": link(1),
        "last": link(last),
        "prev": link(page.page - 1) if page.page > 1 else None,
        "next": link(page.page + 1) if page.page < last else None,
    }
    meta = {
        "current_page": page.page,
        "from": first_row,
        "last_page": last,
        "path": path,
        "per_page": page.per_page,
        "to": first_row + len(shown) - 1 if first_row else None,
        "total": page.total,
    }
    if envelope == "flat":
        urls = {f"{name}_page_url": url for name, url in links.items()}
        return Reply.json(200, {"data": shown, **meta, **urls})
    return Reply.json(200, {"data": shown, "links": links, "meta": meta})
