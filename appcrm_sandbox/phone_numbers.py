"""Phones as they are written: objects, texts, `number|work`, with or without a calling prefix."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appcrm_sandbox.values import Json

PHONE_TYPES = ("mobile", "work", "other")
LONGEST_NUMBER = 191


@dataclasses.dataclass(frozen=True, slots=True)
class Phone:
    """One number of a body, with its place in the list that was sent."""

    position: int
    number: str
    kind: str

    @property
    def has_prefix(self) -> bool:
        """Whether it begins with a calling prefix."""
        return self.number.startswith("+")

    def with_prefix(self, calling_code: str) -> Phone:
        """The same phone with the calling code in front, unless it has one."""
        return self if self.has_prefix else dataclasses.replace(self, number=f"{calling_code}{self.number}")


def read_phones(items: list[Json]) -> list[Phone]:
    """The phones of a list, empty numbers left out; ValueError on an item that can be no phone."""
    phones = []
    for position, item in enumerate(items):
        number, kind = _parts(item)
        if number is None:
            continue
        if not isinstance(number, str) or len(number) > LONGEST_NUMBER:
            raise ValueError(position)
        phones.append(Phone(position, number, kind if kind in PHONE_TYPES else PHONE_TYPES[0]))
    return phones


def _parts(item: Json) -> tuple[Json, str]:
    """The number and the type of one item; a type that is no text is none."""
    if isinstance(item, dict):
        kind = item.get("type")
        return item.get("number"), kind if isinstance(kind, str) else ""
    if isinstance(item, str):
        number, _, kind = item.partition("|")
        return number.strip() or None, kind.strip()
    return item, ""
