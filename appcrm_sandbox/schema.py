"""What is stored: the tables, the resources over them and the custom fields of a contact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appcrm_sandbox.values import Json

import dataclasses
import re
from typing import Literal

from appcrm_sandbox.errors import SandboxError

APPLICATION_ID = 0x41435242
VERSION = 2

Kind = Literal[
    "text",
    "textarea",
    "integer",
    "decimal",
    "boolean",
    "date",
    "date-time",
    "select",
    "multi-select",
    "email",
    "url",
]
SQL_TYPES: dict[str, str] = {
    "text": "TEXT COLLATE NOCASE",
    "textarea": "TEXT COLLATE NOCASE",
    "integer": "INTEGER",
    "decimal": "REAL",
    "boolean": "INTEGER",
    "date": "TEXT",
    "date-time": "TEXT",
    "select": "INTEGER",
    "multi-select": "TEXT",
    "email": "TEXT COLLATE NOCASE",
    "url": "TEXT COLLATE NOCASE",
}
INDEXED_KINDS = frozenset({"text", "integer", "email", "url"})
DATE_KINDS = frozenset({"date", "date-time"})
OPTION_KINDS = frozenset({"select", "multi-select"})
FIELD_NAME = re.compile(r"cf_[a-z_]{1,61}")
FLAGS = ("unique", "required")


@dataclasses.dataclass(frozen=True, slots=True)
class CustomField:
    """A field that this CRM's administrator added to contacts; options as (id, label)."""

    name: str
    kind: Kind
    options: tuple[tuple[int, str], ...] = ()
    unique: bool = False
    required: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class FieldRequest:
    """A custom field to declare; option labels get their ids when they are stored."""

    name: str
    kind: Kind
    options: tuple[str, ...] = ()
    unique: bool = False
    required: bool = False

    @classmethod
    def parse(cls, text: str) -> FieldRequest:
        """Read `name:type`, `name:text:unique` or `name:select:first|second`; SandboxError says what is wrong."""
        name, _, rest = text.partition(":")
        kind, _, further = rest.partition(":")
        words = [word for word in further.split("|") if word]
        if kind in OPTION_KINDS:
            return cls.of(name, kind, words)
        unknown = sorted(set(words) - set(FLAGS))
        if unknown:
            raise SandboxError(
                f"the custom field {name} takes {' and '.join(FLAGS)} behind its type, not {unknown[0]!r}."
            )
        return cls.of(name, kind or "text", unique="unique" in words, required="required" in words)

    @classmethod
    def of(
        cls,
        name: object,
        kind: Json,
        options: object = (),
        *,
        unique: object = False,
        required: object = False,
    ) -> FieldRequest:
        """A checked request; SandboxError says what is wrong."""
        if not isinstance(name, str) or not FIELD_NAME.fullmatch(name):
            raise SandboxError(
                "a custom field's name is cf_ and small letters and _, at most 64 characters, such as "
                f"cf_lifetime_value, not {name!r}."
            )
        if kind not in SQL_TYPES:
            raise SandboxError(
                f"the custom field {name} has the type {kind!r}; known are {', '.join(SQL_TYPES)}."
            )
        if not isinstance(options, (list, tuple)) or not all(isinstance(label, str) for label in options):
            raise SandboxError(f"the options of the custom field {name} must be a list of texts.")
        labels = tuple(options)
        if kind in OPTION_KINDS and not labels:
            labels = ("A", "B", "C")
        if not isinstance(unique, bool) or not isinstance(required, bool):
            raise SandboxError(f"unique and required of the custom field {name} must be true or false.")
        return cls(name, kind, labels, unique, required)


DEFAULT_FIELDS = (
    FieldRequest("cf_nickname", "text"),
    FieldRequest("cf_notes", "textarea"),
    FieldRequest("cf_loyalty_points", "integer"),
    FieldRequest("cf_credit_limit", "decimal"),
    FieldRequest("cf_newsletter", "boolean"),
    FieldRequest("cf_birthday", "date"),
    FieldRequest("cf_last_visit_at", "date-time"),
    FieldRequest("cf_segment", "select", ("Varejo", "Atacado", "Governo", "Educação")),
    FieldRequest("cf_interests", "multi-select", ("Música", "Esporte", "Viagem", "Tecnologia", "Culinária")),
    FieldRequest("cf_billing_email", "email"),
    FieldRequest("cf_website", "url"),
    FieldRequest("cf_lifetime_value", "decimal"),
    FieldRequest("cf_last_order_at", "date-time"),
    FieldRequest("cf_chinook_id", "integer"),
    FieldRequest("cf_member_since", "date"),
    FieldRequest("cf_tier", "select", ("Bronze", "Prata", "Ouro")),
    FieldRequest("cf_channels", "multi-select", ("E-mail", "Telefone", "WhatsApp")),
)


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
NEIGHBOURS = {resource.name: resource for resource in (COMPANIES, DEALS, ACTIVITIES)}
RESOURCES = {"contacts": CONTACTS, **NEIGHBOURS}
# What each resource may be associated with.
LINKS = {name: tuple(other for other in RESOURCES if other != name) for name in RESOURCES}

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
        sees TEXT NOT NULL DEFAULT '{}')""",
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
