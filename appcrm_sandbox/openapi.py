"""The description of the API as OpenAPI 3.1, made of the tables that the code itself goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.field_lists import FIELD_LISTS
from appcrm_sandbox.lookups import BARE, LOOKUPS
from appcrm_sandbox.openapi_schemas import Document, make_schemas, ref
from appcrm_sandbox.schema import CONTACTS, RESOURCES, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appcrm_sandbox.custom_fields import CustomField


LONGEST_ID = 2**53 - 1
_QUERY = {
    "order": "Column to sort by, `|desc` behind it for the other way: `created_at|desc`. An unknown one is a 500; "
    "`order[0][field]` and `order[0][direction]` take several",
    "select": "Columns to read, `;` between them: `first_name;id`. The others are shown without a value; "
    "what is no column, or none of the display name, is a 500",
    "per_page": "Rows on a page: 15 by default and for anything that is no count, 100 at most",
    "page": "Number of the page; past the last one, `data` is empty",
    "q": "Text to search for. One with a colon is read as `field:value;field:value`",
    "search_fields": "Fields to search, with `=`, `like` or `in`: `email:like;phones.number:=`. Unknown ones are "
    "dropped",
    "search_match": "`and` when every field must match; one is enough by default",
    "take": "Most rows that a search returns",
    "with": "Associations that rows carry as well: `companies;deals`. An unknown one is a 500",
}
_QUERY_OF_ONE = {"with": "Associations beside companies and deals, which are always there: `activities`"}
_PAGED = ("order", "select", "per_page", "page", "q", "search_fields", "search_match", "with")
_SEARCHED = ("q", "take", "order", "select", "search_fields", "search_match", "with")
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
    "500": "What no check stops and the database cannot do: an unknown column, an integer beyond 32 bits",
    "429": "Too many requests; Retry-After says how long to wait",
}
_SINGULAR = {
    "contacts": "a contact",
    "companies": "a company",
    "deals": "a deal",
    "activities": "an activity",
    "notes": "a note",
    "calls": "a call",
}
_ALWAYS = ("401", "419", "429")


def describe(fields: Mapping[str, CustomField], server: str) -> Document:
    """The whole document, the custom fields of this CRM included."""
    paths: Document = {}
    for resource in RESOURCES.values():
        paths |= _resource_paths(resource)
    paths |= _lookup_paths() | _field_paths()
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
            "schemas": make_schemas(fields),
        },
    }


def _resource_paths(resource: Resource) -> Document:
    name, one_of = resource.name, _SINGULAR[resource.name]
    shown, written = ref(f"{name}_shown"), ref(f"{name}_written")
    # AppCRM 1.1 asks for a contact's first name on update too; otherwise a record keeps what it is not told.
    changed = ref(f"{name}_changed")
    refusals = {"403": ref("refused"), "422": ref("invalid"), "500": ref("message")}
    paged = {"200": _page_of(shown), **refusals}
    written_to = {"400": ref("message"), "422": ref("invalid"), "500": ref("message")}
    gone = {"404": ref("message"), "403": ref("refused")}
    read_one = {"200": shown, **gone, "500": ref("message")}
    one = [_record_id()]
    found = {"200": {"type": "array", "items": shown}, **refusals}
    paths = {
        f"/{name}": {
            "get": _operation(name, f"List {name}", paged, _parameters(*_PAGED)),
            "post": _operation(
                name, f"Create {one_of}", {"201": shown, **written_to}, body=written, body_required=True
            ),
        },
        f"/{name}/search": {
            "get": _operation(name, f"Search {name}, not paginated", found, _parameters(*_SEARCHED)),
        },
        f"/{name}/{{id}}": {
            "parameters": one,
            "get": _operation(
                name,
                f"Retrieve {one_of}",
                read_one,
                _parameters("with", meanings=_QUERY_OF_ONE),
            ),
            "put": _operation(
                name,
                f"Update {one_of}",
                {"200": shown, **gone, **written_to},
                body=changed,
            ),
            "delete": _operation(name, f"Move {one_of} to the trash", {"204": None, **gone}),
        },
        f"/trashed/{name}": {
            "get": _operation("trash", f"List {name} in the trash", paged, _parameters(*_PAGED)),
        },
        f"/trashed/{name}/search": {
            "get": _operation("trash", f"Search {name} in the trash", found, _parameters(*_SEARCHED)),
        },
        f"/trashed/{name}/{{id}}": {
            "parameters": one,
            "get": _operation(
                "trash",
                f"Retrieve {one_of} in the trash",
                read_one,
                _parameters("with", meanings=_QUERY_OF_ONE),
            ),
            "post": _operation("trash", f"Restore {one_of}", {"200": shown, **gone, "400": ref("message")}),
            "delete": _operation("trash", f"Remove {one_of} for good", {"204": None, **gone}),
        },
    }
    if resource is CONTACTS:
        answers = {"200": shown, **gone, **written_to, "409": ref("message")}
        links = ref("links")
        paths[f"/associations/{name}/{{id}}"] = {
            "parameters": one,
            "put": _operation("associations", "Attach: add to what is there", answers, body=links),
            "delete": _operation("associations", "Detach: take away", answers, body=links),
            "post": _operation("associations", "Sync: replace each set that is given", answers, body=links),
        }
    return paths


def _lookup_paths() -> Document:
    """The small lists, in pages but for the countries."""
    row = {"type": "object", "required": ["id", "name"]}
    return {
        f"/{name}": {
            "get": _operation(
                name,
                f"List {name}",
                {
                    "200": {"type": "array", "items": row} if name in BARE else _page_of(row),
                    "500": ref("message"),
                },
                None if name in BARE else _parameters("order", "per_page", "page"),
            )
        }
        for name in LOOKUPS
    }


def _field_paths() -> Document:
    """The lists of fields and of filters' rules. Version 1.1 has none of them."""
    gone = {"404": ref("message")}
    field = {
        "type": "object",
        "required": ["attribute", "type", "label", "options", "is_required", "is_unique"],
    }
    rule = {"type": "object", "required": ["id", "type", "operators"]}
    paths = {}
    for name in RESOURCES:
        lists = {f"/{name}/{kind}": field for kind in FIELD_LISTS}
        lists |= {f"/fields/{name}/update": field, f"/{name}/rules": rule}
        for path, item in lists.items():
            answers = {"200": {"type": "array", "items": item}, **gone}
            paths[path] = {"get": _operation("fields", f"List {path.rpartition('/')[2]} of {name}", answers)}
    answers = {"200": {"type": "array", "items": field}, "403": ref("refused")}
    paths["/custom-fields"] = {"get": _operation("fields", "List custom fields, for super admins", answers)}
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
        schema = answers.get(status, ref("message"))
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


def _parameters(*names: str, meanings: Mapping[str, str] = _QUERY) -> list[Document]:
    numbers = {"page", "per_page", "take"}
    return [
        {
            "name": name,
            "in": "query",
            "description": meanings[name],
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
