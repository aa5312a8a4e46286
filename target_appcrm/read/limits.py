"""Values that no CRM can hold, whatever field they stand in: one guard, before anything else looks at a record."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from target_appcrm.errors import Unwritable

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST = 64
"""Levels of lists and objects; no field of a contact has more than three."""
MOST_DIGITS = 400
"""Of a number, written out; the largest float has 309."""
_LARGEST = 10**MOST_DIGITS
_LEAST_CHARS_TO_CUT = 2
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_CUT = "\ud800 cut out"
"""A name that no valid JSON text can have."""


def check_limits(record: Mapping[str, Any]) -> None:
    """Check that a record holds only values that can be worked on.

    Raises:
        Unwritable: NaN, an infinity, a number of too many digits, or values nested too deep.
    """
    waiting: list[tuple[str, object, int]] = [(name, value, 1) for name, value in record.items()]
    while waiting:
        name, value, depth = waiting.pop()
        if value is None or value.__class__ is str:
            continue
        if isinstance(value, (dict, list)):
            if depth > DEEPEST:
                raise _refused(name, f"is nested more than {DEEPEST} levels deep")
            inner = value.values() if isinstance(value, dict) else value
            waiting += [(name, item, depth + 1) for item in inner]
            continue
        fault = _fault(value)
        if fault is not None:
            raise _refused(name, fault)


def _fault(value: object) -> str | None:
    if isinstance(value, msgspec.Raw):
        return "holds NaN, a number of too many digits, or values nested too deep"
    if isinstance(value, (float, Decimal)) and not (
        value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
    ):
        return "must be a finite number"
    is_large = (
        not -_LARGEST < value < _LARGEST
        if isinstance(value, int)
        else isinstance(value, Decimal) and _length(value) > MOST_DIGITS
    )
    return "holds a number of too many digits" if is_large else None


def _length(number: Decimal) -> int:
    _, digits, exponent = number.as_tuple()
    return len(digits) + abs(int(exponent))


def _refused(name: str, what: str) -> Unwritable:
    return Unwritable(f"{name} {what}", cause="a value that no CRM can hold")


def loads_loosely(line: str) -> Any:  # noqa: ANN401  any JSON value
    """Read JSON whose values may be beyond what can be read: each of those stays the text that it is.

    Python's own writers go beyond JSON (NaN, half of a character pair), and a warehouse beyond any number.

    Raises:
        ValueError: it is not JSON even so.
    """
    try:
        return _loads(line)
    except RecursionError:
        cut, pieces = _without_depths(line)
        return _loads(cut, pieces)


def _loads(line: str, pieces: list[str] | None = None) -> Any:  # noqa: ANN401  any JSON value
    def restored(value: dict[str, Any]) -> Any:  # noqa: ANN401  any JSON value
        return msgspec.Raw((pieces or [])[value[_CUT]].encode("utf-8", "replace")) if _CUT in value else value

    return json.loads(
        line,
        parse_float=_decimal,
        parse_int=_integer,
        parse_constant=lambda text: msgspec.Raw(text.encode()),
        object_hook=restored if pieces else None,
    )


def _decimal(text: str) -> Decimal | msgspec.Raw:
    try:
        return Decimal(text)
    except ArithmeticError:
        return msgspec.Raw(text.encode())


def _integer(text: str) -> int | msgspec.Raw:
    return int(text) if len(text) <= MOST_DIGITS else msgspec.Raw(text.encode())


def _without_depths(line: str) -> tuple[str, list[str]]:
    """Return a line with what is nested too deep cut out, and what was."""
    kept: list[str] = []
    pieces: list[str] = []
    depth = start = position = 0
    for found in _STRING_OR_BRACKET.finditer(line):
        if found[0] in "[{":
            depth += 1
            if depth == DEEPEST + _LEAST_CHARS_TO_CUT:
                start = found.start()
        elif found[0] in "]}":
            if depth == DEEPEST + _LEAST_CHARS_TO_CUT:
                kept += [line[position:start], json.dumps({_CUT: len(pieces)})]
                pieces.append(line[start : found.end()])
                position = found.end()
            depth -= 1
    if depth != 0:
        raise ValueError("brackets without their other half")
    return "".join([*kept, line[position:]]), pieces
