"""Names that stand for ids: what a record says of companies, deals, an owner, a source, a country."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_appcrm.errors import Unwritable
from target_appcrm.match.equality import is_empty, whole_number
from target_appcrm.read.values import checked_text, kind_of, read_list, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping

OBJECT_OF = {"user_id": "user", "source_id": "source", "country_id": "country"}
"""The tap's own objects beside the ids."""
NAMES_OF_USERS = ("email", "name")
NAMES_OF_COUNTRIES = ("iso_3166_2", "iso_3166_3", "iso_code", "iso2", "iso3", "code", "name")


@dataclass(frozen=True)
class Name:
    """A name, to be looked up in the CRM.

    Args:
        text: as the record has it, without blanks around.
        may_be_id: text of digits, which is an id where no name is the same.
        is_domain: of a company, instead of its name.
    """

    text: str
    may_be_id: bool = False
    is_domain: bool = False


Reference = int | Name


def read_reference(name: str, value: object) -> Reference | None:
    """Read the id or the name of an owner, a source or a country.

    Raises:
        Unwritable: it is neither.
    """
    if isinstance(value, dict):
        return _of_object(name, value)
    if is_empty(value):
        return None
    if isinstance(value, str):
        return _of_text(name, value)
    number = whole_number(value)
    if number is None:
        raise Unwritable(f"{name} must be an id, a whole number, or a name, not {kind_of(value)}")
    return number


def _of_text(name: str, value: str) -> Name:
    text = checked_text(name, value).strip()
    return Name(text, may_be_id=whole_number(text) is not None)


def _of_object(name: str, value: Mapping[str, Any]) -> Reference | None:
    number = whole_number(value.get("id"))
    if number is not None:
        return number
    if not is_empty(value.get("id")):
        raise Unwritable(f"{name} holds an object whose id is no whole number")
    found = _name_of(name, value, ("name", "email", "display_name"))
    domain = read_text(f"{name}.domain", value.get("domain")) if name == "companies" else None
    if found is None and domain is not None:
        return Name(domain.strip(), is_domain=True)
    return found


def _name_of(name: str, value: Mapping[str, Any], keys: tuple[str, ...]) -> Name | None:
    texts = (read_text(f"{name}.{key}", value.get(key)) for key in keys)
    text = next((text for text in texts if text is not None), None)
    return None if text is None else Name(text.strip())


def read_objects(record: Mapping[str, Any]) -> dict[str, Name]:
    """Return the names in the tap's ``user``, ``source`` and ``country`` objects where the id is null.

    Their ids are another CRM's where somebody has nulled the id beside them, so they say nothing.

    Raises:
        Unwritable: a name that is no text.
    """
    found: dict[str, Name] = {}
    for field, beside in OBJECT_OF.items():
        value = record.get(beside)
        if not isinstance(value, dict) or not is_empty(record.get(field)):
            continue
        keys = (
            NAMES_OF_USERS
            if field == "user_id"
            else NAMES_OF_COUNTRIES
            if field == "country_id"
            else ("name",)
        )
        name = _name_of(beside, value, keys)
        if name is not None:
            found[field] = name
    return found


def read_related(name: str, value: object) -> list[Reference]:
    """Read associated records: ids, names, or objects with one; each once, in order.

    Raises:
        Unwritable: an item that is none of these; activities have ids alone.
    """
    found: list[Reference] = []
    for item in read_list(name, value) or ():
        reference = read_reference(name, item)
        if isinstance(reference, Name) and name == "activities":
            reference = whole_number(reference.text)
        if reference is None:
            raise Unwritable(f"{name} must be a list of ids, whole numbers" + _or_names(name))
        found.append(reference)
    return list(dict.fromkeys(found))


def _or_names(name: str) -> str:
    return "" if name == "activities" else ", or names, or objects with one of them"
