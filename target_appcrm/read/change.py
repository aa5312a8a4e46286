"""A record of any tap as a change to one contact, or the reason why it cannot be one."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from appcrm.contact import (
    ASSOCIATIONS,
    ID_FIELDS,
    READ_ONLY_FIELDS,
    SCALAR_FIELDS,
    SCREEN_NOISE,
    as_id,
    is_custom_field,
    option_value,
    parse_timestamp,
)
from target_appcrm.errors import Unwritable
from target_appcrm.match.equality import as_number, is_empty
from target_appcrm.match.keys import MatchKey, match_keys
from target_appcrm.settings import ASSOCIATION_MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_appcrm.settings import TargetSettings

CONTACTS = "contacts"
CONTACT_ASSOCIATIONS = "contact_associations"
STREAMS = (CONTACTS, CONTACT_ASSOCIATIONS)

OWN_MODES = "_associations"
DELETED_AT = "_sdc_deleted_at"
SILENTLY_DROPPED = frozenset(READ_ONLY_FIELDS) | SCREEN_NOISE | {OWN_MODES, "contact_id"}


class StreamSchema(msgspec.Struct, frozen=True):
    """One stream as one SCHEMA message described it.

    Args:
        name: ``contacts`` or ``contact_associations``.
        source: the stream's name in the input, and its schema and keys there.
        schema: after stream maps.
    """

    name: str
    schema: Mapping[str, Any]
    key_properties: tuple[str, ...]
    source: str
    source_schema: Mapping[str, Any]
    source_key_properties: tuple[str, ...] | None
    formats: Mapping[str, str] = msgspec.field(default_factory=dict)

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
        properties = schema.get("properties", {})
        formats = {
            name: found
            for name, definition in properties.items()
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


def _format(definition: object) -> str | None:
    if not isinstance(definition, dict):
        return None
    if isinstance(definition.get("format"), str):
        return str(definition["format"])
    options = definition.get("anyOf") or definition.get("oneOf")
    return next(filter(None, map(_format, options)), None) if isinstance(options, list) else None


class Change(msgspec.Struct):
    """What a record wants of a contact.

    Args:
        fields: writable field to value, normalised; None where the record says null.
        associations: ``companies``, ``deals`` and ``activities`` that the record names, each id once.
        modes: of those, how each is applied.
        keys: to find the contact by, in order.
        is_delete: whether the contact is to be deleted.
        unknown: fields that are not sent.
    """

    fields: dict[str, Any]
    associations: dict[str, list[int]]
    modes: dict[str, str]
    keys: tuple[MatchKey, ...]
    is_delete: bool
    unknown: list[str]


def _sorted_out(
    record: Mapping[str, Any], stream: StreamSchema, settings: TargetSettings
) -> tuple[dict[str, Any], dict[str, list[int]], list[str]]:
    """Return a record's writable fields, its associations, and the names of what is not sent."""
    fields: dict[str, Any] = {}
    unknown: list[str] = []
    associations: dict[str, list[int]] = {}
    takes_fields = stream.name == CONTACTS
    for name, value in record.items():
        if name in ASSOCIATIONS:
            if value is not None:
                associations[name] = read_ids(name, value)
        elif not takes_fields and (name == "email" or name in settings.custom_keys):
            fields[name] = value
        elif not takes_fields:
            continue
        elif name in FIELD_READERS:
            fields[name] = FIELD_READERS[name](name, value)
        elif is_custom_field(name, settings.custom_names):
            fields[name] = read_custom(name, value, stream.formats.get(name))
        elif not (
            name in SILENTLY_DROPPED
            or name.startswith("_sdc_")
            or name.endswith("_count")
            or name in stream.key_properties
        ):
            unknown.append(name)
    return fields, associations, unknown


def read_change(record: Mapping[str, Any], stream: StreamSchema, settings: TargetSettings) -> Change:
    """Read a record.

    Raises:
        Unwritable: a value that the CRM cannot hold, or modes that say nothing clear.
    """
    fields, associations, unknown = _sorted_out(record, stream, settings)
    takes_fields = stream.name == CONTACTS
    external = settings.external_id_field
    if external and is_empty(fields.get(external)):
        value = external_id(record, stream)
        if value is not None:
            fields[external] = value
    own_id = record.get("contact_id") if stream.name == CONTACT_ASSOCIATIONS else record.get("id")
    keys = match_keys(settings.key_fields, {**fields, "id": own_id})
    return Change(
        fields=fields if takes_fields else {},
        associations=associations,
        modes=read_modes(record.get(OWN_MODES), settings.associations),
        keys=keys,
        is_delete=not is_empty(record.get(DELETED_AT)),
        unknown=unknown,
    )


def external_id(record: Mapping[str, Any], stream: StreamSchema) -> str | None:
    """Return the source's key of a record as text, which a text field takes and a number field, too.

    Several key properties are joined with ``|``.
    """
    values = [record.get(name) for name in stream.key_properties]
    if not values or any(is_empty(value) or isinstance(value, (dict, list)) for value in values):
        return None
    return "|".join(str(value) for value in values)


def key_of(record: Mapping[str, Any], stream: StreamSchema) -> dict[str, Any]:
    """Return what names a record in receipts: its key properties, else its e-mail address or id."""
    key = {name: record.get(name) for name in stream.key_properties if name in record}
    if key:
        return key
    return {name: record[name] for name in ("email", "id", "contact_id") if not is_empty(record.get(name))}


def read_text(name: str, value: object) -> str | None:
    """Read a text; numbers become theirs, empty ones null."""
    if is_empty(value):
        return None
    if isinstance(value, str):
        return checked_text(name, value)
    if as_number(value) is not None:
        return str(value)
    raise Unwritable(f"{name} must be text, not {_kind(value)}")


