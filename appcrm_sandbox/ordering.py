"""`order`: which columns sort a list, and which way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from appcrm_sandbox.errors import ApiError, invalid, server_error
from appcrm_sandbox.render import COUNTED, COUNTS
from appcrm_sandbox.schema import CONTACTS, Resource, stored_columns

if TYPE_CHECKING:
    from appcrm_sandbox.custom_fields import CustomField
    from appcrm_sandbox.query import Query, Tree
    from appcrm_sandbox.settings import Settings

_DIRECTIONS = {"asc": False, "desc": True}


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """One column, or SQL expression, that sorts."""

    column: str
    descending: bool = False
    # A stored column, by which a page can be sought from a neighbour of its first row.
    stored: bool = True


def orders_of(
    resource: Resource, fields: dict[str, CustomField], settings: Settings, query: Query
) -> list[Order]:
    """The orders that are asked for, else the resource's own; ApiError 500 on what there is not."""
    asked = [_checked(field, direction) for field, direction in _asked(query)]
    if any(name == "updated_at" for name, _descending in asked):
        _check_updated_at(settings)
    known = stored_columns(resource, fields)
    orders = []
    for name, descending in asked or [(resource.default_order, False)]:
        if name in known:
            orders.append(Order(name, descending))
        elif resource is CONTACTS and name in COUNTS:
            orders.append(Order(_count_of(name), descending, stored=False))
        else:
            raise server_error(f"Unknown column '{name}' in 'order clause'")
    return orders


def _asked(query: Query) -> list[tuple[str, str]]:
    """(field, direction) of `order=field|direction`, `order[field]=…` or `order[0][field]=…`."""
    tree = query.trees.get("order")
    if tree is None:
        field, _, direction = query.text("order").partition("|")
        return [(field, direction)] if field.strip() else []
    entries: list[Tree] = [tree] if "field" in tree else list(tree.values())
    return [
        (str(entry.get("field", "")), str(entry.get("direction", "")))
        if isinstance(entry, dict)
        else (entry.partition("|")[0], entry.partition("|")[2])
        for entry in entries
    ]


def _checked(field: str, direction: str) -> tuple[str, bool]:
    wanted = direction.strip().lower() or "asc"
    if wanted not in _DIRECTIONS:
        raise server_error('Order direction must be "asc" or "desc".')
    return field.strip(), _DIRECTIONS[wanted]


def _check_updated_at(settings: Settings) -> None:
    if settings.order_updated_at == "failing":
        raise ApiError(500, {"message": "Server Error"})
    if settings.order_updated_at == "refused":
        raise invalid({"order": ["Não é possível ordenar por updated_at."]})


def _count_of(name: str) -> str:
    counted = COUNTS[name]
    if counted is None:
        # A bare 0 would be the number of a column.
        return "(SELECT 0)"
    return f"(SELECT count(*) {COUNTED.format(counted)} AND contact_id = contacts.id)"
