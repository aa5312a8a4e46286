"""What is stored: the resources, their columns and associations, and the tables that hold them."""

from __future__ import annotations

import dataclasses

from appcrm_sandbox.custom_fields import SQL_TYPES, CustomField

APPLICATION_ID = 0x41435242
VERSION = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """One kind of record: its table's own columns with their kinds, and how it is found and ordered."""

    name: str
    columns: dict[str, str]
    required: tuple[str, ...]
    searched: dict[str, str]
    default_order: str
    label: str


STAMPS = {"created_at": "date-time", "updated_at": "date-time"}
CONTACT_COLUMNS = {
    "first_name": "text",
    "last_name": "text",
    "email": "email",
    "job_title": "text",
    "street": "text",
    "city": "text",
    "state": "text",
    "postal_code": "text",
    "user_id": "user",
    "source_id": "source",
    "country_id": "country",
}
CONTACT_DATES = {
    "owner_assigned_date": "date-time",
    "next_activity_date": "date-time",
    "last_contacted_at": "date-time",
}
CONTACTS = Resource(
    "contacts",
    CONTACT_COLUMNS,
    ("first_name",),
    {
        "first_name": "like",
        "last_name": "like",
        "email": "like",
        "phones.number": "like",
        "full_name": "like",
    },
    "first_name",
    "first_name",
)
COMPANIES = Resource(
    "companies",
    {
        "name": "text",
        "domain": "text",
        "email": "email",
        "street": "text",
        "city": "text",
        "state": "text",
        "postal_code": "text",
        "user_id": "user",
        "source_id": "source",
        "country_id": "country",
    },
    ("name",),
    {"name": "like", "domain": "like", "email": "like"},
    "name",
    "name",
)
DEALS = Resource(
    "deals",
    {
        "name": "text",
        "stage_id": "stage",
        "amount": "decimal",
        "expected_close_date": "date",
        "user_id": "user",
    },
    ("name", "stage_id"),
    {"name": "like"},
    "name",
    "name",
)
ACTIVITIES = Resource(
    "activities",
    {"title": "text", "due_date": "date", "note": "text", "is_completed": "boolean", "user_id": "user"},
    ("title", "user_id", "due_date"),
    {"title": "like", "note": "like"},
    "title",
    "title",
)
NOTES = Resource("notes", {"body": "textarea", "user_id": "user"}, ("body",), {"body": "like"}, "id", "body")
CALLS = Resource(
    "calls",
    {"body": "textarea", "date": "date-time", "user_id": "user"},
    ("body", "date"),
    {"body": "like"},
    "id",
    "body",
)
NEIGHBOURS = {resource.name: resource for resource in (COMPANIES, DEALS, ACTIVITIES, NOTES, CALLS)}
RESOURCES = {"contacts": CONTACTS, **NEIGHBOURS}
# What can be associated from either side.
_MUTUAL = ("contacts", "companies", "deals", "activities")
# What is said about others, so that only it names them.
REMARKS = ("notes", "calls")
# What a body may associate each resource with.
LINKS: dict[str, tuple[str, ...]] = {
    **{name: tuple(other for other in _MUTUAL if other != name) for name in _MUTUAL},
    **dict.fromkeys(REMARKS, ("contacts", "companies", "deals")),
}

# Ties of the ordered column fall into one of these orders. Each is a bijection of the id, so a page is whole
# within one request, and each has its own indexes, so the last page of a long tie is as quick as the first.
TIES = {"tie_a": 2_654_435_761, "tie_b": 2_246_822_519, "tie_c": 3_266_489_917}
INDEXED_ORDERS = ("first_name", "updated_at", "created_at")
LIVE = "deleted_at IS NULL AND hidden = 0"
# The small tables, kept in memory.
NAMED = ("users", "sources", "countries", "pipelines", "stages")

_SQL_KINDS = {"user": "INTEGER", "source": "INTEGER", "country": "INTEGER", "stage": "INTEGER"}


def sql_type(kind: str) -> str:
    """The SQLite type of a column of this kind."""
    return _SQL_KINDS.get(kind) or SQL_TYPES[kind]


def table_columns(resource: Resource) -> dict[str, str]:
    """Every stored column of a resource that a reader sees, with its kind, custom fields apart."""
    dates = CONTACT_DATES if resource is CONTACTS else {}
    return {**resource.columns, **dates, **STAMPS}


