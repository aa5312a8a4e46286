"""Which records of a chunk must wait for one another: those that may mean the same contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from target_appcrm.match.addresses import address_key
from target_appcrm.match.keys import EMAIL, ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_appcrm.match.lookup_result import Found
    from target_appcrm.read.change import Change
    from target_appcrm.read.stream_schema import StreamSchema


class Item(msgspec.Struct):
    """One record on its way.

    Args:
        number: from 1, in the order in which records came in.
        stream: as its SCHEMA described it.
        record: as it came in, for the rejects file.
        change: what it wants; None where it was refused before.
        key: for receipts and messages.
        version: of a table, where the tap sends one.
    """

    number: int
    stream: StreamSchema
    record: Mapping[str, Any]
    change: Change | None
    key: dict[str, Any]
    version: int | None = None


def chains_of(chunk: list[Item], found: Found) -> list[list[Item]]:
    """Group records that may mean the same contact, in the order in which they came."""
    parents: dict[object, object] = {}

    def root(node: object) -> object:
        while parents.setdefault(node, node) != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for item in chunk:
        nodes: list[object] = []
        if item.change is not None:
            nodes += [key.bucket for key in item.change.keys]
            # A contact is one, whether its id or any other key names it.
            held = found.of(item.change.keys)
            nodes += [(ID, str(contact_id)) for contact_id in held]
            # An address can pass from one contact to another, and is free only once the first has let it go.
            addresses = (row.get(EMAIL) for row in (item.change.fields, *held.values()))
            nodes += [(EMAIL, address) for address in map(address_key, addresses) if address]
        for node in nodes:
            parents[root(node)] = root(("item", item.number))
    chains: dict[object, list[Item]] = {}
    for item in chunk:
        chains.setdefault(root(("item", item.number)), []).append(item)
    return list(chains.values())
