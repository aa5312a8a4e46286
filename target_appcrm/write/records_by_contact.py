"""Which records of a chunk must wait for one another: those that may mean the same contact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_appcrm.match.addresses import address_key
from target_appcrm.match.keys import EMAIL, ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_appcrm.match.lookup_result import Found
    from target_appcrm.read.change import Change
    from target_appcrm.read.stream_schema import StreamSchema
    from target_appcrm.report.open_rejects import OpenReject


@dataclass
class Arrived:
    """One record as it came in.

    Args:
        number: from 1, in the order in which records came in.
        stream: as its SCHEMA described it.
        record: as it came in, for the rejects file.
        key: for receipts and messages.
        retried: what it is among the open rejects, where it comes from there.
    """

    number: int
    stream: StreamSchema
    record: Mapping[str, Any]
    key: dict[str, Any]
    retried: OpenReject | None = None

    @property
    def rejected_at(self) -> str | None:
        """When it was first refused, where it was refused before."""
        return None if self.retried is None else self.retried.rejected_at


@dataclass(kw_only=True)
class Item(Arrived):
    """One record on its way.

    Args:
        change: what it wants.
        is_kept_only: whether it was filtered out, so that it only says that the source has its contact.
        is_last_try: whether it waited for the end already, for an address to become free.
    """

    change: Change
    is_kept_only: bool = False
    is_last_try: bool = False


def records_by_contact(chunk: list[Item], found: Found) -> list[list[Item]]:
    """Group records that may mean the same contact, in the order in which they came."""
    parents: dict[object, object] = {}

    def root(node: object) -> object:
        while parents.setdefault(node, node) != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for item in chunk:
        nodes: list[object] = [key.bucket for key in item.change.keys]
        # A contact is one, whether its id or any other key names it.
        held = found.of(item.change.keys)
        nodes += [(ID, str(contact_id)) for contact_id in held]
        # An address can pass from one contact to another, and is free only once the first has let it go.
        addresses = (row.get(EMAIL) for row in (item.change.fields, *held.values()))
        nodes += [(EMAIL, address) for address in map(address_key, addresses) if address]
        for node in nodes:
            parents[root(node)] = root(("item", item.number))
    groups: dict[object, list[Item]] = {}
    for item in chunk:
        groups.setdefault(root(("item", item.number)), []).append(item)
    return list(groups.values())
