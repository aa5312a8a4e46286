"""What is equal to what: the one place that says so, as docs/equality.md shows it in a table that a test reads.

A value of a record and a value in the CRM are often the same although they are written differently. Addresses have a
module of their own beside this one.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from appcrm.contact import option_value, parse_timestamp

TRUTHS: dict[Any, bool] = {"1": True, "true": True, "0": False, "false": False}
_STARTS_AS_DATE = re.compile(r"\s*\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?", re.ASCII)
_WHOLE = re.compile(r"\d+(?:\.0*)?", re.ASCII)
_NOT_A_DIGIT = re.compile(r"[^0-9]")
_LINE_END = re.compile(r"\r\n?")
FEWEST_LOCAL_DIGITS = 8
MOST_PREFIX_DIGITS = 3
CENT_DIGITS = 2
LARGEST_EXPONENT = 15
MOST_DIGITS = 400
"""Of a number that is written out: the largest float has 309."""
MOST_ID_DIGITS = 19
FLOAT_NOISE = Decimal("1e-12")


def is_empty(value: object) -> bool:
    """Whether a value is none: null, an empty text, or an empty list. AppCRM turns empty texts into null."""
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def is_empty_in_crm(value: object) -> bool:
    """Whether a custom field is empty in the CRM, which reads an empty decimal as 0."""
    held = option_value(value)
    return is_empty(held) or (not isinstance(held, bool) and isinstance(held, (int, float)) and held == 0)


# Phones


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


# Keys and numbers


def key_text(value: object) -> str | None:
    """Return a single value as the text that stands for it as a key; None where it is none.

    A whole number is written as such, whatever its type: 12, 12.0 and ``"12"`` are one key.
    """
    value = option_value(value)
    if is_empty(value) or isinstance(value, (dict, list)):
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str):
        return value.strip()
    return number_text(value)


def number_text(value: object) -> str | None:
    """Return a number as it is written out, a whole one without a fraction; None for whatever is no number."""
    number = as_number(value)
    if number is None:
        return None
    if number == 0:
        return "0"
    digits, exponent = len(number.as_tuple().digits), int(number.as_tuple().exponent)
    if digits + abs(exponent) > MOST_DIGITS:
        return None
    if exponent >= 0:
        return format(number, "f")
    written = format(number, "f").rstrip("0")
    return written.removesuffix(".")


def key_bucket(text: str) -> str:
    """Return what the keys of one value share, whether the CRM stores them as text or as numbers."""
    return (number_text(text) or text) if _NUMBER.fullmatch(text) else text


def same_key(wanted: str, held: object) -> bool:
    """Whether a key means what the CRM holds, compared as the CRM stores it: as a number, or exactly as text."""
    held = option_value(held)
    if isinstance(held, (int, float, Decimal)) and not isinstance(held, bool):
        return number_text(wanted) is not None and number_text(wanted) == number_text(held)
    return wanted == key_text(held)


def as_number(value: object) -> Decimal | None:
    """Read a finite number or its text, exactly; None for whatever is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, str) and not (len(value) <= MOST_DIGITS and _NUMBER.fullmatch(value.strip())):
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def whole_number(value: object) -> int | None:
    """Read a whole number that an id can be, whether it is written as one, as a float or as text."""
    if isinstance(value, str) and not _WHOLE.fullmatch(value.strip()):
        return None
    text = number_text(value)
    return int(text) if text is not None and len(text) <= MOST_ID_DIGITS and text.isdecimal() else None


# Values of fields


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
    if max(abs(ours.adjusted()), abs(theirs.adjusted())) > MOST_DIGITS:
        return ours == theirs
    if ours == ours.to_integral_value() and theirs == theirs.to_integral_value():
        return ours == theirs
    if abs(ours - theirs) <= FLOAT_NOISE * abs(theirs):
        return True
    # A fixed number of places, shown as text, says how far the CRM's column goes.
    places = -int(theirs.as_tuple().exponent)
    if not isinstance(held, str) or places < CENT_DIGITS or ours.adjusted() > LARGEST_EXPONENT:
        return False
    return ours.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP) == theirs


def _members(value: object) -> set[str]:
    items = value if isinstance(value, list) else [value]
    return {key_bucket(key_text(item) or "") for item in items if not is_empty(item)}


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


def plain_name(name: str) -> str:
    """Return a name or label as it is compared: without case, and whatever blanks are between its words."""
    return " ".join(unicodedata.normalize("NFC", name).split()).casefold()


def same_tags(wanted: list[str], held: list[str]) -> bool:
    """Whether two tag lists are the same set; the CRM keeps a tag's first spelling, so case is no difference."""
    return {tag.strip().casefold() for tag in wanted} == {tag.strip().casefold() for tag in held}
