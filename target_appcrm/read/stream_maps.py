"""What a stream map makes is what its values are: the SDK, which cannot know, calls it text."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# The SDK takes the type of these from the expression itself, and of no others.
_TYPED = ("float(", "int(", "str(", "bool(", "json.dumps(", "datetime.")


def computed(stream_maps: Mapping[str, Any], stream: str, alias: str) -> dict[str, str]:
    """Return the properties that a stream's map computes, with their expressions."""
    return {
        name: rule
        for pattern, rules in stream_maps.items()
        if isinstance(rules, dict) and (pattern == alias or fnmatch(stream, pattern))
        for name, rule in rules.items()
        if isinstance(rule, str) and not name.startswith("__")
    }


def without_guesses(
    schema: dict[str, Any], source: Mapping[str, Any], rules: Mapping[str, str]
) -> dict[str, Any]:
    """Return a mapped stream's schema without the types that the SDK guessed.

    A list of phones made of a column would else be refused for not being text. What only has a new name keeps the
    type of its column; what fits a contact is for the contact's own fields to say.

    Args:
        schema: after the map.
        source: properties before it.
        rules: what the map computes.
    """
    renamed = {
        name for name, rule in rules.items() if rule in source and (name not in source or name == rule)
    }
    guessed = {name for name, rule in rules.items() if name not in renamed and not rule.startswith(_TYPED)}
    return schema | {
        "properties": {
            name: {} if name in guessed else definition for name, definition in schema["properties"].items()
        }
    }
