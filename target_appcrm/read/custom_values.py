"""A custom field's value in the form in which the CRM stores fields of its kind, or the reason why it cannot be."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from appcrm.contact import option_value, parse_timestamp
from appcrm.fields import FieldKind
from target_appcrm.errors import Unwritable
from target_appcrm.match.equality import TRUTHS, as_number, is_empty, number_text, plain_name, whole_number
from target_appcrm.read.values import parse_json, read_dated, write_date

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appcrm.fields import Field

MOST_OF_32_BITS = 2**31
DECIMALS = 3
FLOAT_NOISE = Decimal("1e-9")


class UnknownName(Unwritable):
    """A name or label that the CRM does not have."""


def encode_custom(field: Field | None, name: str, value: object, date_format: str | None) -> Any:  # noqa: ANN401  any JSON
    """Return a custom field's value as the CRM stores it; None stays.

    Args:
        field: as the CRM describes it; None where it does not.
        name: of the field.
        value: as the record has it, read.
        date_format: what the stream's schema says, which counts where the CRM says nothing.

    Raises:
        Unwritable: the CRM could not hold it, or would take it for something else.
    """
    if field is None or field.kind is None:
        return read_dated(name, value, date_format)
    return None if is_empty(value) and value != [] else ENCODERS[field.kind](field, value)


def looks_like_label(value: object, held: object) -> bool:
    """Whether a text would go where the CRM holds ids of options, or numbers: it would make an option of it."""
    held = option_value(held)
    item = held[0] if isinstance(held, list) and held else held
    is_id = isinstance(item, int) and not isinstance(item, bool)
    items = value if isinstance(value, list) else [value]
    return is_id and any(
        isinstance(each, str) and as_number(each) is None and not each.lstrip().startswith("[")
        for each in items
    )


def _text(field: Field, value: object) -> Any:  # noqa: ANN401  any JSON value
    del field
    return value if isinstance(value, (str, bool)) else number_text(value) or value


def _integer(field: Field, value: object) -> int:
    number = as_number(int(value) if isinstance(value, bool) else value)
    if number is None or number != number.to_integral_value() or abs(number) >= MOST_OF_32_BITS:
        raise Unwritable(f"{field.name} must be a whole number of at most 32 bits")
    return int(number)


def _number(field: Field, value: object) -> int | Decimal:
    number = as_number(value)
    if number is None or number < 0:
        raise Unwritable(f"{field.name} must be a number, 0 or more")
    places = Decimal(1).scaleb(-DECIMALS)
    rounded = number.quantize(places, rounding=ROUND_HALF_UP) if number < Decimal(10) ** 20 else number
    if abs(rounded - number) > FLOAT_NOISE:
        raise Unwritable(
            f"{field.name} has more than {DECIMALS} decimals, and the CRM refuses them; round it"
        )
    return int(rounded) if rounded == rounded.to_integral_value() else rounded.normalize()


def _boolean(field: Field, value: object) -> bool:
    truth = (
        value if isinstance(value, bool) else TRUTHS.get((number_text(value) or str(value)).strip().lower())
    )
    if truth is None:
        raise Unwritable(f"{field.name} must be true or false")
    return truth


def _date(field: Field, value: object) -> str:
    return _moment_of(field, value, "date")


def _date_time(field: Field, value: object) -> str:
    return _moment_of(field, value, "date-time")


def _moment_of(field: Field, value: object, date_format: str) -> str:
    if not isinstance(value, str) or parse_timestamp(value) is None:
        raise Unwritable(f"{field.name} must be a {date_format}, such as 2026-01-23")
    return write_date(value, date_format)


def _select(field: Field, value: object) -> int:
    value = option_value(value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return option_id(field, value)


def _multi_select(field: Field, value: object) -> list[int]:
    if isinstance(value, str) and value.strip().startswith("["):
        value = option_value(parse_json(field.name, value))
    items = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(option_id(field, item) for item in items if not is_empty(item)))


def option_id(field: Field, value: object) -> int:
    """Return the id of an option that is named by its id or its label.

    Raises:
        UnknownName: there is none such.
        Unwritable: there are two.
    """
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        value = value["name"]
    by_id = whole_number(value)
    known = dict(field.options)
    if not isinstance(value, str):
        if by_id is None or by_id not in known:
            raise UnknownName(
                f"{field.name} has no option with that id", cause=f"unknown option of {field.name}"
            )
        return by_id
    labelled = pick(value, [(label, number) for number, label in field.options], f"options of {field.name}")
    return chosen(labelled, by_id if by_id in known else None, f"option of {field.name}", value)


def pick(name: str, known: Sequence[tuple[str, int]], what: str) -> int | None:
    """Return the id behind a name: the very same, else the only one that differs in case and blanks alone.

    Raises:
        Unwritable: two have it. It is never guessed which.
    """
    exact = {number for text, number in known if text == name}
    found = exact or {number for text, number in known if plain_name(text) == plain_name(name)}
    if len(found) > 1:
        ids = ", ".join(str(number) for number in sorted(found)[:5])
        raise Unwritable(
            f"{name!r} is the name of several {what} ({ids}); name one by its id", cause=f"two {what}"
        )
    return next(iter(found), None)


def chosen(by_name: int | None, by_id: int | None, what: str, name: str) -> int:
    """Return what a text means that may be a name or, all digits, an id.

    Raises:
        UnknownName: neither is there.
        Unwritable: both are, and differ.
    """
    if by_name is not None and by_id is not None and by_name != by_id:
        raise Unwritable(
            f"{name!r} is the name of one {what} ({by_name}) and the id of another; write the id as a number",
            cause=f"ambiguous {what}",
        )
    found = by_name if by_name is not None else by_id
    if found is None:
        raise UnknownName(f"{what}: the CRM has none named {name[:100]!r}", cause=f"unknown {what}")
    return found


ENCODERS: dict[FieldKind, Callable[[Field, Any], Any]] = {
    FieldKind.TEXT: _text,
    FieldKind.INTEGER: _integer,
    FieldKind.NUMBER: _number,
    FieldKind.BOOLEAN: _boolean,
    FieldKind.DATE: _date,
    FieldKind.DATE_TIME: _date_time,
    FieldKind.SELECT: _select,
    FieldKind.MULTI_SELECT: _multi_select,
}
