"""The tap's settings: those of the API, and its own."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from appcrm.client import MAX_PAGE_SIZE
from appcrm.contact import canonical_timestamp
from appcrm.errors import SettingsError
from appcrm.settings import REQUIRED_SETTINGS, SETTINGS_SCHEMA, ApiSettings, account_of
from appcrm.version import VERSION
from tap_appcrm.shrink_limit import ShrinkLimit
from tap_appcrm.state import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

TAP_SETTINGS_SCHEMA: dict[str, dict[str, Any]] = {
    "start_date": {
        "type": ["string", "null"],
        "format": "date-time",
        "title": "Start date",
        "description": "Contacts not updated since are left out",
    },
    "page_size": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_PAGE_SIZE,
        "default": MAX_PAGE_SIZE,
        "title": "Page size",
        "description": "Contacts per request",
    },
    "query": {
        "type": ["string", "null"],
        "title": "Query",
        "description": "Search text: only contacts that it finds are read",
    },
    "search_fields": {
        "type": ["string", "null"],
        "title": "Search fields",
        "description": "Where the query searches, such as email:like;phones.number:=",
    },
    "search_match": {
        "type": ["string", "null"],
        "enum": ["and", "or", None],
        "title": "Search match",
        "description": "Whether all search fields must match (and) or any (or)",
    },
    "lookback_seconds": {
        "type": "integer",
        "minimum": 0,
        "default": 60,
        "title": "Lookback",
        "description": "Seconds before the bookmark that each run reads again, for rows that were committed late",
    },
    "custom_fields": {
        "type": "object",
        "default": {},
        "additionalProperties": {"type": "object"},
        "title": "Custom fields",
        "description": "Custom field name to JSON Schema, on top of what discovery finds",
    },
    "custom_fields_sample_pages": {
        "type": "integer",
        "minimum": 0,
        "default": 1,
        "title": "Sampled pages",
        "description": "Pages that discovery reads to find custom fields; 0 turns it off",
    },
    "detect_deletes": {
        "type": "boolean",
        "default": False,
        "title": "Detect deletes",
        "description": "Emits a record with _sdc_deleted_at for each contact that is gone",
    },
    "max_shrink": {
        "type": ["string", "integer"],
        "default": "20%",
        "title": "Largest shrinkage",
        "description": (
            "How many contacts may be missing since the last complete read before a read ends with an error instead "
            "of marking them gone: a count, or a share, which is never less than 10"
        ),
    },
    "receipt_path": {
        "type": ["string", "null"],
        "title": "Receipt path",
        "description": "File for the run's receipt: JSON Lines, one object for each stream",
    },
    "emit_activate_version_messages": {
        "type": "boolean",
        "default": True,
        "title": "Activate versions",
        "description": "Whether a FULL_TABLE read ends with ACTIVATE_VERSION, so that loaders drop what is gone",
    },
}


def config_schema() -> dict[str, Any]:
    """Return the schema of all settings, as a new dictionary."""
    return copy.deepcopy(
        {
            "type": "object",
            "properties": SETTINGS_SCHEMA | TAP_SETTINGS_SCHEMA,
            "required": list(REQUIRED_SETTINGS),
        }
    )


STREAM_ORDER = (
    "contacts",
    "contact_associations",
    "companies",
    "deals",
    "activities",
    "users",
    "sources",
    "pipeline_stages",
)
"""Contacts first: associations are read of the contacts that the run emits."""

USER_AGENT = f"tap-appcrm/{VERSION}"

TYPES: dict[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}
"""The types of JSON Schema."""


def api_settings(config: Mapping[str, Any]) -> ApiSettings:
    """Read the API's settings from a configuration.

    Raises:
        SettingsError: one that cannot work.
    """
    return ApiSettings.from_config(config, user_agent=USER_AGENT)


@dataclass(frozen=True)
class TapSettings:
    """How to read; the API's own settings are apart."""

    start_date: str | None
    page_size: int
    query: str | None
    search_fields: str | None
    search_match: str | None
    lookback_seconds: int
    custom_fields: dict[str, dict[str, Any]]
    sample_pages: int
    detect_deletes: bool
    max_shrink: ShrinkLimit
    account: str
    receipt_path: str | None
    activates_versions: bool
    concurrency: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TapSettings:
        """Read the tap's settings from a validated configuration.

        Raises:
            SettingsError: ``start_date`` is no moment, or ``custom_fields`` hold what is no JSON Schema.
        """

        def value(name: str) -> Any:  # noqa: ANN401  each setting has its own type
            given = config.get(name)
            schema = (SETTINGS_SCHEMA | TAP_SETTINGS_SCHEMA)[name]
            return schema.get("default") if given is None else given

        start_date = None
        if value("start_date") is not None:
            start_date = canonical_timestamp(str(value("start_date")))
            if start_date is None:
                raise SettingsError("start_date must be a date or a timestamp, such as 2026-01-23T00:00:00Z")
        for name, schema in value("custom_fields").items():
            for mistake in schema_mistakes(schema, f"custom_fields.{name}"):
                raise SettingsError(mistake)
        try:
            max_shrink = ShrinkLimit.parse(value("max_shrink"))
        except ValueError:
            raise SettingsError(
                'max_shrink must be a count, such as 500, or a share, such as "20%"'
            ) from None
        return cls(
            start_date=start_date,
            page_size=value("page_size"),
            query=value("query") or None,
            search_fields=value("search_fields") or None,
            search_match=value("search_match") or None,
            lookback_seconds=value("lookback_seconds"),
            custom_fields=dict(value("custom_fields")),
            sample_pages=value("custom_fields_sample_pages"),
            detect_deletes=value("detect_deletes"),
            max_shrink=max_shrink,
            account=account_of(str(config.get("api_url") or "")),
            receipt_path=value("receipt_path"),
            activates_versions=value("emit_activate_version_messages"),
            concurrency=value("concurrency"),
        )

    @property
    def of_everything(self) -> TapSettings:
        """The same without what narrows contacts: a neighbour is read whole, so that every id finds its row."""
        return replace(self, start_date=None, query=None, search_fields=None, search_match=None)

    @property
    def scope(self) -> Scope:
        """Whose contacts are read, and which of them."""
        return Scope(self.account, self.query, self.search_fields, self.search_match, self.start_date)


