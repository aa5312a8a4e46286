"""What a stream map makes is what its values are: the SDK, which cannot know, calls it text."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from simpleeval import InvalidExpression
from singer_sdk.exceptions import MapExpressionError

from target_appcrm.errors import Unwritable
from target_appcrm.read.limits import check_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singer_sdk.mapper import StreamMap

FAULTS_OF_DATA = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    InvalidExpression,
    LookupError,
    MapExpressionError,
    MemoryError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
)
"""What an expression of a user's raises on a value that it was not written for."""

# The SDK takes the type of these from the expression itself, and of no others.
_TYPED = ("float(", "int(", "str(", "bool(", "json.dumps(", "datetime.")


def apply_map(stream_map: StreamMap, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a record after its stream's map; None where the map leaves it out.

    Raises:
        Unwritable: the record holds what cannot be worked on, or the map fails on it.
    """
    check_limits(record)
    try:
        mapped: dict[str, Any] | None = stream_map.transform(dict(record))
    except FAULTS_OF_DATA as error:
        raise Unwritable(
            f"stream_maps fails on this record ({type(error).__name__}: {error}); "
            "write the expression so that it takes every value that comes",
            cause=f"stream_maps fails on it ({type(error).__name__})",
        ) from error
    if mapped is not None:
        check_limits(mapped)
    return mapped


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
