"""What this CRM can do, as plain data: by its version, and by what its answers showed.

Sources: the facts that ``docs/reading.md`` and ``docs/writing.md`` name by version. Who chooses a way (by search,
by list, by filter, by reading all) is a pure function of this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Version = tuple[int, int]

NEWEST_KNOWN: Version = (1, 7)
"""A newer version is taken to do what this one does, until an answer shows otherwise."""
_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:[.\-+].*)?", re.ASCII | re.DOTALL)


class Ability(Enum):
    """Something that not every version of the CRM can do."""

    SEARCH_IN = "in for texts"
    """``search_fields=email:in`` with values between commas."""
    SEARCH_ID_IN = "in for ids"
    FILTERS = "filters"
    """``filters[…]`` on a list; rules that it does not know are ignored, so each is proven first."""
    FILTERS_OR = "filters with or"
    """Several rules on one field with ``condition=or``."""
    LIST_WITH = "with on lists"
    """``with=companies;deals`` on a list."""
    ORDER_BY_SEVERAL = "order by several fields"
    TRASH = "trash"
    FIELDS_LIST = "fields list"
    UPDATE_WITHOUT_FIRST_NAME = "update without first_name"


YES_SINCE_1_5 = {(1, 5): True, (1, 6): True, (1, 7): True}

BY_VERSION: Mapping[Ability, Mapping[Version, bool]] = MappingProxyType(
    {
        Ability.SEARCH_IN: {(1, 1): False, (1, 5): True, (1, 6): True, (1, 7): False},
        Ability.SEARCH_ID_IN: {(1, 1): False, (1, 5): False, (1, 6): False, (1, 7): True},
        Ability.FILTERS: {(1, 1): False, **YES_SINCE_1_5},
        Ability.FILTERS_OR: {(1, 1): False, (1, 5): False, (1, 6): True, (1, 7): True},
        Ability.LIST_WITH: YES_SINCE_1_5,
        Ability.ORDER_BY_SEVERAL: YES_SINCE_1_5,
        Ability.TRASH: YES_SINCE_1_5,
        Ability.FIELDS_LIST: YES_SINCE_1_5,
        Ability.UPDATE_WITHOUT_FIRST_NAME: YES_SINCE_1_5,
    }
)
"""What each version that is known does; where one is missing, only an answer can tell."""


def read_version(text: str | None) -> Version | None:
    """Read ``1.7.2`` or ``v1.6`` as major and minor; None where it says neither."""
    found = None if text is None else _VERSION.fullmatch(text.strip())
    return None if found is None else (int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Abilities:
    """What is known of a CRM so far.

    Args:
        app_version: as ``X-App-Version`` of any answer said it; None where none did.
        seen: what answers showed, which counts before what the version promises.
    """

    app_version: str | None = None
    seen: Mapping[Ability, bool] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def version(self) -> Version | None:
        """Major and minor version."""
        return read_version(self.app_version)

    def may(self, ability: Ability) -> bool | None:
        """Return whether the CRM can do something; None: it must be tried."""
        if ability in self.seen:
            return self.seen[ability]
        if self.version is None:
            return None
        return BY_VERSION[ability].get(min(self.version, NEWEST_KNOWN))

    def with_seen(self, ability: Ability, *, works: bool) -> Abilities:
        """Return what is known once an answer has shown whether something works."""
        return replace(self, seen=MappingProxyType({**self.seen, ability: works}))
