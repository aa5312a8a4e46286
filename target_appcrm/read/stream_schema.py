"""A stream as one SCHEMA message described it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appcrm.contact import ASSOCIATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTACTS = "contacts"
CONTACT_ASSOCIATIONS = "contact_associations"
STREAMS = (CONTACTS, CONTACT_ASSOCIATIONS)
DEEPEST_FORMAT = 8


@dataclass(frozen=True)
class StreamSchema:
    """One stream as one SCHEMA message described it.

    Args:
        name: ``contacts`` or ``contact_associations``.
        schema: after stream maps, as are the keys.
        source: the stream's name in the input, and its schema and keys there.
        formats: property to ``date`` or ``date-time``, where the schema says so.
    """

    name: str
    schema: Mapping[str, Any]
    key_properties: tuple[str, ...]
    source: str
    source_schema: Mapping[str, Any]
    source_key_properties: tuple[str, ...] | None
    formats: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_associations(self) -> bool:
        """Whether its records may name any."""
        return any(name in self.schema.get("properties", {}) for name in ASSOCIATIONS)

    @classmethod
    def make(
        cls,
        name: str,
        schema: Mapping[str, Any],
        key_properties: Sequence[str] | None,
        source: str,
        source_schema: Mapping[str, Any],
        source_key_properties: Sequence[str] | None,
    ) -> StreamSchema:
        """Make one out of a SCHEMA message before and after its stream map."""
        formats = {
            name: found
            for name, definition in schema.get("properties", {}).items()
            if (found := _format(definition)) in ("date", "date-time")
        }
        return cls(
            name=name,
            schema=schema,
            key_properties=tuple(key_properties or ()),
            source=source,
            source_schema=source_schema,
            source_key_properties=None if source_key_properties is None else tuple(source_key_properties),
            formats=formats,
        )


def _format(definition: object, depth: int = 0) -> str | None:
    if not isinstance(definition, dict) or depth > DEEPEST_FORMAT:
        return None
    if isinstance(definition.get("format"), str):
        return str(definition["format"])
    options = definition.get("anyOf") or definition.get("oneOf")
    if not isinstance(options, list):
        return None
    return next(filter(None, (_format(option, depth + 1) for option in options)), None)
