"""The versions of AppCRM that the sandbox can be, each as plain data: every difference is a named field."""

from __future__ import annotations

import dataclasses
from typing import Literal

# The search fields that take the operator `in`.
InFields = Literal["none", "texts_and_numbers", "id"]
# What becomes of a search field whose operator is none.
UnknownOperator = Literal["default_operator", "field_dropped"]


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """What one version of AppCRM does otherwise than another; what all do alike is not here."""

    name: str
    # Reading
    search_in: InFields
    unknown_operator: UnknownOperator
    has_field_lists: bool
    has_filters: bool
    filters_need_condition: bool
    # False: several rules on one field joined by `or` all become the last one.
    filters_or_keeps_every_rule: bool
    # Writing
    update_needs_first_name: bool


VERSIONS: dict[str, Version] = {
    version.name: version
    for version in (
        Version(
            name="1.1",
            search_in="none",
            unknown_operator="default_operator",
            has_field_lists=False,
            has_filters=False,
            filters_need_condition=False,
            filters_or_keeps_every_rule=False,
            update_needs_first_name=True,
        ),
        Version(
            name="1.5",
            search_in="texts_and_numbers",
            unknown_operator="default_operator",
            has_field_lists=True,
            has_filters=True,
            filters_need_condition=False,
            filters_or_keeps_every_rule=False,
            update_needs_first_name=False,
        ),
        Version(
            name="1.6",
            search_in="texts_and_numbers",
            unknown_operator="default_operator",
            has_field_lists=True,
            has_filters=True,
            filters_need_condition=False,
            filters_or_keeps_every_rule=True,
            update_needs_first_name=False,
        ),
        Version(
            name="1.7",
            search_in="id",
            unknown_operator="field_dropped",
            has_field_lists=True,
            has_filters=True,
            filters_need_condition=True,
            filters_or_keeps_every_rule=True,
            update_needs_first_name=False,
        ),
    )
}
NEWEST = "1.7"
