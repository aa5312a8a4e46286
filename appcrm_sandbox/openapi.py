"""The description of the API as OpenAPI 3.1, made of the tables that the code itself goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm_sandbox.render import COUNTS
from appcrm_sandbox.schema import CONTACT_DATES, CONTACTS, RESOURCES, STAMPS, CustomField, Resource
from appcrm_sandbox.validate import PHONE_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]

LONGEST_ID = 2**53 - 1
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
_QUERY = {
    "order": "Field to sort by, `|desc` behind it for the other way: `created_at|desc`",
    "select": "Fields to show, `;` between them: `first_name;id`. The id always comes along",
    "per_page": "Rows on a page: 15 by default and for anything that is no count, 100 at most",
    "page": "Number of the page; past the last one, `data` is empty",
    "q": "Text to search for",
    "search_fields": "Fields to search, with `=`, `like` or `in`: `email:like;phones.number:=`",
    "search_match": "`and` when every field must match; one is enough by default",
    "take": "Most rows that a search returns",
    "with": "Associations that list rows carry as well: `companies;deals`",
}
_PAGED = ("order", "select", "per_page", "page", "q", "search_fields", "search_match")
_SEARCHED = ("q", "take", "order", "select", "search_fields", "search_match")
# Status → what it means. Every answer of the API is one of these.
_STATUSES = {
    "200": "Done",
    "201": "Created",
    "204": "Done, nothing to show",
    "400": "The body is no JSON",
    "401": "The token is missing or wrong",
    "403": "Not allowed, or an unknown search field",
    "404": "There is no such record, or it is in the trash",
    "405": "The path does not know the method",
    "409": "Already attached, or an unknown kind of association",
    "419": "Referer or Origin was sent, so that a CSRF token would be needed",
    "422": "The body or the query was refused",
    "429": "Too many requests; Retry-After says how long to wait",
}
_SINGULAR = {
    "contacts": "a contact",
    "companies": "a company",
    "deals": "a deal",
    "activities": "an activity",
}
_ALWAYS = ("401", "419", "429")


def describe(fields: Mapping[str, CustomField], server: str) -> Document:
    """The whole document, the custom fields of this CRM included."""
    paths: Document = {}
    for resource in RESOURCES.values():
        paths |= _resource_paths(resource)
    for name in ("users", "sources", "countries", "stages"):
        rows = {"type": "array", "items": {"type": "object", "required": ["id", "name"]}}
        paths[f"/{name}"] = {"get": _operation(name, f"List {name}", {"200": rows})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AppCRM sandbox",
            "version": "1",
            "description": "A local AppCRM. What is read is not what is written: see the schemas.",
        },
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(fields),
        },
    }


def _resource_paths(resource: Resource) -> Document:
    name, one_of = resource.name, _SINGULAR[resource.name]
    shown, written = _ref(f"{name}_shown"), _ref(f"{name}_written")
    # A contact's first name is asked for on update too; a neighbour keeps what it is not told.
    changed = written if resource is CONTACTS else _ref(f"{name}_changed")
    paged = {"200": _page_of(shown), "403": _ref("refused"), "422": _ref("invalid")}
    written_to = {"400": _ref("message"), "422": _ref("invalid")}
    gone = {"404": _ref("message"), "403": _ref("refused")}
    queries = ("with",) if resource is CONTACTS else ()
    one = [_record_id()]
    found = {"200": {"type": "array", "items": shown}, "403": _ref("refused"), "422": _ref("invalid")}
    paths = {
        f"/{name}": {
            "get": _operation(name, f"List {name}", paged, _parameters(*_PAGED, *queries)),
            "post": _operation(
                name, f"Create {one_of}", {"201": shown, **written_to}, body=written, body_required=True
            ),
        },
        f"/{name}/search": {
            "get": _operation(
                name, f"Search {name}, not paginated", found, _parameters(*_SEARCHED, *queries)
            ),
        },
        f"/{name}/{{id}}": {
            "parameters": one,
            "get": _operation(name, f"Retrieve {one_of}", {"200": shown, **gone}, _parameters(*queries)),
            "put": _operation(
                name,
                f"Update {one_of}",
                {"200": shown, **gone, **written_to},
                body=changed,
                body_required=resource is CONTACTS,
            ),
            "delete": _operation(name, f"Move {one_of} to the trash", {"204": None, **gone}),
        },
        f"/trashed/{name}": {
            "get": _operation("trash", f"List {name} in the trash", paged, _parameters(*_PAGED)),
        },
        f"/trashed/{name}/{{id}}": {
            "parameters": one,
            "post": _operation("trash", f"Restore {one_of}", {"200": shown, **gone, "400": _ref("message")}),
            "delete": _operation("trash", f"Remove {one_of} for good", {"204": None, **gone}),
        },
    }
    if resource is CONTACTS:
        answers = {"200": shown, **gone, **written_to, "409": _ref("message")}
        links = _ref("links")
        paths[f"/associations/{name}/{{id}}"] = {
            "parameters": one,
            "put": _operation("associations", "Attach: add to what is there", answers, body=links),
            "delete": _operation("associations", "Detach: take away", answers, body=links),
            "post": _operation("associations", "Sync: replace each set that is given", answers, body=links),
        }
    return paths


def _operation(
    tag: str,
    summary: str,
    answers: Mapping[str, Document | None],
    parameters: list[Document] | None = None,
    body: Document | None = None,
    *,
    body_required: bool = False,
) -> Document:
    responses: Document = {}
    for status in sorted({*answers, *_ALWAYS}):
        schema = answers.get(status, _ref("message"))
        responses[status] = {"description": _STATUSES[status]}
        if schema is not None:
            responses[status]["content"] = {"application/json": {"schema": schema}}
    operation: Document = {"tags": [tag], "summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = {
            "required": body_required,
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _schemas(fields: Mapping[str, CustomField]) -> Document:
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


def _page_of(shown: Document) -> Document:
    return {
        "type": "object",
        "required": ["data", "links", "meta"],
        "properties": {
            "data": {"type": "array", "items": shown},
            "links": {"type": "object", "required": ["first", "last", "prev", "next"]},
            "meta": {
                "type": "object",
                "required": ["current_page", "from", "last_page", "path", "per_page", "to", "total"],
            },
        },
    }


def _parameters(*names: str) -> list[Document]:
    numbers = {"page", "per_page", "take"}
    return [
        {
            "name": name,
            "in": "query",
            "description": _QUERY[name],
            "schema": {"type": ["integer", "string"]} if name in numbers else {"type": "string"},
        }
        for name in names
    ]


def _record_id() -> Document:
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_ID},
    }


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}