def schema_mistakes(schema: object, path: str) -> Iterator[str]:
    """Yield what keeps the types of a JSON Schema from being used, each with its place in the settings."""
    if not isinstance(schema, dict):
        yield f"{path} must be a JSON Schema, an object"
        return
    kinds = schema.get("type", [])
    names = kinds if isinstance(kinds, list) else [kinds]
    if not all(name in TYPES for name in names):
        yield f"{path}.type must be one of {', '.join(TYPES)}, or a list of them"
    if "items" in schema:
        yield from schema_mistakes(schema["items"], f"{path}.items")
    properties = schema.get("properties", {})
    if not isinstance(properties, dict):
        yield f"{path}.properties must be an object"
        return
    for name, inner in properties.items():
        yield from schema_mistakes(inner, f"{path}.properties.{name}")


def setting_error(path: Iterable[object], rule: str, wanted: object) -> str:
    """Say in one sentence what a setting must be, without repeating its value, which may be a secret.

    Args:
        path: of the value in the configuration.
        rule: the JSON Schema keyword that was broken.
        wanted: the keyword's value.
    """
    name = ".".join(str(part) for part in path) or "the configuration"
    if rule == "type":
        kinds = wanted if isinstance(wanted, list) else [wanted]
        return f"{name} must be of type {' or '.join(str(kind) for kind in kinds)}"
    if rule == "minimum":
        return f"{name} must be at least {wanted}"
    if rule == "maximum":
        return f"{name} must be at most {wanted}"
    if rule == "enum" and isinstance(wanted, list):
        return f"{name} must be one of {', '.join(str(choice) for choice in wanted if choice is not None)}"
    return f"{name} is not what the setting takes ({rule})"