def checked_text(name: str, value: str) -> str:
    """Return a text that the CRM can hold."""
    if "\x00" in value:
        raise Unwritable(f"{name} holds a NUL character, which the CRM cannot store; remove it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unwritable(f"{name} holds half of a character pair, which is no text; repair it") from error
    return value


def read_reference(name: str, value: object) -> int | None:
    """Read the id of a user, source or country."""
    if is_empty(value):
        return None
    number = _whole(option_value(value))
    if number is None:
        raise Unwritable(f"{name} must be an id, a whole number, not {_kind(value)}")
    return number


def _whole(value: object) -> int | None:
    if isinstance(value, (float, Decimal)) and value == value.__trunc__():
        value = int(value)
    return as_id(value)


def read_list(name: str, value: object) -> list[Any] | None:
    """Read a list, or the JSON text of one, as warehouses keep them."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError as error:
            raise Unwritable(f"{name} must be a list, or its JSON, not other text") from error
    if value is None:
        return None
    if not isinstance(value, list):
        raise Unwritable(f"{name} must be a list, not {_kind(value)}")
    return [item for item in value if item is not None]


def read_phones(name: str, value: object) -> list[dict[str, Any]] | None:
    """Read phones: objects with ``number`` and ``type``, or bare numbers."""
    items = read_list(name, value)
    if items is None:
        return None
    phones = []
    for item in items:
        phone = item if isinstance(item, dict) else {"number": item}
        number = read_text(f"{name}.number", phone.get("number"))
        kind = read_text(f"{name}.type", phone.get("type"))
        if number is None:
            raise Unwritable(f"{name} holds an item without a number")
        phones.append({"number": number.strip(), "type": kind.strip().lower() if kind else None})
    return phones


def read_tags(name: str, value: object) -> list[str] | None:
    """Read tags: names, or objects with ``name``."""
    items = read_list(name, value)
    if items is None:
        return None
    tags = [read_text(name, item.get("name") if isinstance(item, dict) else item) for item in items]
    return list(dict.fromkeys(tag.strip() for tag in tags if tag))


def read_ids(name: str, value: object) -> list[int]:
    """Read associated ids, or objects with ``id``; each once, in order."""
    ids = []
    for item in read_list(name, value) or ():
        number = _whole(item.get("id") if isinstance(item, dict) else item)
        if number is None:
            raise Unwritable(f"{name} must be a list of ids, whole numbers")
        ids.append(number)
    return list(dict.fromkeys(ids))


def read_custom(name: str, value: object, date_format: str | None) -> Any:  # noqa: ANN401  any JSON value
    """Read a custom field: options become ids, dates take the form in which the CRM takes them."""
    value = option_value(value)
    if isinstance(value, list):
        return [read_custom(name, item, None) for item in value if item is not None]
    if is_empty(value):
        return None
    if isinstance(value, str):
        return write_date(checked_text(name, value), date_format)
    if isinstance(value, dict):
        checked_text(name, json.dumps(value, default=str, ensure_ascii=False))
    if isinstance(value, (float, Decimal)):
        number = Decimal(str(value))
        if not number.is_finite():
            raise Unwritable(f"{name} must be a finite number")
        return int(number) if number == number.to_integral_value() and abs(number) < _INTEGERS else number
    return value


_INTEGERS = 2**63


def write_date(text: str, date_format: str | None) -> str:
    """Write a date as ``YYYY-MM-DD`` and a moment as ``YYYY-MM-DD HH:MM:SS`` in UTC; other text stays."""
    moment = parse_timestamp(text) if date_format else None
    if moment is None:
        return text
    if date_format == "date":
        # The day as it is written: an offset must not move it to the day before.
        return text.strip()[: len("2026-01-02")]
    return f"{moment.isoformat(sep=' ', timespec='seconds')[: len('2026-01-02 03:04:05')]}"


def read_modes(value: object, default: str) -> dict[str, str]:
    """Read a record's own ``_associations``: a mode, or an object from ``mode`` or a stream's name to one."""
    modes = dict.fromkeys(ASSOCIATIONS, default)
    if is_empty(value):
        return modes
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Unwritable(f"{OWN_MODES} is not JSON") from error
    if isinstance(value, str):
        return dict.fromkeys(ASSOCIATIONS, _mode(value))
    if not isinstance(value, dict):
        raise Unwritable(f"{OWN_MODES} must be one of {', '.join(ASSOCIATION_MODES)}, or an object of them")
    if value.get("mode") is not None:
        modes = dict.fromkeys(ASSOCIATIONS, _mode(value["mode"]))
    for name, mode in value.items():
        if name in ASSOCIATIONS:
            modes[name] = _mode(mode.get("mode") if isinstance(mode, dict) else mode)
        elif name != "mode":
            raise Unwritable(f"{OWN_MODES} may name mode, {', '.join(ASSOCIATIONS)}, and nothing else")
    return modes


def _mode(value: object) -> str:
    mode = value.strip().lower() if isinstance(value, str) else ""
    if mode not in ASSOCIATION_MODES:
        raise Unwritable(f"{OWN_MODES} must be one of {', '.join(ASSOCIATION_MODES)}")
    return mode


def _kind(value: object) -> str:
    kinds = {bool: "true or false", dict: "an object", list: "a list", str: "text"}
    return kinds.get(type(value), "a number")


FIELD_READERS: dict[str, Callable[[str, Any], Any]] = {
    **{name: read_reference if name in ID_FIELDS else read_text for name in SCALAR_FIELDS},
    "phones": read_phones,
    "tags": read_tags,
}
