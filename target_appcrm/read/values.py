"""When a value of a record and a value in the CRM are the same, although they are written differently."""

from __future__ import annotations

import re
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from appcrm.contact import option_value, parse_timestamp

TRUTHS: dict[Any, bool] = {"1": True, "true": True, "0": False, "false": False}
_STARTS_AS_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d", re.ASCII)
_NOT_A_DIGIT = re.compile(r"[^0-9]")
_LINE_END = re.compile(r"\r\n?")
FEWEST_LOCAL_DIGITS = 8
MOST_PREFIX_DIGITS = 3
CENT_DIGITS = 2
LARGEST_EXPONENT = 15
FLOAT_NOISE = Decimal("1e-12")

Phone = dict[str, Any]


def is_empty(value: object) -> bool:
    """Whether a value is none: null, an empty text, or an empty list. AppCRM turns empty texts into null."""
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def email_key(value: object) -> str | None:
    """Return an e-mail address as it is compared: without case and surrounding space; None where there is none."""
    return (value.strip().casefold() or None) if isinstance(value, str) else None


def phone_key(value: object) -> str | None:
    """Return a phone number as it is compared: its digits, an international prefix aside; without any, its text."""
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    digits = _NOT_A_DIGIT.sub("", text)
    return digits.removeprefix("00") or digits or text.casefold() or None


def phone_bucket(key: str) -> str:
    """Return what the keys of one phone share, written with its country's prefix or without."""
    return key[-FEWEST_LOCAL_DIGITS:]


def same_number(one: object, other: object) -> bool:
    """Whether two numbers mean one phone: the same digits, or one of them lacks only its country's prefix.

    A CRM may put the prefix of its own country before a number that came without any.
    """
    first, second = phone_key(one), phone_key(other)
    if first is None or second is None or first == second:
        return first == second and first is not None
    local, full = sorted((first.lstrip("0"), second.lstrip("0")), key=len)
    shorter, longer = (one, other) if len(first.lstrip("0")) <= len(second.lstrip("0")) else (other, one)
    return (
        len(local) >= FEWEST_LOCAL_DIGITS
        and len(full) - len(local) <= MOST_PREFIX_DIGITS
        and full.endswith(local)
        and _is_international(longer)
        and not _is_international(shorter)
    )


def _is_international(number: object) -> bool:
    return str(number).strip().startswith(("+", "00"))


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
        return _text(wanted) == _text(held) or _same_moment(wanted, held)
    return _same_amount(wanted, held)


def _text(value: str) -> str:
    """Return a text as it is compared: without surrounding space, whatever ends its lines."""
    return _LINE_END.sub("\n", value.strip())


def _same_amount(wanted: object, held: object) -> bool:
    """Whether two numbers are one: but for the noise of floating point, and for what a column of cents rounds."""
    ours, theirs = as_number(wanted), as_number(held)
    if ours is None or theirs is None:
        return False
    if abs(ours - theirs) <= FLOAT_NOISE * abs(theirs):
        return True
    # A fixed number of places, shown as text, says how far the CRM's column goes.
    places = -int(theirs.as_tuple().exponent)
    if not isinstance(held, str) or places < CENT_DIGITS or ours.adjusted() > LARGEST_EXPONENT:
        return False
    return ours.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP) == theirs


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
        theirs = _under_our_numbers(theirs, wanted, held)
    if ours.keys() != theirs.keys():
        return False
    return all(
        sum(kinds.values()) == sum(theirs[number].values())
        and all(theirs[number][kind] >= count for kind, count in kinds.items() if kind is not None)
        for number, kinds in ours.items()
    )


def _under_our_numbers(
    theirs: dict[str, Counter[str | None]], wanted: list[Phone], held: list[Phone]
) -> dict[str, Counter[str | None]]:
    """Return held phones by the number that the record has for them, where only a country's prefix differs."""
    numbers = {phone_key(phone.get("number")): phone.get("number") for phone in held}
    found: dict[str, Counter[str | None]] = {}
    for key, kinds in theirs.items():
        same = [
            phone_key(phone.get("number"))
            for phone in wanted
            if same_number(phone.get("number"), numbers[key])
        ]
        found.setdefault((same[0] if same else None) or key, Counter()).update(kinds)
    return found


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
    """Return the list for a PUT, each phone once: a number that the CRM holds keeps its type where none is wanted.

    A number without a type, beside itself with one, says nothing new.
    """
    types = {phone_key(phone.get("number")): phone.get("type") for phone in held}
    typed = {phone_key(phone["number"]) for phone in wanted if phone.get("type")}
    sent: dict[tuple[str | None, str | None], Phone] = {}
    for phone in wanted:
        key, kind = phone_key(phone["number"]), phone.get("type")
        if not kind and key in typed:
            continue
        kind = kind or types.get(key)
        sent.setdefault((key, kind), {"number": phone["number"], **({"type": kind} if kind else {})})
    return list(sent.values())


def same_tags(wanted: list[str], held: list[str]) -> bool:
    """Whether two tag lists are the same set; the CRM keeps a tag's first spelling, so case is no difference."""
    return {tag.strip().casefold() for tag in wanted} == {tag.strip().casefold() for tag in held}
