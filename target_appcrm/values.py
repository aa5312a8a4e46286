"""When a value of a record and a value in the CRM are the same, although they are written differently."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any

from appcrm.contact import option_value, parse_timestamp

TRUTHS: dict[Any, bool] = {"1": True, "true": True, "0": False, "false": False}
_STARTS_AS_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d", re.ASCII)
_NOT_DIALLED = re.compile(r"[^0-9+]")

Phone = dict[str, Any]


def is_empty(value: object) -> bool:
    """Whether a value is none: null, an empty text, or an empty list. AppCRM turns empty texts into null."""
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def email_key(value: object) -> str | None:
    """Return an e-mail address as it is compared: without case and surrounding space; None where there is none."""
    return (value.strip().casefold() or None) if isinstance(value, str) else None


def phone_key(value: object) -> str | None:
    """Return a phone number as it is compared: its digits with a leading plus; without digits, its text."""
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    dialled = _NOT_DIALLED.sub("", text)
    dialled = ("+" if dialled.startswith("+") else "") + dialled.replace("+", "")
    return dialled if any(character.isdigit() for character in dialled) else (text.casefold() or None)


def text_key(value: object) -> str | None:
    """Return any single value as it is compared as a key: numbers without trailing zeros, texts trimmed."""
    value = option_value(value)
    if is_empty(value) or isinstance(value, (dict, list)):
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (float, Decimal)):
        number = as_number(value)
        if number is not None:
            return format(number.normalize(), "f")
    return str(value).strip()


def as_number(value: object) -> Decimal | None:
    """Read a finite number or its text, exactly; None for whatever is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def same_value(wanted: object, held: object) -> bool:
    """Whether a scalar or custom field holds what is wanted: empty, truths, numbers, options, dates, texts."""
    held = option_value(held)
    if is_empty(wanted) or is_empty(held):
        return is_empty(wanted) and is_empty(held)
    if isinstance(wanted, list) or isinstance(held, list):
        return _members(wanted) == _members(held)
    if isinstance(wanted, dict) or isinstance(held, dict):
        return wanted == held
    if isinstance(wanted, bool) or isinstance(held, bool):
        truth = _truth(wanted)
        return truth is not None and truth == _truth(held)
    if isinstance(wanted, str) and isinstance(held, str):
        return wanted.strip() == held.strip() or _same_moment(wanted, held)
    number = as_number(wanted)
    return number is not None and number == as_number(held)


def _members(value: object) -> set[str | None]:
    items = value if isinstance(value, list) else [value]
    return {text_key(item) for item in items if not is_empty(item)}


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else TRUTHS.get(str(value).strip().lower())


def _same_moment(one: str, other: str) -> bool:
    if not (_STARTS_AS_DATE.match(one) and _STARTS_AS_DATE.match(other)):
        return False
    first, second = parse_timestamp(one), parse_timestamp(other)
    return (
        first is not None
        and second is not None
        and first.replace(microsecond=0) == second.replace(microsecond=0)
    )


def same_phones(wanted: list[Phone], held: list[Phone]) -> bool:
    """Whether two phone lists are the same in any order; a wanted phone without a type takes any."""
    ours, theirs = _by_number(wanted), _by_number(held)
    if ours.keys() != theirs.keys():
        return False
    return all(
        sum(kinds.values()) == sum(theirs[number].values())
        and all(theirs[number][kind] >= count for kind, count in kinds.items() if kind is not None)
        for number, kinds in ours.items()
    )


def _by_number(phones: list[Phone]) -> dict[str, Counter[str | None]]:
    """Number to its types; one phone that is listed twice counts once."""
    found: dict[str, Counter[str | None]] = {}
    for phone in phones:
        number = phone_key(phone.get("number"))
        if number is not None:
            kind = phone.get("type")
            found.setdefault(number, Counter())[kind.strip().lower() if isinstance(kind, str) else None] = 1
    for kinds in found.values():
        if len(kinds) > 1:
            # The same number without a type, beside itself with one, says nothing new.
            kinds.pop(None, None)
    return found


def phones_to_send(wanted: list[Phone], held: list[Phone]) -> list[Phone]:
    """Return the list for a PUT: a number that the CRM holds keeps its type where none is wanted."""
    types = {phone_key(phone.get("number")): phone.get("type") for phone in held}
    sent = []
    for phone in wanted:
        kind = phone.get("type") or types.get(phone_key(phone.get("number")))
        sent.append({"number": phone["number"], **({"type": kind} if kind else {})})
    return sent


def same_tags(wanted: list[str], held: list[str]) -> bool:
    """Whether two tag lists are the same set; the CRM keeps a tag's first spelling, so case is no difference."""
    return {tag.strip().casefold() for tag in wanted} == {tag.strip().casefold() for tag in held}
