"""The streams' schemas: the reviewed files, and the custom fields that sampled contacts and the settings show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm.client import ListQuery
from appcrm.contact import canonical_timestamp, is_custom_field, option_value
from appcrm.schemas import load_schema
from tap_appcrm.source.conversion import nullable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from appcrm.client import Client
    from tap_appcrm.settings import TapSettings
    from tap_appcrm.source.conversion import Schema
    from tap_appcrm.source.page import Row

COUNT_SUFFIX = "_count"


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


def contacts_schema(rows: Iterable[Row], declared: dict[str, Schema]) -> Schema:
    """Return the schema of ``contacts`` with the custom fields of sampled rows and those that are declared.

    Args:
        rows: as the API sent them.
        declared: custom field name to JSON Schema; it wins over what the sample shows.
    """
    schema = load_schema("contacts")
    properties: dict[str, Schema] = schema["properties"]
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            if name in properties or name in declared:
                continue
            if is_custom_field(name) or (
                name.endswith(COUNT_SUFFIX) and isinstance(value, int) and not isinstance(value, bool)
            ):
                values.setdefault(name, []).append(value)
    deleted_at = properties.pop("_sdc_deleted_at")
    for name in sorted(values.keys() | declared.keys()):
        properties[name] = nullable(declared[name]) if name in declared else inferred(values[name])
    properties["_sdc_deleted_at"] = deleted_at
    return schema


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
