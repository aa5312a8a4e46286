"""The query of a request, read as PHP reads it: flat names, and `order[0][field]` as a tree."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Sequence

# A text, or the branches below a name.
Tree: TypeAlias = Any
_DEEPEST = 32
_LARGEST = 2**31


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """What a query says: texts by name, and the trees of the names that carry brackets."""

    texts: dict[str, str] = dataclasses.field(default_factory=dict)
    trees: dict[str, dict[str, Tree]] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read a query as it was sent; of two values with one name the last one counts."""
        query = cls()
        for name, value in parse_qsl(text, keep_blank_values=True):
            base, *keys = _keys(name)
            if keys:
                _plant(query.trees.setdefault(base, {}), keys, value)
            else:
                query.texts[base] = value
        return query

    def text(self, name: str) -> str:
        """The trimmed text under a name; empty where there is none, as Laravel makes no difference."""
        return self.texts.get(name, "").strip()

    def parts(self, name: str) -> list[str]:
        """The parts of a text that `;` separates."""
        return [part.strip() for part in self.text(name).split(";") if part.strip()]

    def whole_number(self, name: str, default: int) -> int:
        """A positive whole number; the default where it is none, as Laravel's paginator does."""
        text = self.text(name)
        if text.isascii() and text.isdigit() and 0 < int(text[:20]) < _LARGEST:
            return int(text)
        return default


def _keys(name: str) -> list[str]:
    """`order[0][field]` as order, 0, field; a name without whole brackets is one key."""
    base, bracket, rest = name.partition("[")
    if not base or not bracket or not rest.endswith("]"):
        return [name]
    keys = rest[:-1].split("][")
    return [base, *keys] if len(keys) <= _DEEPEST else [name]


def _plant(tree: dict[str, Tree], keys: Sequence[str], value: str) -> None:
    for position, key in enumerate(keys):
        # PHP numbers what is left empty: `children[]` twice is children 0 and 1.
        name = key or str(len(tree))
        if position == len(keys) - 1:
            tree[name] = value
            return
        below = tree.get(name)
        if not isinstance(below, dict):
            below = tree[name] = {}
        tree = below