def stored_columns(resource: Resource, fields: dict[str, CustomField]) -> dict[str, str]:
    """Every column that `order` and `select` may name, with its kind: a multi-select is a relation."""
    columns = {"id": "integer", **table_columns(resource), "deleted_at": "date-time"}
    if resource is CONTACTS:
        columns |= {name: field.kind for name, field in fields.items() if field.kind != "multi-select"}
    return columns


_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE fields (
        name TEXT PRIMARY KEY, kind TEXT NOT NULL, position INTEGER NOT NULL,
        is_unique INTEGER NOT NULL, is_required INTEGER NOT NULL)""",
    "CREATE TABLE field_options (id INTEGER PRIMARY KEY, field TEXT NOT NULL, label TEXT NOT NULL)",
    """CREATE TABLE users (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT COLLATE NOCASE NOT NULL, zone TEXT NOT NULL,
        api_access INTEGER NOT NULL DEFAULT 1, super_admin INTEGER NOT NULL DEFAULT 0,
        sees TEXT NOT NULL DEFAULT '{}', may_not TEXT NOT NULL DEFAULT '{}')""",
    "CREATE TABLE tokens (token TEXT PRIMARY KEY, user_id INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    """CREATE TABLE countries (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, code TEXT NOT NULL, calling_code TEXT NOT NULL)""",
    "CREATE TABLE pipelines (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE stages (id INTEGER PRIMARY KEY, name TEXT NOT NULL, pipeline_id INTEGER NOT NULL)",
    "CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE NOT NULL UNIQUE)",
    """CREATE TABLE contact_tags (
        contact_id INTEGER, tag_id INTEGER, PRIMARY KEY (contact_id, tag_id)) WITHOUT ROWID""",
    """CREATE TABLE phones (
        id INTEGER PRIMARY KEY AUTOINCREMENT, contact_id INTEGER NOT NULL,
        number TEXT NOT NULL, type TEXT NOT NULL)""",
    """CREATE TABLE contact_links (
        contact_id INTEGER, resource TEXT, other_id INTEGER,
        PRIMARY KEY (contact_id, resource, other_id)) WITHOUT ROWID""",
    """CREATE TABLE neighbour_links (
        resource TEXT, record_id INTEGER, other_resource TEXT, other_id INTEGER,
        PRIMARY KEY (resource, record_id, other_resource, other_id)) WITHOUT ROWID""",
)


def create_statements() -> list[str]:
    """Every CREATE TABLE; the indexes come after the rows."""
    statements = list(_TABLES)
    ties = ", ".join(
        f"{name} INTEGER GENERATED ALWAYS AS ((id * {factor}) & 4294967295) VIRTUAL"
        for name, factor in TIES.items()
    )
    for resource in RESOURCES.values():
        columns = ", ".join(f"{name} {sql_type(kind)}" for name, kind in table_columns(resource).items())
        statements.append(
            f"CREATE TABLE {resource.name} (id INTEGER PRIMARY KEY AUTOINCREMENT, {columns}, "
            f"deleted_at TEXT, hidden INTEGER NOT NULL DEFAULT 0, locked INTEGER NOT NULL DEFAULT 0, {ties})",
        )
    return statements


def index_statements() -> list[str]:
    """Every CREATE INDEX apart from those of custom fields."""
    statements = [
        f"CREATE INDEX contacts_{column}_{tie} ON contacts ({column}, {tie}) WHERE {LIVE}"
        for column in INDEXED_ORDERS
        for tie in TIES
    ]
    statements += [
        f"CREATE INDEX contacts_live ON contacts (id) WHERE {LIVE}",
        "CREATE INDEX contacts_trash ON contacts (deleted_at) WHERE deleted_at IS NOT NULL",
        "CREATE INDEX contacts_email ON contacts (email)",
        "CREATE INDEX companies_domain ON companies (domain)",
        "CREATE INDEX phones_contact ON phones (contact_id)",
        "CREATE INDEX phones_number ON phones (number)",
        "CREATE INDEX links_other ON contact_links (resource, other_id)",
        "CREATE INDEX neighbour_links_other ON neighbour_links (other_resource, other_id)",
    ]
    return statements
