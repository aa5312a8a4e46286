"""A record of any tap as a change to one contact, or the reason why it cannot be one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appcrm.contact import (
    ASSOCIATIONS,
    ID_FIELDS,
    READ_ONLY_FIELDS,
    SCALAR_FIELDS,
    SCREEN_NOISE,
    is_custom_field,
)
from target_appcrm.errors import Unwritable
from target_appcrm.match.equality import is_empty, key_text, whole_number
from target_appcrm.match.keys import EMAIL, ID, MatchKey, match_keys
from target_appcrm.read.names import Reference, read_objects, read_reference, read_related
from target_appcrm.read.stream_schema import CONTACT_ASSOCIATIONS, CONTACTS, StreamSchema
from target_appcrm.read.values import (
    is_deleted,
    kind_of,
    parse_json,
    read_address,
    read_custom,
    read_phones,
    read_tags,
    read_text,
)
from target_appcrm.settings import ASSOCIATION_MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from target_appcrm.settings import TargetSettings

OWN_MODES = "_associations"
DELETED_AT = "_sdc_deleted_at"
MISFITS = "_appcrm_misfits"
SILENTLY_DROPPED = frozenset(READ_ONLY_FIELDS) | SCREEN_NOISE | {OWN_MODES, MISFITS, "contact_id"}
JOINT, ESCAPE = "|", "\\"
KNOWN_FIELDS = (*SCALAR_FIELDS, "phones", "tags", *ASSOCIATIONS, ID)


@dataclass
class Change:
    """What a record wants of a contact.

    Args:
        fields: writable field to value, normalised; None where the record says null. An owner, source or country
            may be a name.
        associations: ``companies``, ``deals`` and ``activities`` that the record names, each once, by id or name.
        modes: of those, how each is applied.
        keys: to find the contact by, in order.
        is_delete: whether the contact is to be deleted.
        unknown: fields that are not sent.
        formats: of custom fields, ``date`` or ``date-time``, where the stream's schema says so.
        makes_contacts: whether it may create a contact.
        missing: custom fields that the CRM requires of a new contact, and that the record does not have.
        fault: why it is refused, where that shows only once its contact and its names were looked up.
    """

    fields: dict[str, Any]
    associations: dict[str, list[Any]]
    modes: dict[str, str]
    keys: tuple[MatchKey, ...]
    is_delete: bool
    unknown: list[str]
    formats: Mapping[str, str] = field(default_factory=dict)
    makes_contacts: bool = True
    missing: tuple[str, ...] = ()
    fault: Unwritable | None = None


def read_change(record: Mapping[str, Any], stream: StreamSchema, settings: TargetSettings) -> Change:
    """Read a record.

    Raises:
        Unwritable: a value that the CRM cannot hold, or modes that say nothing clear.
    """
    record = without_misfits(record)
    fields, associations, unknown = _sorted_out(record, stream, settings)
    external = settings.external_id_field
    if external and is_empty(fields.get(external)):
        value = external_id(record, stream)
        if value is not None:
            fields[external] = value
    keys = match_keys(settings.key_fields, {**fields, ID: _own_id(record, stream, settings)})
    for name in settings.custom_keys:
        if not is_empty(fields.get(name)) and key_text(fields[name]) is None:
            raise Unwritable(f"{name} is a match key, so it must be one value, not {kind_of(fields[name])}")
    if stream.name != CONTACTS:
        fields = {}
    return Change(
        fields=fields,
        associations=dict(associations),
        modes=read_modes(record.get(OWN_MODES), settings.associations),
        keys=keys,
        is_delete=is_deleted(DELETED_AT, record.get(DELETED_AT)),
        unknown=unknown,
        formats=stream.formats,
        makes_contacts=stream.name == CONTACTS,
    )


def without_misfits(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record without the fields whose values did not fit their columns: what is null there is not empty."""
    misfits = record.get(MISFITS)
    if isinstance(misfits, str):
        misfits = parse_json(MISFITS, misfits) if misfits.strip() else None
    if misfits is None:
        return record
    if not isinstance(misfits, dict):
        raise Unwritable(f"{MISFITS} must be an object of fields, as the tap writes it")
    return {name: value for name, value in record.items() if name not in misfits}


