"""A quick yes for records: most fit a schema of types alone, and only the others need the SDK's validator."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from singer_sdk.sinks.core import BaseJSONSchemaValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Check = Callable[[Any], bool]

CLASSES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float, Decimal),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
"""Classes that certainly are of a type. A float without a fraction is an integer too: the validator says so."""

UNDERSTOOD = frozenset({"type", "properties", "items", "required"})
SAYS_NOTHING = frozenset(
    {"title", "description", "format", "default", "examples", "$comment", "$schema", "$id"}
)
"""Keywords that refuse no record; the SDK's validator leaves formats unchecked."""


class QuickValidator(BaseJSONSchemaValidator):
    """Lets the validator of the SDK judge only what does not fit at first sight.

    Args:
        schema: valid JSON Schema.
        thorough: has the last word, and the words of a refusal.
    """

    def __init__(self, schema: dict[str, Any], thorough: BaseJSONSchemaValidator) -> None:
        super().__init__(schema)
        self._fits = quick_check(schema)
        self._thorough = thorough

    def validate(self, record: dict[str, Any]) -> None:
        """Check a record.

        Raises:
            InvalidRecord: it does not fit.
        """
        if self._fits is None or not self._fits(record):
            self._thorough.validate(record)


def quick_check(schema: object) -> Check | None:
    """Return what tells whether a value certainly fits; None where the schema has other rules than types.

    Args:
        schema: valid JSON Schema.
    """
    if schema is True:
        return lambda _: True
    if not isinstance(schema, dict) or not schema.keys() <= UNDERSTOOD | SAYS_NOTHING:
        return None
    kinds = schema.get("type", list(CLASSES))
    classes = frozenset(
        found for kind in ([kinds] if isinstance(kinds, str) else kinds) for found in CLASSES[kind]
    )
    inner = {name: quick_check(part) for name, part in schema.get("properties", {}).items()}
    items = quick_check(schema.get("items", True))
    known = {name: check for name, check in inner.items() if check is not None}
    if len(known) < len(inner) or items is None:
        return None
    return _of_parts(classes, known, items if "items" in schema else None, schema.get("required", ()))


def _of_parts(
    classes: frozenset[type], properties: dict[str, Check], items: Check | None, required: list[str]
) -> Check:
    needed = frozenset(required)

    def is_plain(value: object) -> bool:
        return value.__class__ in classes

    def fits(value: Any) -> bool:  # noqa: ANN401  any JSON
        if value.__class__ not in classes:
            return False
        if value.__class__ is dict:
            return needed <= value.keys() and all(
                properties[name](value[name]) for name in value.keys() & properties.keys()
            )
        return items is None or value.__class__ is not list or all(map(items, value))

    return fits if properties or items is not None or needed else is_plain
