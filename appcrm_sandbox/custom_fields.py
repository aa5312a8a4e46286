"""The custom fields of a contact: their types, how one is asked for, and those that every sandbox has."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Literal

from appcrm_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from appcrm_sandbox.values import Json

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
