"""`q`, `search_fields` and `search_match`: read, judged and turned into SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm_sandbox.errors import ApiError
from appcrm_sandbox.schema import CONTACTS, DATE_KINDS, CustomField, Resource, table_columns

if TYPE_CHECKING:
    from appcrm_sandbox.settings import Settings

Condition = tuple[str, list[Any]]
OPERATORS = ("=", "like", "in")


def searchable_columns(resource: Resource, fields: dict[str, CustomField]) -> dict[str, str]:
    """Search field → SQL expression; dates cannot be searched."""
    kinds = {"id": "integer", **table_columns(resource)}
    found = {name: f"{resource.name}.{name}" for name, kind in kinds.items() if kind not in DATE_KINDS}
    if resource is CONTACTS:
        found |= {name: f"contacts.{name}" for name, field in fields.items() if field.kind not in DATE_KINDS}
        found["full_name"] = "trim(contacts.first_name || ' ' || coalesce(contacts.last_name, ''))"
        found["phones.number"] = "phones.number"
        found["tags.name"] = "tags.name"
    return found


def parse_search_fields(text: str) -> list[tuple[str, str]]:
    """`email:like;phones.number:=` as (field, operator); the operator is `=` where none is given."""
    pairs = []
    for part in text.split(";"):
        field, _, operator = part.strip().partition(":")
        if field:
            pairs.append((field, operator.strip().lower() or "="))
    return pairs


def condition(
    resource: Resource,
    fields: dict[str, CustomField],
    settings: Settings,
    query: dict[str, str],
) -> Condition | None:
    """The SQL condition that `q` asks for; None when nothing is asked. ApiError on a field it refuses."""
    # Laravel trims what comes in, so blanks alone ask for nothing.
    needle = query.get("q", "").strip()
    if not needle:
        return None
    asked = parse_search_fields(query.get("search_fields", "")) or list(resource.searched.items())
    columns = searchable_columns(resource, fields)
    pieces = []
    parameters: list[Any] = []
    for field, operator in asked:
        if field not in columns:
            raise _refused(field, settings)
        piece, values = _compare(columns[field], operator, needle, settings)
        pieces.append(_within(field, resource, piece))
        parameters += values
    joint = " AND " if query.get("search_match", "").lower() == "and" else " OR "
    return "(" + joint.join(pieces) + ")", parameters


def _refused(field: str, settings: Settings) -> ApiError:
    if settings.unknown_search_field == 500:
        return ApiError(500, {"message": f"SQLSTATE[42S22]: Column not found: 1054 Unknown column '{field}'"})
    return ApiError(403, {"error": f"Os campos de pesquisa não são permitidos: {field}"})


def _compare(column: str, operator: str, needle: str, settings: Settings) -> Condition:
    if settings.search_minds_case:
        column = f"{column} COLLATE BINARY"
    if operator == "in":
        if settings.search_in == "refused":
            raise ApiError(
                500, {"message": "SQLSTATE[42000]: Syntax error or access violation: 1064 near 'in'"}
            )
        if settings.search_in == "supported":
            values = [value.strip() for value in needle.split(",") if value.strip()]
            return f"{column} IN ({','.join('?' * len(values))})", list(values)
        operator = "="
    if operator == "like" and settings.search_minds_case:
        # SQLite's LIKE does not, whatever the collation.
        return f"instr({column}, ?) > 0", [needle]
    if operator == "like":
        return f"{column} LIKE ?", [f"%{needle}%"]
    if operator == "=":
        return f"{column} = ?", [needle]
    raise ApiError(500, {"message": f"SQLSTATE[42000]: Illegal operator: {operator}"})


_NESTED = {
    "phones.number": "contacts.id IN (SELECT contact_id FROM phones WHERE {piece})",
    "tags.name": (
        "contacts.id IN (SELECT contact_id FROM contact_tags JOIN tags ON tags.id = tag_id WHERE {piece})"
    ),
}


def _within(field: str, resource: Resource, piece: str) -> str:
    template = _NESTED.get(field) if resource is CONTACTS else None
    return template.replace("{piece}", piece) if template else piece
