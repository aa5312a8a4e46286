"""The schemas of the OpenAPI document: what is written is not what is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm_sandbox.render import COUNTS
from appcrm_sandbox.schema import CONTACT_DATES, CONTACTS, RESOURCES, STAMPS, CustomField, Resource
from appcrm_sandbox.validate import PHONE_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]

_TYPES: dict[str, Document] = {
    "text": {"type": ["string", "null"], "maxLength": 191},
    "textarea": {"type": ["string", "null"], "maxLength": 60_000},
    "email": {"anyOf": [{"type": "string", "maxLength": 191, "format": "email"}, {"enum": ["", None]}]},
    "url": {"anyOf": [{"type": "string", "maxLength": 191, "pattern": "^https?://"}, {"enum": ["", None]}]},
    "integer": {
        "anyOf": [{"type": ["integer", "null"]}, {"type": "string", "pattern": "^(-?[0-9]{1,18})?$"}]
    },
    "decimal": {"anyOf": [{"type": ["number", "null"]}, {"type": "string"}]},
    "boolean": {"enum": [True, False, 1, 0, "1", "0", "true", "false", None]},
    "date": {"type": ["string", "null"], "format": "date"},
    "date-time": {
        "type": ["string", "null"],
        "description": "YYYY-MM-DD HH:MM:SS, in UTC",
        "examples": ["2026-01-23 04:58:56"],
    },
    "select": {"type": ["integer", "null"], "description": "an option's id"},
    "multi-select": {"type": "array", "items": {"type": "integer"}, "description": "option ids"},
}
_SHOWN_TYPES: dict[str, Document] = {
    **{kind: {"type": ["string", "null"]} for kind in ("text", "textarea", "email", "url")},
    "integer": {"type": ["integer", "null"]},
    "decimal": {"type": ["number", "null"]},
    "boolean": {"type": ["boolean", "null"]},
}
_REFERENCE: Document = {"anyOf": [{"type": ["integer", "null"], "minimum": 1}, {"type": "string"}]}
_REFERENCE_SHOWN: Document = {"type": ["integer", "null"]}
_MOMENT: Document = {"type": ["string", "null"], "examples": ["2026-01-23T04:58:56.000000Z"]}
_IDS: Document = {"type": ["array", "null"], "items": {"type": "integer", "minimum": 1}}
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
            "properties": {"companies": _IDS, "deals": _IDS, "activities": _IDS},
            "additionalProperties": False,
        },
    }
    for resource in RESOURCES.values():
        schemas[f"{resource.name}_written"] = _written(resource, fields)
        if resource is not CONTACTS:
            schemas[f"{resource.name}_changed"] = {**schemas[f"{resource.name}_written"], "required": []}
        schemas[f"{resource.name}_shown"] = _shown(resource, fields)
    return schemas


def _written(resource: Resource, fields: Mapping[str, CustomField]) -> Document:
    properties = {name: _TYPES.get(kind, _REFERENCE) for name, kind in resource.columns.items()}
    for name in resource.required:
        properties[name] = {"allOf": [properties[name], {"not": {"enum": ["", None]}}]}
    if resource is CONTACTS:
        phone = {
            "type": "object",
            "required": ["number"],
            "properties": {
                "number": {"type": "string", "minLength": 1, "maxLength": 191},
                "type": {"enum": [*PHONE_TYPES, "", None]},
            },
        }
        properties |= {
            "phones": {"type": ["array", "null"], "items": phone},
            "tags": {
                "type": ["array", "null"],
                "items": {"type": "string", "minLength": 1, "maxLength": 191},
            },
            "companies": _IDS,
            "deals": _IDS,
        }
        properties |= {field.name: _field_written(field) for field in fields.values()}
    return {"type": "object", "required": list(resource.required), "properties": properties}


def _field_written(field: CustomField) -> Document:
    ids = [number for number, _label in field.options]
    if field.kind == "select":
        return {"enum": [*ids, None]}
    if field.kind == "multi-select":
        return {"type": ["array", "null"], "items": {"enum": ids}}
    return _TYPES[field.kind]


def _shown(resource: Resource, fields: Mapping[str, CustomField]) -> Document:
    properties: Document = {"id": {"type": "integer"}, "display_name": {"type": "string"}}
    dates = CONTACT_DATES if resource is CONTACTS else {}
    for name, kind in {**resource.columns, **dates, **STAMPS}.items():
        properties[name] = _field_shown(kind) if kind in _TYPES else _REFERENCE_SHOWN
    properties |= {"user": _NAMED, "path": {"type": "string"}}
    if resource is CONTACTS:
        listed = {"type": "array", "items": {"type": "object", "required": ["id"]}}
        properties |= {field.name: _field_shown(field.kind) for field in fields.values()}
        properties |= {name: {"type": "integer", "minimum": 0} for name in COUNTS}
        properties |= {"source": _NAMED, "country": _NAMED, "phones": listed, "tags": listed}
        properties |= {"companies": listed, "deals": listed, "activities": listed}
    return {"type": "object", "required": ["id"], "properties": properties}


def _field_shown(kind: str) -> Document:
    if kind in {"date", "date-time"}:
        return _MOMENT
    if kind == "select":
        return _NAMED
    if kind == "multi-select":
        return {"type": "array", "items": {"type": "object", "required": ["id"]}}
    return _SHOWN_TYPES[kind]


def ref(name: str) -> Document:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}
