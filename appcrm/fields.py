"""The CRM's own list of a resource's fields: names, labels, types and options (source: ``/contacts/index-fields``).

The facts leave the words for types and the names of keys open, so several spellings are taken; whatever says a
type that is not known has ``kind`` None, and its values have to tell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from appcrm.contact import as_id, is_custom_field
from appcrm.errors import MalformedBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appcrm.client import Client
    from appcrm.session import Response

OPERATION = "fields"
TRIES = 2
"""Not every version has the list, and there is another way."""


class FieldKind(Enum):
    """What a field holds, as this API reads and writes it."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "date-time"
    SELECT = "select"
    MULTI_SELECT = "multi-select"


WORDS = {
    FieldKind.TEXT: (
        "text",
        "textarea",
        "string",
        "email",
        "url",
        "domain",
        "colorswatch",
        "color",
        "timezone",
    ),
    FieldKind.INTEGER: ("number", "integer", "int"),
    FieldKind.NUMBER: ("numeric", "decimal", "float", "double", "amount", "currency", "money"),
    FieldKind.BOOLEAN: ("boolean", "bool", "toggle"),
    FieldKind.DATE: ("date",),
    FieldKind.DATE_TIME: ("datetime", "timestamp"),
    FieldKind.SELECT: ("select", "radio", "dropdown"),
    FieldKind.MULTI_SELECT: ("multiselect", "checkbox", "checkboxes", "multipleselect"),
}
"""The words for types that are taken, without their case, dashes and a ``Field`` around them."""

KIND_OF_WORD = {word: kind for kind, words in WORDS.items() for word in words}

NAME_KEYS = ("attribute", "name", "field", "field_id", "key", "id")
TYPE_KEYS = ("type", "field_type", "component", "fieldType")
LABEL_KEYS = ("label", "title", "display_name")
OPTION_LABEL_KEYS = ("name", "label", "text", "title")
OPTION_ID_KEYS = ("id", "value", "key")
REQUIRED_KEYS = ("is_required", "required", "isRequired")
UNIQUE_KEYS = ("is_unique", "unique", "isUnique")
CUSTOM_KEYS = ("is_custom", "custom", "isCustomField", "is_custom_field", "customField")


@dataclass(frozen=True)
class Field:
    """One field, as the CRM describes it.

    Args:
        name: its attribute, such as ``cf_segment``.
        kind: None where the list says a type that is not known.
        label: as people see it.
        options: ids and labels, of a select or multi-select.
        is_required: whether the CRM refuses records without it.
        is_unique: whether the CRM refuses a second record with the same value.
        is_custom: whether an administrator added it.
    """

    name: str
    kind: FieldKind | None
    label: str
    options: tuple[tuple[int, str], ...] = ()
    is_required: bool = False
    is_unique: bool = False
    is_custom: bool = False


def read_fields(client: Client, resource: str = "contacts") -> list[Field]:
    """Ask for the fields of a resource.

    Raises:
        ApiError: the list is refused, or is none.
    """
    fields: list[Field] = client.session.request(
        OPERATION,
        "GET",
        f"/{resource}/index-fields",
        max_tries=TRIES,
        decode=lambda response: _decoded(response, resource),
    )
    return fields


def _decoded(response: Response, resource: str) -> list[Field]:
    try:
        content = json.loads(response.body)
    except (ValueError, RecursionError):
        content = None
    fields = list(fields_of(content))
    if not fields:
        raise MalformedBody(
            "the answer holds no list of fields",
            operation=OPERATION,
            path=f"/{resource}/index-fields",
            status=response.status,
        )
    return fields


def fields_of(content: Any) -> Iterator[Field]:  # noqa: ANN401  any JSON value
    """Read a list of fields: bare, or below ``data`` or ``fields``, or an object of attribute and field."""
    for key in ("data", "fields"):
        if isinstance(content, dict) and isinstance(content.get(key), (list, dict)):
            content = content[key]
    items: Iterable[Any] = content if isinstance(content, list) else []
    if isinstance(content, dict):
        items = [{"attribute": name, **item} for name, item in content.items() if isinstance(item, dict)]
    for item in items:
        name = _first_text(item, NAME_KEYS) if isinstance(item, dict) else None
        if name is not None:
            yield _field(name, item)


def _field(name: str, item: dict[str, Any]) -> Field:
    options = tuple(_options(item.get("options")))
    kind = _kind(item)
    return Field(
        name=name,
        kind=kind,
        label=_first_text(item, LABEL_KEYS) or name,
        options=options if kind in (FieldKind.SELECT, FieldKind.MULTI_SELECT) else (),
        is_required=any(item.get(key) is True for key in REQUIRED_KEYS),
        is_unique=any(item.get(key) is True for key in UNIQUE_KEYS),
        is_custom=is_custom_field(name) or any(bool(item.get(key)) for key in CUSTOM_KEYS),
    )


def _kind(item: dict[str, Any]) -> FieldKind | None:
    for key in TYPE_KEYS:
        word = item.get(key)
        if isinstance(word, str):
            bare = "".join(char for char in word.lower() if char.isalpha())
            for prefix in ("form", "index", "detail", ""):
                found = KIND_OF_WORD.get(bare.removeprefix(prefix).removesuffix("field"))
                if found is not None:
                    return found
    return None


def _options(given: Any) -> Iterator[tuple[int, str]]:  # noqa: ANN401  any JSON value
    """Read options: objects with id and label, or an object of id and label."""
    if isinstance(given, dict):
        given = [{"id": key, "name": label} for key, label in given.items()]
    for option in given if isinstance(given, list) else []:
        if isinstance(option, dict):
            option_id = next(
                (found for key in OPTION_ID_KEYS if (found := as_id(option.get(key))) is not None), None
            )
            label = _first_text(option, OPTION_LABEL_KEYS)
            if option_id is not None and label is not None:
                yield option_id, label


def _first_text(item: dict[str, Any], keys: Iterable[str]) -> str | None:
    return next((item[key] for key in keys if isinstance(item.get(key), str) and item[key]), None)
