"""The lists of a resource's fields (`/contacts/index-fields` and its like) and of its filters' rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm_sandbox.filters import KINDS, OPERATORS, rules_of
from appcrm_sandbox.schema import CONTACTS, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appcrm_sandbox.custom_fields import CustomField

# Kind of a field → the word for its type. No fact says which words the CRM has for them.
TYPE_WORDS = {
    "text": "Text",
    "textarea": "Textarea",
    "email": "Email",
    "url": "Url",
    "integer": "Number",
    "decimal": "Numeric",
    "boolean": "Boolean",
    "date": "Date",
    "date-time": "DateTime",
    "select": "Select",
    "multi-select": "MultiSelect",
    "user": "User",
    "source": "Source",
    "country": "Country",
    "stage": "PipelineStage",
    "phones": "Phone",
    "tags": "Tags",
}
FIELD_LISTS = ("index-fields", "export-fields", "create-fields")
_READ_ONLY = {"created_at": "date-time", "updated_at": "date-time"}
_UNIQUE = frozenset({"email"})


def fields_of(
    resource: Resource, custom: Mapping[str, CustomField], *, written: bool = False
) -> list[dict[str, Any]]:
    """The fields of a resource; `written` leaves out what nobody can write."""
    kinds = dict(resource.columns)
    if resource is CONTACTS:
        kinds |= {"phones": "phones", "tags": "tags"}
    if not written:
        kinds |= _READ_ONLY
    fields = [
        _field(name, kind, required=name in resource.required, unique=name in _UNIQUE)
        for name, kind in kinds.items()
    ]
    if resource is CONTACTS:
        fields += [
            _field(
                field.name,
                field.kind,
                label=field.name.removeprefix("cf_").replace("_", " ").capitalize(),
                options=[
                    {"id": option_id, "name": label, "swatch_color": None}
                    for option_id, label in field.options
                ],
                required=field.required,
                unique=field.unique,
                custom=True,
            )
            for field in custom.values()
        ]
    return fields


def _field(
    name: str,
    kind: str,
    *,
    label: str | None = None,
    options: list[dict[str, Any]] | None = None,
    required: bool = False,
    unique: bool = False,
    custom: bool = False,
) -> dict[str, Any]:
    return {
        "attribute": name,
        "type": TYPE_WORDS[kind],
        "label": label or name.removesuffix("_id").replace("_", " ").capitalize(),
        "options": options or [],
        "is_required": required,
        "is_unique": unique,
        "is_custom": custom,
    }


def custom_fields_of(custom: Mapping[str, CustomField]) -> list[dict[str, Any]]:
    """What super admins see of the custom fields."""
    return [
        {"id": position, "resource_name": CONTACTS.name, **field}
        for position, field in enumerate(
            (field for field in fields_of(CONTACTS, custom) if field["is_custom"]), 1
        )
    ]


def shown_rules(resource: Resource, custom: Mapping[str, CustomField]) -> list[dict[str, Any]]:
    """The rules that `filters` takes, with their operators."""
    return [
        {
            "id": name,
            "type": KINDS[kind],
            "label": name.removesuffix("_id").removeprefix("cf_").replace("_", " ").capitalize(),
            "operators": list(OPERATORS[KINDS[kind]]),
        }
        for name, kind in rules_of(resource, dict(custom)).items()
    ]
