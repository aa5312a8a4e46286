"""What finding contacts costs in requests, and which way is the cheaper: pure decisions on counts."""

from __future__ import annotations

from typing import NamedTuple

FULL_REQUEST = 50
"""Keys to a request from which on looking up costs less than reading."""
CHUNKS_EXPECTED = 4


class Costs(NamedTuple):
    """What is known when it is decided whether to page through the CRM.

    Args:
        keys: still to be looked up.
        searched: requests that looked keys up so far in this run.
        per_request: keys that one request looks up.
        pages: of the CRM that are still to be read; None where its size is not known.
    """

    keys: int
    searched: int
    per_request: int
    pages: int | None

    @property
    def now(self) -> int:
        """Requests that look these keys up."""
        return -(-self.keys // self.per_request)


def is_paging_cheaper(costs: Costs) -> bool:
    """Whether to read the whole CRM once instead of looking keys up.

    Where each key costs a request, the CRM is read as soon as that would have paid. Else looking up costs no more
    than reading until there are more keys than contacts; a run that goes on and on is switched over at twice the
    price, because it may also end with the next record. Where a request takes some thirty keys, a full chunk is
    taken for one of several, so the CRM is read early.
    """
    if costs.pages is None:
        return False
    if 1 < costs.per_request < FULL_REQUEST:
        return costs.searched + CHUNKS_EXPECTED * costs.now > costs.pages
    allowed = costs.pages if costs.per_request == 1 else 2 * costs.pages
    return costs.now > costs.pages or costs.searched + costs.now > allowed


def is_size_worth_asking(costs: Costs) -> bool:
    """Whether to spend a request on the CRM's size, which is also its first page."""
    return costs.searched + costs.now > 1 + (costs.per_request == 1)
