"""Values of a record in the form in which a contact holds them, or the reason why it cannot."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from appcrm.contact import option_value, parse_timestamp
from target_appcrm.errors import Unwritable
from target_appcrm.match.addresses import clean_address, fault_of_address
from target_appcrm.match.equality import as_number, is_empty, number_text
from target_appcrm.read.limits import check_limits

PHONE_TYPES = ("mobile", "work", "other")
MOST_WHOLE = 2**63
DAY_CHARS = len("2026-01-02")
MOMENT_CHARS = len("2026-01-02 03:04:05")


def read_text(name: str, value: object) -> str | None:
    """Read a text; a number becomes what is written for it, a whole one without a fraction; empty ones null.

    Raises:
        Unwritable: it is neither.
    """
    if is_empty(value):
        return None
    if isinstance(value, str):
        return checked_text(name, value)
    text = number_text(value)
    if text is not None:
        return text
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise Unwritable(f"{name} must be text, not {kind_of(value)}")


def checked_text(name: str, value: str) -> str:
    """Return a text that the CRM can hold.

    Raises:
        Unwritable: it holds a character that no database can.
    """
    if "\x00" in value:
        raise Unwritable(f"{name} holds a NUL character, which the CRM cannot store; remove it")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Unwritable(f"{name} holds half of a character pair, which is no text; repair it") from error
    return value


def read_address(name: str, value: object) -> str | None:
    """Read an e-mail address, without what cannot be seen around it.

    Raises:
        Unwritable: it is none, whatever CRM it is sent to.
    """
    address = clean_address(read_text(name, value))
    fault = None if address is None else fault_of_address(address)
    if fault is not None:
        raise Unwritable(f"{name} is no address: it {fault}", cause=f"{name} is no address")
    return address


def parse_json(name: str, text: str) -> Any:  # noqa: ANN401  any JSON value
    """Read JSON text inside a record.

    Raises:
        Unwritable: it is none, or holds what no CRM can.
    """
    try:
        value = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise Unwritable(f"{name} holds text that should be JSON and is not") from error
    check_limits({name: value})
    return value


def read_list(name: str, value: object) -> list[Any] | None:
    """Read a list, or the JSON text of one, as warehouses keep them.

    Raises:
        Unwritable: it is neither.
    """
    if isinstance(value, str):
        if value.strip()[:1] not in ("", "[", "n"):
            raise Unwritable(f"{name} must be a list, or its JSON, not other text")
        value = parse_json(name, value) if value.strip() else None
    if value is None:
        return None
    if not isinstance(value, list):
        raise Unwritable(f"{name} must be a list, not {kind_of(value)}")
    return [item for item in value if item is not None]


def read_phones(name: str, value: object) -> list[dict[str, Any]] | None:
    """Read phones: objects with ``number`` and ``type``, bare numbers, or ``number|type``.

    Raises:
        Unwritable: an item without a number.
    """
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
        before, bar, after = number.rpartition("|")
        if bar and kind is None and after.strip().lower() in PHONE_TYPES and before.strip():
            number, kind = before, after
        phones.append({"number": number.strip(), "type": kind.strip().lower() if kind else None})
    return phones


def read_tags(name: str, value: object) -> list[str] | None:
    """Read tags: names, or objects with ``name``.

    Raises:
        Unwritable: an item that is neither.
    """
    items = read_list(name, value)
    if items is None:
        return None
    tags = [read_text(name, item.get("name") if isinstance(item, dict) else item) for item in items]
    return list(dict.fromkeys(tag.strip() for tag in tags if tag))


def read_custom(name: str, value: object) -> Any:  # noqa: ANN401  any JSON value
    """Read a custom field whose type is not known: option objects become ids, whole numbers lose their fraction.

    Raises:
        Unwritable: a value that cannot be stored.
    """
    value = option_value(value)
    if isinstance(value, list):
        return [read_custom(name, item) for item in value if item is not None]
    if is_empty(value):
        return None
    if isinstance(value, str):
        return checked_text(name, value)
    if isinstance(value, dict):
        checked_text(name, json.dumps(value, default=str, ensure_ascii=False))
    number = as_number(value)
    if number is None:
        return value if isinstance(value, (bool, dict)) else read_text(name, value)
    if number == number.to_integral_value():
        return int(number) if abs(number) < MOST_WHOLE else number_text(number)
    return number


def read_dated(name: str, value: object, date_format: str | None) -> Any:  # noqa: ANN401  any JSON value
    """Read a custom field that the stream's schema may call a date."""
    value = read_custom(name, value)
    return write_date(value, date_format) if isinstance(value, str) else value


def write_date(text: str, date_format: str | None) -> str:
    """Write a date as ``YYYY-MM-DD`` and a moment as ``YYYY-MM-DD HH:MM:SS`` in UTC; other text stays."""
    moment = parse_timestamp(text) if date_format else None
    if moment is None:
        return text
    if date_format == "date":
        # The day as it is written: an offset must not move it to the day before or after.
        return text.strip()[:DAY_CHARS]
    return moment.isoformat(sep=" ", timespec="seconds")[:MOMENT_CHARS]


def is_deleted(name: str, value: object) -> bool:
    """Whether a record says that its contact is gone: a moment or true does, null and false do not.

    Raises:
        Unwritable: anything else.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    if parse_timestamp(value) is not None:
        return True
    raise Unwritable(
        f"{name} must be the moment of the delete, true, false or null: it is none, so nothing is deleted",
        cause=f"{name} is neither a moment nor true, false or null",
    )


def kind_of(value: object) -> str:
    """Say what a value is, without showing it."""
    kinds = {bool: "true or false", dict: "an object", list: "a list", str: "text"}
    return kinds.get(type(value), "a number")