def _sorted_out(
    record: Mapping[str, Any], stream: StreamSchema, settings: TargetSettings
) -> tuple[dict[str, Any], dict[str, list[Reference]], list[str]]:
    """Return a record's writable fields, its associations, and the names of what is not sent."""
    fields: dict[str, Any] = {}
    unknown: list[str] = []
    associations: dict[str, list[Reference]] = {}
    takes_fields = stream.name == CONTACTS
    for name, value in record.items():
        if name in ASSOCIATIONS:
            if value is not None:
                associations[name] = read_related(name, value)
        elif not takes_fields and name != EMAIL and name not in settings.custom_keys:
            continue
        elif name in FIELD_READERS:
            fields[name] = FIELD_READERS[name](name, value)
        elif is_custom_field(name, settings.custom_names):
            fields[name] = read_custom(name, value)
        elif not (
            name in SILENTLY_DROPPED
            or name.startswith("_sdc_")
            or name.endswith("_count")
            or (name in stream.key_properties and name.strip().casefold() not in KNOWN_FIELDS)
        ):
            unknown.append(name)
    return {**fields, **(read_objects(record) if takes_fields else {})}, associations, unknown


def _own_id(record: Mapping[str, Any], stream: StreamSchema, settings: TargetSettings) -> int | None:
    """Return the id of a record's contact, where it has one that may be this CRM's."""
    name = "contact_id" if stream.name == CONTACT_ASSOCIATIONS else ID
    value = record.get(name)
    number = whole_number(value)
    if number is None and not is_empty(value) and ID in settings.key_fields:
        raise Unwritable(f"{name} is a match key, so it must be the id of a contact, a whole number")
    return number


def external_id(record: Mapping[str, Any], stream: StreamSchema) -> str | None:
    """Return the source's key of a record as text, which a text field takes and a number field, too.

    Several key properties are joined with ``|``; what could be taken for the joint is escaped, so that two keys never
    become one.
    """
    texts = [key_text(record.get(name)) for name in stream.key_properties]
    known = [text for text in texts if text is not None]
    if not known or len(known) < len(texts):
        return None
    if len(known) == 1:
        return known[0]
    return JOINT.join(text.replace(ESCAPE, ESCAPE * 2).replace(JOINT, ESCAPE + JOINT) for text in known)


def key_of(record: Mapping[str, Any], stream: StreamSchema) -> dict[str, Any]:
    """Return what names a record in receipts: its key properties, else its e-mail address or id."""
    key = {name: record.get(name) for name in stream.key_properties if name in record}
    if key:
        return key
    return {name: record[name] for name in (EMAIL, ID, "contact_id") if not is_empty(record.get(name))}


def read_modes(value: object, default: str) -> dict[str, str]:
    """Read a record's own ``_associations``: a mode, or an object from ``mode`` or a stream's name to one."""
    modes = dict.fromkeys(ASSOCIATIONS, default)
    if is_empty(value):
        return modes
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = parse_json(OWN_MODES, value)
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


def unknown_fields_warning(names: Iterable[str], settings: TargetSettings) -> str:
    """Say which fields are not sent, and which of them differ from a contact's in capitals or blanks alone."""
    known = {name.casefold(): name for name in (*KNOWN_FIELDS, *settings.custom_names)}
    others: list[str] = []
    misspelt: list[str] = []
    for name in sorted(names):
        plain = name.strip().casefold()
        meant = known.get(plain) or (plain if is_custom_field(plain) else None)
        if meant is None:
            others.append(name)
        else:
            misspelt.append(f"{name} ({meant})")
    said = []
    if misspelt:
        said.append(
            "Not sent, because only the capitals differ from a field's name: "
            f"{', '.join(misspelt)}. Write the names in small letters at the source, or map them with stream_maps"
        )
    if others:
        said.append(
            f"Not sent, because the CRM's contacts have no such fields: {', '.join(others)}. "
            "Name a custom field in custom_fields"
        )
    return ". ".join(said)


FIELD_READERS: dict[str, Callable[[str, Any], Any]] = {
    **{name: read_reference if name in ID_FIELDS else read_text for name in SCALAR_FIELDS},
    EMAIL: read_address,
    "phones": read_phones,
    "tags": read_tags,
}
