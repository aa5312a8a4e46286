"""`filters[…]`: the screen's own grammar of rules, read and turned into SQL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.clock import parse_moment, stamp
from appcrm_sandbox.errors import server_error
from appcrm_sandbox.folding import equal
from appcrm_sandbox.schema import CONTACTS, NOTES, STAMPS, Resource

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from appcrm_sandbox.custom_fields import CustomField
    from appcrm_sandbox.query import Query, Tree
    from appcrm_sandbox.search import Condition
    from appcrm_sandbox.settings import Settings

# Kind of a rule → the kind of value that it is compared with.
KINDS = {
    "text": "text",
    "textarea": "text",
    "email": "text",
    "url": "text",
    "integer": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "date-time": "moment",
    "select": "choice",
    "source": "choice",
    "multi-select": "choices",
    "tags": "choices",
}
_COMPARISONS = {
    "equal": "=",
    "not_equal": "!=",
    "less": "<",
    "less_or_equal": "<=",
    "greater": ">",
    "greater_or_equal": ">=",
}
_PATTERNS = {"begins_with": "{}%", "contains": "%{}%", "ends_with": "%{}"}
_MANY = {"in": "IN", "not_in": "NOT IN"}
_EMPTY = {
    "is_empty": "IS NULL",
    "is_null": "IS NULL",
    "is_not_empty": "IS NOT NULL",
    "is_not_null": "IS NOT NULL",
}
_ORDERED = ("between", *_COMPARISONS, *_EMPTY)
_EQUAL = ("equal", "not_equal")
OPERATORS: dict[str, tuple[str, ...]] = {
    "text": (*_EQUAL, *_PATTERNS, *_EMPTY),
    "number": _ORDERED,
    "boolean": _EQUAL,
    "date": _ORDERED,
    "moment": _ORDERED,
    "choice": (*_EQUAL, *_MANY, *_EMPTY),
    "choices": (*_MANY, *_EMPTY),
}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TAG_IDS = "SELECT tag_id AS value FROM contact_tags WHERE contact_id = contacts.id"


def rules_of(resource: Resource, fields: dict[str, CustomField]) -> dict[str, str]:
    """The rules that `filters` knows, with the kind of each; `id` is none of them."""
    rules = dict(STAMPS)
    if resource is CONTACTS:
        rules |= {"email": "email", "tags": "tags", "source_id": "source"}
        rules |= {name: field.kind for name, field in fields.items()}
    return rules


def filter_condition(
    resource: Resource,
    fields: dict[str, CustomField],
    settings: Settings,
    query: Query,
    zone: dt.timezone,
) -> Condition | None:
    """The SQL condition of the rules that are known; None when none is, as if nothing had been asked.

    ApiError 500 without `condition` where the version asks for it, and on a value that cannot be read.
    """
    tree = query.trees.get("filters")
    # Notes have none.
    if not tree or not settings.version.has_filters or resource is NOTES:
        return None
    wanted = tree.get("condition")
    if wanted not in {"and", "or"} and settings.version.filters_need_condition:
        raise server_error('Undefined array key "condition"')
    rules = _known_rules(tree, rules_of(resource, fields))
    if wanted == "or" and not settings.version.filters_or_keeps_every_rule:
        last = {rule: (rule, operator, value) for rule, operator, value in rules}
        rules = [last[rule] for rule, _operator, _value in rules]
    kinds = rules_of(resource, fields)
    pieces, parameters = [], []
    for rule, operator, value in rules:
        piece, values = _compare(resource, rule, kinds[rule], operator, value, zone)
        pieces.append(piece)
        parameters += values
    if not pieces:
        return None
    return "(" + (" OR " if wanted == "or" else " AND ").join(pieces) + ")", parameters


def _known_rules(tree: Tree, kinds: dict[str, str]) -> list[tuple[str, str, Tree]]:
    """(rule, operator, value) of every child that is a rule there is; the others are passed over silently."""
    children = tree.get("children")
    rules = []
    for child in children.values() if isinstance(children, dict) else ():
        query = child.get("query") if isinstance(child, dict) and child.get("type") == "rule" else None
        if not isinstance(query, dict):
            continue
        rule, operator = query.get("rule"), query.get("operator")
        if isinstance(rule, str) and rule in kinds and operator in OPERATORS[KINDS[kinds[rule]]]:
            rules.append((rule, str(operator), query.get("value")))
    return rules


def _compare(
    resource: Resource, rule: str, kind: str, operator: str, value: Tree, zone: dt.timezone
) -> Condition:
    column = f"{resource.name}.{rule}"
    if KINDS[kind] == "choices":
        return _compare_choices(column, kind, operator, value)
    if operator in _EMPTY:
        return f"{column} {_EMPTY[operator]}", []
    if operator in _PATTERNS:
        return f"{column} LIKE ?", [_PATTERNS[operator].format(_text(value))]
    read = _READERS[KINDS[kind]]
    if operator in _MANY:
        values = [read(item, zone) for item in _items(value)]
        return f"{column} {_MANY[operator]} ({','.join('?' * len(values))})", values
    if operator == "between":
        bounds = [read(item, zone) for item in _items(value)]
        if len(bounds) != 2:
            raise server_error("between takes two values")
        return f"{column} BETWEEN ? AND ?", bounds
    wanted = read(value, zone)
    return (
        equal(column, wanted) if operator == "equal" else (f"{column} {_COMPARISONS[operator]} ?", [wanted])
    )


def _compare_choices(column: str, kind: str, operator: str, value: Tree) -> Condition:
    chosen = _TAG_IDS if kind == "tags" else f"SELECT value FROM json_each({column})"
    if operator in _EMPTY:
        return f"{'' if 'not' in operator else 'NOT '}EXISTS ({chosen})", []
    ids = [_number(item) for item in _items(value)]
    marks = ",".join("?" * len(ids))
    found = f"EXISTS (SELECT 1 FROM ({chosen}) AS chosen WHERE chosen.value IN ({marks}))"
    return found if operator == "in" else f"NOT {found}", ids


def _items(value: Tree) -> list[Tree]:
    return list(value.values()) if isinstance(value, dict) else [value]


def _text(value: Tree) -> str:
    if not isinstance(value, str):
        raise server_error("a filter's value is no text")
    return value.strip()


def _number(value: Tree) -> float:
    try:
        return float(_text(value))
    except ValueError:
        raise server_error("a filter's value is no number") from None


def _boolean(value: Tree) -> int:
    return int(_text(value).lower() in {"1", "true"})


def _moment(value: Tree, zone: dt.timezone) -> str:
    """A moment as rows hold it; what names no zone is in the user's own."""
    text = _text(value)
    try:
        moment = parse_moment(text)
    except ValueError:
        raise server_error("a filter's value is no moment") from None
    if not re.search(r"(Z|[+-][0-9]{2}:?[0-9]{2})$", text[10:]):
        moment = moment.replace(tzinfo=zone)
    return stamp(moment)


def _date(value: Tree) -> str:
    text = _text(value)
    if not _DAY.match(text):
        raise server_error("a filter's value is no date")
    return f"{text[:10]}T00:00:00.000000Z"


_READERS: dict[str, Callable[[Tree, dt.timezone], Any]] = {
    "text": lambda value, _zone: _text(value),
    "number": lambda value, _zone: _number(value),
    "boolean": lambda value, _zone: _boolean(value),
    "date": lambda value, _zone: _date(value),
    "moment": _moment,
    "choice": lambda value, _zone: _number(value),
}
