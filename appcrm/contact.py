"""A contact, normalised both ways: what is read is not what is written.

Field tables follow the vendor page (write) and what Concord CRM deployments return (read). Everything here is
a pure function on plain data.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

SCALAR_FIELDS = (
    "first_name",
    "last_name",
    "email",
    "job_title",
    "street",
    "city",
    "state",
    "postal_code",
    "user_id",
    "source_id",
    "country_id",
)
"""Writable fields that hold one value (vendor page, Create Contact)."""

ID_FIELDS = frozenset({"user_id", "source_id", "country_id"})
LIST_FIELDS = ("phones", "tags")
"""Writable lists: a PUT replaces the whole list."""

BODY_ASSOCIATIONS = ("companies", "deals")
"""Associations that create and update carry in their body."""

ASSOCIATIONS = ("companies", "deals", "activities")
"""Associations that the association calls take (vendor page, Attach, Detach and Sync Associations)."""

TIMESTAMP_FIELDS = (
    "created_at",
    "updated_at",
    "owner_assigned_date",
    "next_activity_date",
    "last_contacted_at",
)
NESTED_FIELDS = ("user", "source", "country")
"""Objects that stand beside their ids in what is read."""

READ_ONLY_FIELDS = ("id", "display_name", *TIMESTAMP_FIELDS, *NESTED_FIELDS)

SCREEN_NOISE = frozenset(
    {
        "actions",
        "authorizations",
        "avatar",
        "avatar_url",
        "uploaded_avatar_url",
        "guest_email",
        "guest_display_name",
        "media",
        "path",
        "timeline_subject_key",
        "was_recently_created",
    }
)
"""What the CRM's own screens need and no warehouse wants."""

CUSTOM_FIELD_PREFIX = "cf_"

ALWAYS_SENT = frozenset({"id", "phones", "tags"})
"""What rows hold whatever ``select`` asks for."""
LONGEST_ID_TEXT = 40

CANONICAL_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)


def is_custom_field(name: str, declared: frozenset[str] | set[str] = frozenset()) -> bool:
    """Whether a top-level name is a custom field: by its prefix, or because a setting declares it."""
    return name.startswith(CUSTOM_FIELD_PREFIX) or name in declared


def parse_timestamp(value: object) -> datetime | None:
    """Read a moment as the API writes it, in UTC; None for whatever is no moment.

    ISO with or without a fraction, with ``Z``, an offset or neither (then UTC), a space for the ``T``, or a
    date alone.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)
    if not isinstance(value, str):
        return None
    found = _TIMESTAMP.fullmatch(value.strip())
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    clock = clock or "00:00:00"
    if len(clock) == len("00:00"):
        clock += ":00"
    micros = ((fraction or ".")[1:] + "000000")[:6]
    zone = "+00:00" if zone is None or zone in "Zz" else zone
    if ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{micros}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def format_timestamp(moment: datetime) -> str:
    """Write a moment in the API's own form, which sorts as text: ``2026-01-23T04:58:56.000000Z``."""
    moment = moment.astimezone(timezone.utc)
    # strftime does not pad years below 1000 on every platform.
    return f"{moment.isoformat(timespec='microseconds')[:26]}Z"


def canonical_timestamp(value: object) -> str | None:
    """Return a moment in the API's own form, whatever form it came in; None for whatever is no moment."""
    if isinstance(value, str) and CANONICAL_TIMESTAMP.fullmatch(value):
        return value if _is_moment(value) else None
    moment = parse_timestamp(value)
    return None if moment is None else format_timestamp(moment)


def _is_moment(canonical: str) -> bool:
    """Whether a text in the API's own form is a moment: databases hold days such as 0000-00-00, too."""
    try:
        datetime.fromisoformat(canonical[:26])
    except ValueError:
        return False
    return True


