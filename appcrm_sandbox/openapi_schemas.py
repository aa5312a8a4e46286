"""The schemas of the OpenAPI document: what is written is not what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm_sandbox.phone_numbers import LONGEST_NUMBER, PHONE_TYPES
from appcrm_sandbox.render import COUNTS
from appcrm_sandbox.schema import CONTACT_DATES, CONTACTS, LINKS, RESOURCES, STAMPS, Resource
from appcrm_sandbox.validate import BIGGEST_INTEGER, SMALLEST_INTEGER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appcrm_sandbox.custom_fields import CustomField

Document = dict[str, Any]

_TYPES: dict[str, Document] = {
    "text": {"type": ["string", "null"], "maxLength": 191},
    "textarea": {"type": ["string", "null"], "maxLength": 60_000},
    "email": {"anyOf": [{"type": "string", "maxLength": 191, "format": "email"}, {"enum": ["", None]}]},
    "url": {"anyOf": [{"type": "string", "maxLength": 191, "pattern": "^https?://"}, {"enum": ["", None]}]},
    "integer": {
        "anyOf": [
            {"type": ["integer", "null"], "minimum": SMALLEST_INTEGER, "maximum": BIGGEST_INTEGER},
            {"type": "string", "pattern": "^(-?[0-9]{1,9})?$"},
        ]
    },
    "decimal": {
        "anyOf": [
            {"type": ["number", "null"], "minimum": 0, "description": "at most 3 decimals"},
            {"type": "string", "pattern": r"^([0-9]{1,12}(\.[0-9]{1,3})?)?$"},
        ]
    },
    "boolean": {"enum": [True, False, 1, 0, "1", "0", "true", "false", None]},
    "date": {
        "type": ["string", "null"],
        "description": "YYYY-MM-DD; of an ISO timestamp the day is taken",
        "examples": ["2026-01-23"],
    },
    "date-time": {
        "type": ["string", "null"],
        "description": "YYYY-MM-DD HH:MM:SS in UTC, or an ISO timestamp",
        "examples": ["2026-01-23 04:58:56"],
    },
}
_OPTION_KINDS = {
    "select": "an option's id, or a label: an unknown one makes an option. Null is ignored",
    "multi-select": "option ids or labels: an unknown label makes an option. Null is ignored",
}
_SHOWN_TYPES: dict[str, Document] = {
    **{kind: {"type": ["string", "null"]} for kind in ("text", "textarea", "email", "url")},
    "integer": {"type": ["integer", "null"]},
    "decimal": {"type": ["number", "null"], "description": "an empty custom one is 0"},
    "boolean": {"type": ["boolean", "null"]},
}
_REFERENCE: Document = {"anyOf": [{"type": ["integer", "null"], "minimum": 1}, {"type": "string"}]}
_REFERENCE_SHOWN: Document = {"type": ["integer", "null"]}
_MOMENT: Document = {"type": ["string", "null"], "examples": ["2026-01-23T04:58:56.000000Z"]}
_LINKED: Document = {
    "type": ["array", "null"],
    "items": {"type": ["number", "string"]},
    "description": "ids, or names; what is not there or may not be seen is dropped",
}
_NAMED: Document = {
    "type": ["object", "null"],
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
}


def make_schemas(fields: Mapping[str, CustomField]) -> Document:
    """Every schema by name: how each resource is written, changed and shown, and how a refusal looks."""
    schemas: Document = {
        "message": {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}},
        "refused": {
            "type": "object",
            "minProperties": 1,
            "properties": {"message": {"type": "string"}, "error": {"type": "string"}},
        },
        "invalid": {
            "type": "object",
            "required": ["message", "errors"],
            "properties": {
                "message": {"type": "string"},
                "errors": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
        "links": {
            "type": "object",
            "properties": dict.fromkeys(LINKS["contacts"], _LINKED),
            "additionalProperties": False,
        },
    }
    for resource in RESOURCES.values():
        schemas[f"{resource.name}_written"] = _written(resource, fields)
        schemas[f"{resource.name}_changed"] = {**schemas[f"{resource.name}_written"], "required": []}
        schemas[f"{resource.name}_shown"] = _shown(resource, fields)
    return schemas


def _written(resource: Resource, fields: Mapping[str, CustomField]) -> Document:
    properties = {name: _TYPES.get(kind, _REFERENCE) for name, kind in resource.columns.items()}
    for name in resource.required:
        properties[name] = {"allOf": [properties[name], {"not": {"enum": ["", None]}}]}
    if resource is CONTACTS:
        phone = {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        "number": {"type": ["string", "null"], "maxLength": LONGEST_NUMBER},
                        "type": {"description": f"{', '.join(PHONE_TYPES)}; anything else is mobile"},
                    },
                },
                {"type": ["string", "null"], "description": "number, or number|type"},
            ],
            "description": "without a calling prefix the country's is put in front; empty numbers are dropped",
        }
        properties |= {
            "phones": {"type": ["array", "null"], "items": phone},
            "tags": {
                "type": ["array", "null"],
                "items": {"type": "string", "minLength": 1, "maxLength": 191},
            },
        }
        properties |= {field.name: _field_written(field) for field in fields.values()}
    properties |= dict.fromkeys(LINKS[resource.name], _LINKED)
    return {"type": "object", "required": list(resource.required), "properties": properties}


def _field_written(field: CustomField) -> Document:
    if field.kind not in _OPTION_KINDS:
        return _TYPES[field.kind]
    ids = [number for number, _label in field.options]
    option: Document = {"anyOf": [{"enum": ids}, {"type": "string", "minLength": 1, "maxLength": 191}]}
    said = {"description": _OPTION_KINDS[field.kind]}
    if field.kind == "select":
        return {"anyOf": [option, {"enum": ["", None]}], **said}
    return {"anyOf": [{"type": "array", "items": option}, {"enum": ["", None]}], **said}


def _shown(resource: Resource, fields: Mapping[str, CustomField]) -> Document:
    properties: Document = {"id": {"type": "integer"}, "display_name": {"type": "string"}}
    dates = CONTACT_DATES if resource is CONTACTS else {}
    for name, kind in {**resource.columns, **dates, **STAMPS}.items():
        properties[name] = _field_shown(kind) if kind in _TYPES else _REFERENCE_SHOWN
    properties |= {"user": _NAMED, "path": {"type": "string"}}
    if resource is CONTACTS:
        listed = {"type": ["array", "null"], "items": {"type": "object", "required": ["id"]}}
        properties |= {field.name: _field_shown(field.kind) for field in fields.values()}
        properties |= {name: {"type": "integer", "minimum": 0} for name in COUNTS}
        properties |= {"source": _NAMED, "country": _NAMED, "phones": listed, "tags": listed}
        properties |= {"companies": listed, "deals": listed, "activities": listed}
    # What `select` leaves out has no value, and what a user may not see is not even there.
    properties["id"] = {"type": ["integer", "null"]}
    return {"type": "object", "required": ["id"], "properties": properties}


def _field_shown(kind: str) -> Document:
    if kind in {"date", "date-time"}:
        return _MOMENT
    if kind == "select":
        return {"type": ["integer", "null"], "description": "an option's id"}
    if kind == "multi-select":
        return {"type": "array", "items": {"type": "object", "required": ["id"]}}
    return _SHOWN_TYPES[kind]


def ref(name: str) -> Document:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
