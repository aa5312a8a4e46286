"""The streams' schemas: the reviewed files, and the custom fields that the CRM, its contacts and the settings show."""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from appcrm.client import ListQuery
from appcrm.contact import canonical_timestamp, is_custom_field, option_value
from appcrm.errors import ApiError, ConnectionFault, CsrfRejected, RateLimited, Unauthenticated
from appcrm.fields import FieldKind, read_fields
from appcrm.schemas import load_schema
from appcrm.text import printable
from tap_appcrm.source.conversion import nullable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from appcrm.client import Client
    from appcrm.fields import Field
    from tap_appcrm.settings import TapSettings
    from tap_appcrm.source.conversion import Schema
    from tap_appcrm.source.page import Row

COUNT_SUFFIX = "_count"
DELETED_AT = "_sdc_deleted_at"
OPTIONS_SHOWN = 30

logger = logging.getLogger("tap-appcrm")


def sampled_rows(client: Client, settings: TapSettings) -> Iterator[Row]:
    """Yield contacts of sampled pages: the newest by id, then pages spread evenly over the rest."""
    if settings.sample_pages == 0:
        return
    query = ListQuery(order="id|desc", per_page=settings.page_size)
    first = client.list_contacts(query, 1)
    yield from first.rows
    size = first.per_page or len(first.rows) or settings.page_size
    last = first.last_page or -(-(first.total or 0) // size)
    for number in spread(last, settings.sample_pages):
        yield from client.list_contacts(query, number).rows


def spread(last: int, count: int) -> list[int]:
    """Page numbers after the first, so that ``count`` pages in all are spread evenly from 1 to ``last``."""
    if count <= 1 or last <= 1:
        return []
    if count >= last:
        return list(range(2, last + 1))
    return [1 + round(step * (last - 1) / (count - 1)) for step in range(1, count)]


def discovered_schema(client: Client, settings: TapSettings) -> Schema:
    """Return the schema of ``contacts`` with its custom fields.

    The CRM's own list of fields is asked, where an empty field has its type too. Pages are sampled where that list
    is refused, or says a type that is not known; with no page to sample, nothing is asked at all.
    """
    if settings.sample_pages == 0:
        return contacts_schema((), settings.custom_fields)
    try:
        fields = [field for field in read_fields(client) if field.is_custom]
    except (Unauthenticated, CsrfRejected, ConnectionFault, RateLimited):
        raise
    except ApiError as error:
        logger.info(
            "The CRM's list of fields cannot be read (status %s): custom fields are sampled", error.status
        )
        return contacts_schema(sampled_rows(client, settings), settings.custom_fields)
    unknown = [
        field.name for field in fields if field.kind is None and field.name not in settings.custom_fields
    ]
    rows = sampled_rows(client, settings) if unknown else ()
    return contacts_schema(rows, settings.custom_fields, fields)


def neighbour_schema(client: Client, settings: TapSettings, stream: str) -> Schema:
    """Return the schema of companies or deals, with the custom fields that the CRM's own list of theirs tells.

    Where that list is refused, or sampling is off, the reviewed schema alone.
    """
    if settings.sample_pages == 0:
        return load_schema(stream)
    try:
        fields = [field for field in read_fields(client, stream) if field.is_custom]
    except (Unauthenticated, CsrfRejected, ConnectionFault, RateLimited):
        raise
    except ApiError as error:
        logger.info(
            "The CRM's list of the fields of %s cannot be read (status %s): declare custom fields in the catalog",
            stream,
            error.status,
        )
        return load_schema(stream)
    return with_custom_fields(load_schema(stream), (), {}, fields)


def contacts_schema(
    rows: Iterable[Row], declared: Mapping[str, Schema], fields: Iterable[Field] = ()
) -> Schema:
    """Return the schema of ``contacts`` with the custom fields that are listed, sampled and declared.

    Args:
        rows: as the API sent them.
        declared: custom field name to JSON Schema; it wins over what the list and the sample show.
        fields: custom fields as the CRM describes them; they win over the sample where their type is known.
    """
    return with_custom_fields(load_schema("contacts"), rows, declared, fields)


def with_custom_fields(
    schema: Schema, rows: Iterable[Row], declared: Mapping[str, Schema], fields: Iterable[Field]
) -> Schema:
    """Return a reviewed schema with custom fields, in front of the column for tombstones."""
    properties: dict[str, Schema] = schema["properties"]
    listed = {field.name: field for field in fields if field.name not in properties}
    values: dict[str, list[Any]] = {name: [] for name in listed}
    for row in rows:
        for name, value in row.items():
            if name in properties or name in declared:
                continue
            if (
                name in listed
                or is_custom_field(name)
                or (name.endswith(COUNT_SUFFIX) and isinstance(value, int) and not isinstance(value, bool))
            ):
                values.setdefault(name, []).append(value)
    deleted_at = properties.pop(DELETED_AT)
    for name in sorted(values.keys() | declared.keys()):
        field = listed.get(name)
        if name in declared:
            found = nullable(declared[name])
        elif field is not None and field.kind is not None:
            found = dict(SCHEMA_OF_KIND[field.kind])
        else:
            found = inferred(values[name])
        properties[name] = found if field is None else described(field) | found
    properties[DELETED_AT] = deleted_at
    return schema


SCHEMA_OF_KIND: Mapping[FieldKind, Schema] = MappingProxyType(
    {
        FieldKind.TEXT: {"type": ["string", "null"]},
        FieldKind.INTEGER: {"type": ["integer", "null"]},
        FieldKind.NUMBER: {"type": ["number", "null"]},
        FieldKind.BOOLEAN: {"type": ["boolean", "null"]},
        FieldKind.DATE: {"type": ["string", "null"], "format": "date"},
        FieldKind.DATE_TIME: {"type": ["string", "null"], "format": "date-time"},
        FieldKind.SELECT: {"type": ["integer", "null"]},
        FieldKind.MULTI_SELECT: {"type": ["array", "null"], "items": {"type": ["integer", "null"]}},
    }
)
"""A single select is its option's id, a multi-select a list of them."""


def described(field: Field) -> Schema:
    """Return what the CRM says of a field beside its type: for people in words, for tools in keywords of their own."""
    words = printable(field.label)
    if field.options:
        shown = ", ".join(
            f"{option_id} {printable(label, 60)}" for option_id, label in field.options[:OPTIONS_SHOWN]
        )
        rest = len(field.options) - OPTIONS_SHOWN
        words += f". Options: {shown}{f' and {rest} more' if rest > 0 else ''}"
    found: Schema = {"description": words, "x-appcrm-label": field.label}
    if field.options:
        found["x-appcrm-options"] = [{"id": option_id, "label": label} for option_id, label in field.options]
    if field.is_required:
        found["x-appcrm-required"] = True
    if field.is_unique:
        found["x-appcrm-unique"] = True
    return found


def inferred(values: Iterable[Any]) -> Schema:
    """Return the JSON Schema of a custom field from values of it: the narrowest that takes them all."""
    present = [option_value(value) for value in values if value is not None]
    kinds = {_kind(value) for value in present}
    if kinds == {"list"}:
        items = [item for value in present if isinstance(value, list) for item in value if item is not None]
        return {
            "type": ["array", "null"],
            "items": inferred(items) if items else {"type": ["integer", "null"]},
        }
    if kinds == {"boolean", "integer"} and all(value in (0, 1) for value in present):
        kinds = {"boolean"}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if kinds == {"moment"}:
        return {"type": ["string", "null"], "format": "date-time"}
    name = kinds.pop() if len(kinds) == 1 else "string"
    return {"type": ["string" if name in ("moment", "list") else name, "null"]}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    return "moment" if canonical_timestamp(value) is not None else "string"