def only_selected(row: dict[str, Any], selected: Collection[str]) -> dict[str, Any]:
    """Return what a row says under ``select``: what was not selected is a null there, and says nothing.

    Args:
        row: as it came.
        selected: the fields that were asked for; the id, phones, tags and counts are there all the same (source).
    """
    return {
        name: value
        for name, value in row.items()
        if name in selected or name in ALWAYS_SENT or name.endswith("_count")
    }


def related_ids(value: object) -> list[int] | None:
    """Read associated records, objects with ``id`` or bare ids; None where the API did not send them."""
    if not isinstance(value, (list, tuple)):
        return None
    ids = (item.get("id") if isinstance(item, dict) else item for item in value)
    return [number for number in (as_id(i) for i in ids) if number is not None]


def as_id(value: object) -> int | None:
    """Read an id: a whole number, or its text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if (
        isinstance(value, str)
        and len(value) < LONGEST_ID_TEXT
        and value.strip().isascii()
        and value.strip().isdigit()
    ):
        return int(value)
    return None


def tag_names(value: object) -> list[str] | None:
    """Read tags, objects with ``name`` or strings, as names; None where the API did not send them."""
    if not isinstance(value, (list, tuple)):
        return None
    names = (item.get("name") if isinstance(item, dict) else item for item in value)
    return [str(name) for name in names if name is not None]


def phone_list(value: object) -> list[dict[str, Any]] | None:
    """Read phones as ``{id, number, type}``; None where the API did not send them."""
    if not isinstance(value, (list, tuple)):
        return None
    phones = []
    for item in value:
        if isinstance(item, dict):
            kind = item.get("type")
            if isinstance(kind, dict):
                kind = kind.get("name") or kind.get("value") or kind.get("id")
            number = item.get("number")
            phones.append(
                {
                    "id": as_id(item.get("id")),
                    "number": None if number is None else str(number),
                    "type": None if kind is None else str(kind),
                }
            )
        elif isinstance(item, (str, int)) and not isinstance(item, bool):
            phones.append({"id": None, "number": str(item), "type": None})
    return phones


def option_value(value: object) -> object:
    """Read a custom field's value: options become their ids, everything else stays as it is."""
    if isinstance(value, list):
        return [_option_id(item) for item in value]
    return _option_id(value)


def _option_id(value: object) -> object:
    """Read one option; an object without a usable id stays whole, so that nothing of it is lost."""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, (int, str)) and not isinstance(found, bool) else value


def named_reference(value: object) -> dict[str, Any] | None:
    """Read a nested object such as ``user`` as ``{id, name}``; None where there is none."""
    if not isinstance(value, dict):
        return None
    name = value.get("name") or value.get("display_name")
    return {"id": as_id(value.get("id")), "name": None if name is None else str(name)}


def normalise(row: dict[str, Any], custom_fields: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    """Return what the API sent about a contact without screen noise, in one shape whatever call sent it.

    Scalars stay as they came; timestamps take the API's own form; ``phones`` are ``{id, number, type}``,
    ``tags`` names, ``companies``, ``deals`` and ``activities`` ids, options their ids. A key that was not
    sent is absent.

    Args:
        row: a contact as listed, retrieved, found or returned by a write.
        custom_fields: names of custom fields beyond ``cf_…``.
    """
    contact: dict[str, Any] = {}
    for name, value in row.items():
        if name in SCREEN_NOISE:
            continue
        if name in ASSOCIATIONS:
            ids = related_ids(value)
            if ids is not None:
                contact[name] = ids
        elif name == "tags":
            contact[name] = tag_names(value)
        elif name == "phones":
            contact[name] = phone_list(value)
        elif name in TIMESTAMP_FIELDS:
            contact[name] = canonical_timestamp(value)
        elif name in NESTED_FIELDS:
            contact[name] = named_reference(value)
        elif is_custom_field(name, custom_fields):
            contact[name] = option_value(value)
        else:
            contact[name] = value
    return contact
