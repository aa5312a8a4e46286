"""E-mail addresses that pass between contacts: the CRM takes one only after its holder has let it go.

Only for records that are matched by other keys: where the address is a key, it says which contact is meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from target_appcrm.match.addresses import address_key
from target_appcrm.match.keys import EMAIL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_appcrm.match.keys import Contact


class Move(NamedTuple):
    """What one record wants to be its contact's address.

    Args:
        contact_id: None where it means none yet, or more than one.
        address: as it is compared; None where the record names none.
    """

    contact_id: int | None
    address: str | None


def are_swapped(moves: Iterable[Move], known: Mapping[int, Contact]) -> bool:
    """Whether any record wants an address that another known contact holds."""
    holders = _holders(known)
    return any(holders.get(move.address, move.contact_id) != move.contact_id for move in moves)


def next_of(moves: Sequence[Move], known: Mapping[int, Contact]) -> tuple[int, bool]:
    """Return which of the waiting records to apply next, and whether its contact must first be without an address.

    A record waits for a later one that makes its address free. Records of one contact keep their order. Where all
    wait for one another, the first one's contact lets its address go.
    """
    holders = _holders(known)
    leaving = {
        move.contact_id
        for move in moves
        if move.contact_id is not None
        and move.address not in (None, address_key(known[move.contact_id].get(EMAIL)))
    }
    held_back: set[int | None] = set()
    for position, move in enumerate(moves):
        if move.contact_id in held_back:
            continue
        holder = holders.get(move.address, move.contact_id)
        if holder == move.contact_id or holder not in leaving:
            return position, False
        held_back.add(move.contact_id)
    first = moves[0].contact_id
    own = None if first is None else address_key(known[first].get(EMAIL))
    return 0, own is not None and any(move.address == own for move in moves)


def _holders(known: Mapping[int, Contact]) -> dict[str | None, int]:
    return {
        address: contact["id"]
        for contact in known.values()
        if (address := address_key(contact.get(EMAIL))) is not None
    }
