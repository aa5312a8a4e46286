"""`q`, `search_fields` and `search_match`: read, judged and turned into SQL."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.custom_fields import DATE_KINDS, CustomField
from appcrm_sandbox.errors import ApiError, server_error
from appcrm_sandbox.folding import equal, fold
from appcrm_sandbox.schema import CONTACTS, Resource, table_columns

if TYPE_CHECKING:
    from appcrm_sandbox.query import Query
    from appcrm_sandbox.settings import Settings

Condition = tuple[str, list[Any]]
_TEXT_KINDS = frozenset({"text", "textarea", "email", "url"})
# Search fields that lie in another table, by resource column: `source.name` of a contact.
_NAMED = {"user": "users", "source": "sources", "country": "countries", "stage": "stages"}
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class SearchField:
    """Something that may be searched: its SQL expression, its kind, and where the expression holds."""

    expression: str
    is_text: bool
    within: str = "{piece}"

    @property
    def default_operator(self) -> str:
        """The operator where none is given, or none that there is."""
        return "like" if self.is_text else "="


def search_fields(resource: Resource, fields: dict[str, CustomField]) -> dict[str, SearchField]:
    """Everything that may be searched: no dates, tags or multi-selects."""
    found = {"id": SearchField(f"{resource.name}.id", is_text=False)}
    for name, kind in table_columns(resource).items():
        if kind not in DATE_KINDS:
            found[name] = SearchField(f"{resource.name}.{name}", is_text=kind in _TEXT_KINDS)
        if kind in _NAMED:
            named = f"(SELECT name FROM {_NAMED[kind]} WHERE id = {resource.name}.{name}) COLLATE NOCASE"
            found[f"{kind}.name"] = SearchField(named, is_text=True)
    if resource is CONTACTS:
        found["full_name"] = SearchField(
            "trim(contacts.first_name || ' ' || coalesce(contacts.last_name, ''))", is_text=True
        )
        found["phones.number"] = SearchField(
            "phones.number",
            is_text=True,
            within="contacts.id IN (SELECT contact_id FROM phones WHERE {piece})",
        )
        found |= {name: _custom(field) for name, field in fields.items() if _is_searchable(field)}
    return found


def _is_searchable(field: CustomField) -> bool:
    return field.kind not in DATE_KINDS and field.kind != "multi-select"


def _custom(field: CustomField) -> SearchField:
    if field.kind == "select":
        label = f"(SELECT label FROM field_options WHERE id = contacts.{field.name})"
        return SearchField(f"{label} COLLATE NOCASE", is_text=True)
    return SearchField(f"contacts.{field.name}", is_text=field.kind in _TEXT_KINDS)


def parse_search_fields(text: str) -> list[tuple[str, str]]:
    """`email:like;phones.number:=` as (field, operator); the operator is empty where none is given."""
    pairs = []
    for part in text.split(";"):
        field, _, operator = part.strip().partition(":")
        if field:
            pairs.append((field, operator.strip().lower()))
    return pairs


def search_condition(
    resource: Resource,
    fields: dict[str, CustomField],
    settings: Settings,
    query: Query,
    *,
    colon_splits: bool = True,
) -> Condition | None:
    """The SQL condition that `q` asks for; None when nothing is asked. ApiError on a field it refuses."""
    # Laravel trims what comes in, so blanks alone ask for nothing.
    needle = query.text("q")
    if not needle:
        return None
    known = search_fields(resource, fields)
    asked = _asked(resource, known, settings, query)
    needles = _needles(needle, asked) if colon_splits else dict.fromkeys(asked, needle)
    pieces, parameters = [], []
    for name, operator in asked.items():
        if name in needles:
            field = known[name]
            piece, values = _compare(field, operator, needles[name], settings)
            pieces.append(field.within.replace("{piece}", piece))
            parameters += values
    joint = " AND " if query.text("search_match").lower() == "and" else " OR "
    return "(" + joint.join(pieces) + ")", parameters


def _asked(
    resource: Resource, known: dict[str, SearchField], settings: Settings, query: Query
) -> dict[str, str]:
    """The fields to search with their operators; ApiError 403 when none of those named may be."""
    given = parse_search_fields(query.text("search_fields"))
    if not given:
        return dict(resource.searched)
    asked = {}
    for name, operator in given:
        if name not in known:
            if settings.unknown_search_field == 500:
                raise server_error(f"Unknown column '{name}' in 'where clause'")
            continue
        allowed = _operator(name, known[name], operator, settings)
        if allowed is not None:
            asked[name] = allowed
    if not asked:
        raise ApiError(403, {"message": f"Campos permitidos para pesquisa: {', '.join(known)}"})
    return asked


def _operator(name: str, field: SearchField, operator: str, settings: Settings) -> str | None:
    """The operator that a field is searched with; None where the field is dropped for it."""
    if operator in {"=", "like"}:
        return operator
    if not operator:
        return field.default_operator
    if operator == "in" and _takes_in(name, settings):
        return operator
    return None if settings.version.unknown_operator == "field_dropped" else field.default_operator


def _takes_in(name: str, settings: Settings) -> bool:
    if settings.search_in != "by_version":
        return True
    return settings.version.search_in == "texts_and_numbers" or (
        settings.version.search_in == "id" and name == "id"
    )


def _needles(needle: str, asked: dict[str, str]) -> dict[str, str]:
    """What each field is searched for: `q` itself, or what `field:value;field:value` says in it.

    ApiError 500 when a colon makes it a list of fields that names none of those searched.
    """
    if ":" not in needle or needle.startswith(":") or _URL.match(needle):
        return dict.fromkeys(asked, needle)
    named = {}
    for part in needle.split(";"):
        name, _, value = part.partition(":")
        if name.strip() in asked:
            named[name.strip()] = value.strip()
    if not named:
        raise server_error("Syntax error or access violation: no field in the search")
    return named


def _compare(field: SearchField, operator: str, needle: str, settings: Settings) -> Condition:
    if settings.search_minds_case:
        column = f"{field.expression} COLLATE BINARY"
        if operator == "in":
            return _compare_many(column, field, needle, settings)
        # SQLite's LIKE minds no case, whatever the collation.
        return (f"{column} = ?", [needle]) if operator == "=" else (f"instr({column}, ?) > 0", [needle])
    column = field.expression
    if operator == "in":
        return _compare_many(column, field, needle, settings)
    if operator == "=":
        return equal(column, needle)
    if needle.isascii():
        return f"{column} LIKE ?", [f"%{needle}%"]
    return f"fold({column}) LIKE ?", [f"%{fold(needle)}%"]


def _compare_many(column: str, field: SearchField, needle: str, settings: Settings) -> Condition:
    if settings.search_in == "refused":
        raise server_error("Syntax error or access violation: 1064 near 'in'")
    if settings.search_in == "ignored":
        return f"{column} = ?", [needle]
    values = [value.strip() for value in needle.split(",") if value.strip()]
    if (
        settings.search_in == "by_version"
        and settings.version.search_in == "texts_and_numbers"
        and not field.is_text
        and len(values) > 1
    ):
        raise server_error("a number is compared with several values")
    if settings.search_minds_case or all(value.isascii() for value in values):
        return f"{column} IN ({','.join('?' * len(values))})", list(values)
    return f"fold({column}) IN ({','.join('?' * len(values))})", [fold(value) for value in values]
