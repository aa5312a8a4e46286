"""What finding contacts costs in requests, and which way is the cheaper: pure decisions on counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES_PER_SEARCH = 99
"""One more goes along that is known to be there."""
LONGEST_QUERY_BYTES = 6_000
"""Of one search's encoded text; common servers take a request line of 8 KB."""
CHUNKS_EXPECTED = 3


class Costs(NamedTuple):
    """What is known when it is decided whether to page through the CRM.

    Args:
        keys: still to be looked up.
        searched: searches so far in this run.
        takes_in: whether a search takes many values; None where that is not known yet.
        pages: of the CRM that are still to be read; None where its size is not known.
        most_values: that a search takes, or brings back.
    """

    keys: int
    searched: int
    takes_in: bool | None
    pages: int | None
    most_values: int = VALUES_PER_SEARCH


def searches_for(keys: int, *, takes_in: bool | None, most_values: int = VALUES_PER_SEARCH) -> int:
    """Return how many searches so many keys take."""
    return keys if takes_in is False else -(-keys // most_values)


def is_paging_cheaper(costs: Costs) -> bool:
    """Whether to read the whole CRM once instead of going on searching.

    Without ``in`` a search costs a request per key, so the CRM is read as soon as that would have paid. With it,
    searching costs no more than reading until there are more keys than contacts; a run that goes on and on is
    switched over at twice the price, because it may also end with the next record. A server that caps its answers
    makes searching dear, and there is likely more to come, so it is read early.
    """
    if costs.pages is None:
        return False
    now = searches_for(costs.keys, takes_in=costs.takes_in, most_values=costs.most_values)
    if costs.takes_in is not False and costs.most_values < VALUES_PER_SEARCH // 2:
        return costs.searched + CHUNKS_EXPECTED * now > costs.pages
    allowed = costs.pages if costs.takes_in is False else 2 * costs.pages
    return now > costs.pages or costs.searched + now > allowed


def is_size_worth_asking(costs: Costs) -> bool:
    """Whether to spend a request on the CRM's size, which is also its first page."""
    now = searches_for(costs.keys, takes_in=costs.takes_in, most_values=costs.most_values)
    return costs.searched + now > 1 + (costs.takes_in is False)


def batches(values: Sequence[str], *, most: int = VALUES_PER_SEARCH) -> list[list[str]]:
    """Split values into searches that fit a request line."""
    found: list[list[str]] = []
    size = 0
    for value in values:
        length = len(quote(value, safe="|:;,")) + 1
        if not found or size + length > LONGEST_QUERY_BYTES or len(found[-1]) >= most:
            found.append([])
            size = 0
        found[-1].append(value)
        size += length
    return found
