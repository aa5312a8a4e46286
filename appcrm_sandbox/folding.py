"""Texts compared without case beyond ASCII too: MySQL does, and SQLite's NOCASE does not."""

from __future__ import annotations

from typing import Any


def fold(text: Any) -> Any:  # noqa: ANN401  SQLite hands over whatever a cell holds
    """A text in small letters; accents stay, and no letter beyond ASCII becomes one of ASCII."""
    if not isinstance(text, str):
        return text
    if text.isascii():
        return text.lower()
    return "".join(_small(letter) for letter in text)


def _small(letter: str) -> str:
    small = letter.lower()
    return small if len(small) == 1 and small.isascii() == letter.isascii() else letter


def equal(column: str, value: Any) -> tuple[str, list[Any]]:  # noqa: ANN401  a cell
    """The SQL condition that a column that minds no case is equal to a value; an index serves what is ASCII."""
    if isinstance(value, str) and not value.isascii():
        return f"fold({column}) = ?", [fold(value)]
    return f"{column} = ?", [value]
