"""By which way many contacts are found, chosen from what the CRM can do: pure decisions on plain data."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from appcrm.abilities import Ability
from target_appcrm.match.keys import ID, PHONE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from appcrm.abilities import Abilities

VALUES_PER_SEARCH = 99
"""One more goes along that is known to be there."""
VALUES_PER_FILTER = 32
"""As many rules as fit a request line of 8 KB, beside one that is known to be there and one that is known not to be."""
LONGEST_QUERY_BYTES = 6_000
"""Of one search's encoded text; common servers take a request line of 8 KB."""
LONGEST_FILTERS_BYTES = 7_500
"""Of one list's encoded filters; path and other parameters come on top, and 8 KB are all that a server takes."""
NOBODY = "nobody-has-this@filter.invalid"
"""A value that no contact has: a filter for it has to find nothing."""


class Way(Enum):
    """How the values of one field are looked up."""

    IN = "a search for many values"
    FILTERS = "a list with one filter for each value"
    SINGLE = "a search for each value"


VALUES_PER_REQUEST = {Way.IN: VALUES_PER_SEARCH, Way.FILTERS: VALUES_PER_FILTER, Way.SINGLE: 1}


def way_for(abilities: Abilities, field: str, disproven: Collection[Way]) -> Way:
    """Return the way that finds the most values of a field in a request, among those that may work.

    Args:
        abilities: what the CRM can do, as far as it is known.
        field: a key.
        disproven: ways that an answer has shown not to work for this field.
    """
    may = {
        Way.IN: abilities.may(Ability.SEARCH_ID_IN if field == ID else Ability.SEARCH_IN),
        # No rule knows ids, nor phones.
        Way.FILTERS: False if field in (ID, PHONE) else abilities.may(Ability.FILTERS_OR),
    }
    return next((way for way, can in may.items() if can is not False and way not in disproven), Way.SINGLE)


def is_searchable(field: str, text: str) -> bool:
    """Whether the search can carry a value: it reads a colon as its own grammar (field:value)."""
    return field == ID or ":" not in text


def fits(way: Way, field: str, text: str) -> bool:
    """Whether a way can carry a value beside others."""
    if way is Way.IN:
        return "," not in text and is_searchable(field, text)
    return way is Way.FILTERS or is_searchable(field, text)


def filter_query(field: str, values: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a list whose rows have one of the values in a field."""
    query = {"filters[condition]": "or"}
    for number, value in enumerate(values):
        rule = f"filters[children][{number}]"
        query |= {
            f"{rule}[type]": "rule",
            f"{rule}[query][rule]": field,
            f"{rule}[query][operator]": "equal",
            f"{rule}[query][value]": value,
        }
    return query


def batches(way: Way, field: str, values: Sequence[str]) -> list[list[str]]:
    """Split values into requests that fit a request line."""
    most_bytes = LONGEST_FILTERS_BYTES if way is Way.FILTERS else LONGEST_QUERY_BYTES
    found: list[list[str]] = []
    size = 0
    for value in values:
        length = _length(way, field, value)
        if not found or size + length > most_bytes or len(found[-1]) >= VALUES_PER_REQUEST[way]:
            found.append([])
            size = 2 * _length(way, field, NOBODY)
        found[-1].append(value)
        size += length
    return found


def _length(way: Way, field: str, value: str) -> int:
    if way is not Way.FILTERS:
        return len(quote(value, safe="|:;,")) + 1
    # The number of a rule has two digits at most.
    return len(urlencode(filter_query(field, [value]))) - len(urlencode({"filters[condition]": "or"})) + 4
