"""The JSON Schema of a contact, the same for every peer."""

from __future__ import annotations

from typing import Any

STRINGS = (
    "first_name",
    "last_name",
    "email",
    "job_title",
    "street",
    "city",
    "state",
    "postal_code",
    "cf_cnpj",
    "cf_note",
)
INTEGERS = ("id", "user_id", "source_id", "country_id")


def nullable(kind: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  parts of a JSON Schema
    """Return a type that may be null."""
    return {"type": [kind, "null"], **more}


PHONE = nullable(
    "object", properties={"id": nullable("integer"), "number": nullable("string"), "type": nullable("string")}
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **{name: nullable("integer") for name in INTEGERS},
        **{name: nullable("string") for name in STRINGS},
        "phones": nullable("array", items=PHONE),
        "tags": nullable("array", items=nullable("string")),
        "companies": nullable("array", items=nullable("integer")),
        "deals": nullable("array", items=nullable("integer")),
        "cf_score": nullable("number"),
        "cf_contract_end": nullable("string", format="date"),
        "cf_newsletter": nullable("boolean"),
        "created_at": nullable("string", format="date-time"),
        "updated_at": nullable("string", format="date-time"),
    },
}
