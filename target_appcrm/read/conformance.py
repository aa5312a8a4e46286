"""Whether a record fits its stream's JSON Schema: decided in bounded time, and without fetching anything.

Drafts 4 to 2020 are understood as far as taps use them. What is not understood refuses no record: a ``$ref`` that
leads elsewhere, a pattern that could run for ever, a keyword that is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from target_appcrm.match.equality import as_number

Check = Callable[[Any, "Budget"], str | None]
"""Says what is wrong with a value, or None."""

DEEPEST = 100
"""Schemas within schemas that are followed for one value; what is deeper refuses nothing."""
MOST_STEPS = 50_000
"""Checks for one record; a schema that needs more refuses nothing."""
MOST_PATTERN_STEPS = 10_000_000
MOST_PATTERN_CHARS = 1_000
MOST_NAMED = 5
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_QUANTIFIER_OR_BRANCH = re.compile(r"[*+?{|]")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=")

TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: _is_number(value) and _count(value) is not None,
    "number": lambda value: _is_number(value) and as_number(value) is not None,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


CLASSES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
"""Classes that certainly are of a type, so that most values need no further look."""
SAYS_NOTHING = frozenset({"type", "title", "description", "format", "default", "examples", "$comment"})


class Budget:
    """What is left to check one record with."""

    def __init__(self) -> None:
        self.steps = MOST_STEPS
        self.depth = 0


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


class Conformance:
    """One stream's schema.

    Args:
        schema: any JSON.
    """

    def __init__(self, schema: object) -> None:
        self._root = schema
        properties = schema.get("properties") if isinstance(schema, dict) else None
        parts = properties.items() if isinstance(properties, dict) else ()
        self._plain = {name: _plain_classes(part) for name, part in parts if isinstance(part, dict)}

    def fault(self, record: Mapping[str, Any]) -> str | None:
        """Say which field does not fit and why, without its value; None where the record fits."""
        return self._fault(self._root, record, "", Budget())

    def _fault(self, schema: object, value: Any, path: str, budget: Budget) -> str | None:  # noqa: ANN401  any JSON
        if schema is False:
            return f"{path or 'the record'} is not allowed"
        if not isinstance(schema, dict) or budget.steps <= 0 or budget.depth >= DEEPEST:
            return None
        budget.steps -= 1
        budget.depth += 1
        try:
            return (
                self._fault_of_type(schema, value, path)
                or _fault_of_scalar(schema, value, path)
                or self._fault_of_parts(schema, value, path, budget)
                or self._fault_of_choices(schema, value, path, budget)
            )
        finally:
            budget.depth -= 1

    @staticmethod
    def _fault_of_type(schema: Mapping[str, Any], value: object, path: str) -> str | None:
        wanted = schema.get("type")
        names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
        known = [name for name in names if isinstance(name, str) and name in TYPES]
        if not known or len(known) < len(names) or any(TYPES[name](value) for name in known):
            return None
        return f"{path or 'the record'} is not of type {' or '.join(known)}"

    def _fault_of_parts(
        self, schema: Mapping[str, Any], value: object, path: str, budget: Budget
    ) -> str | None:
        if isinstance(value, dict):
            return _fault_of_names(schema, value, path) or self._fault_of_properties(
                schema, value, path, budget
            )
        if isinstance(value, list):
            return self._fault_of_items(schema, value, path, budget)
        return None

    def _fault_of_properties(
        self, schema: Mapping[str, Any], value: Mapping[str, Any], path: str, budget: Budget
    ) -> str | None:
        properties = schema.get("properties")
        known: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
        rest = schema.get("additionalProperties", True)
        if isinstance(schema.get("patternProperties"), dict):
            rest = True
        is_root = schema is self._root
        for name, item in value.items():
            if is_root and item.__class__ in self._plain.get(name, ()):
                continue
            part = known.get(name, rest)
            if part is not True:
                fault = self._fault(part, item, f"{path}.{name}" if path else name, budget)
                if fault is not None:
                    return fault
        return None

    def _fault_of_items(
        self, schema: Mapping[str, Any], value: list[Any], path: str, budget: Budget
    ) -> str | None:
        for keyword, is_wrong in (("minItems", int.__lt__), ("maxItems", int.__gt__)):
            bound = _count(schema.get(keyword))
            if bound is not None and is_wrong(len(value), bound):
                return f"{path} has {len(value)} items, {keyword} is {bound}"
        items = schema.get("items", True)
        first = schema.get("prefixItems", items if isinstance(items, list) else [])
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        if not isinstance(first, list) or (rest is True and not first):
            return None
        for number, item in enumerate(value):
            part = first[number] if number < len(first) else rest
            fault = self._fault(part, item, f"{path}[{number}]", budget)
            if fault is not None:
                return fault
        return None

    def _fault_of_choices(
        self, schema: Mapping[str, Any], value: object, path: str, budget: Budget
    ) -> str | None:
        def fits(part: object) -> bool:
            return self._fault(part, value, path, budget) is None

        where = path or "the record"
        every = [*_parts(schema, "allOf"), *self._referred(schema)]
        for part in every:
            fault = self._fault(part, value, path, budget)
            if fault is not None:
                return fault
        some = _parts(schema, "anyOf")
        if some and not any(fits(part) for part in some):
            return f"{where} fits none of its schema's anyOf"
        one = _parts(schema, "oneOf")
        if one and sum(fits(part) for part in one) != 1 and budget.steps > 0:
            return f"{where} does not fit exactly one of its schema's oneOf"
        if "not" in schema and self._is_refused_by_not(schema["not"], value, path, budget):
            return f"{where} fits what its schema's not forbids"
        if "if" in schema:
            return self._fault(schema.get("then" if fits(schema["if"]) else "else"), value, path, budget)
        return None

    def _is_refused_by_not(self, part: object, value: object, path: str, budget: Budget) -> bool:
        is_known = isinstance(part, (dict, bool)) and budget.depth < DEEPEST
        return is_known and self._fault(part, value, path, budget) is None and budget.steps > 0

    def _referred(self, schema: Mapping[str, Any]) -> list[Any]:
        """Return what a ``$ref`` within this schema means; what leads elsewhere is never fetched."""
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#"):
            return []
        found = self._root
        for step in reference[1:].strip("/").split("/") if reference.strip("#/") else ():
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                return []
            found = found[name]
        return [found]


def _plain_classes(schema: Mapping[str, Any]) -> frozenset[type]:
    """Return the classes whose values need no look, because nothing but their type is asked of them."""
    if not schema.keys() <= SAYS_NOTHING:
        return frozenset()
    kinds = schema.get("type", ["object"])
    names = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    return frozenset(found for name in names if isinstance(name, str) for found in CLASSES.get(name, ()))


def _parts(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def _count(value: object) -> int | None:
    number = as_number(value) if _is_number(value) else None
    return None if number is None or number != number.to_integral_value() else int(number)


def _fault_of_names(schema: Mapping[str, Any], value: Mapping[str, Any], path: str) -> str | None:
    required = schema.get("required")
    missing = [
        name
        for name in (required if isinstance(required, list) else ())
        if isinstance(name, str) and name not in value
    ]
    if missing:
        return f"{path or 'the record'} lacks {', '.join(missing[:MOST_NAMED])}"
    return None


def _fault_of_scalar(schema: Mapping[str, Any], value: object, path: str) -> str | None:
    if "const" in schema and not _is_same(schema["const"], value):
        return f"{path} is not what its schema's const says"
    if isinstance(schema.get("enum"), list) and not any(_is_same(option, value) for option in schema["enum"]):
        return f"{path} is none of its schema's enum"
    if isinstance(value, str):
        return _fault_of_text(schema, value, path)
    return _fault_of_number(schema, value, path) if _is_number(value) else None


def _is_same(option: object, value: object) -> bool:
    """Whether two values are one in JSON, where 1 is 1.0 and true is neither."""
    if isinstance(option, bool) or isinstance(value, bool):
        return option is value
    return (
        as_number(option) == as_number(value) if _is_number(option) and _is_number(value) else option == value
    )


def _fault_of_text(schema: Mapping[str, Any], value: str, path: str) -> str | None:
    for keyword, is_wrong in (("minLength", int.__lt__), ("maxLength", int.__gt__)):
        bound = _count(schema.get(keyword))
        if bound is not None and is_wrong(len(value), bound):
            return f"{path} has {len(value)} characters, {keyword} is {bound}"
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and is_bounded(pattern, len(value)):
        try:
            found = re.search(pattern, value)
        except (re.error, OverflowError, RecursionError):
            return None
        if found is None:
            return f"{path} does not match its schema's pattern"
    return None


def is_bounded(pattern: str, chars: int) -> bool:
    """Whether a pattern surely ends soon on a text of so many characters.

    Each repetition or branch may multiply the work by the text's length, and a repeated group does without a bound.
    """
    if len(pattern) > MOST_PATTERN_CHARS or _BACK_REFERENCE.search(pattern):
        return False
    plain = _CLASS.sub("c", _ESCAPE.sub("e", pattern)).replace("(?", "(")
    repetitions = len(_QUANTIFIER_OR_BRANCH.findall(plain))
    if repetitions and _REPEATED_GROUP.search(plain):
        return False
    return float(max(chars, 2)) ** min(repetitions + 1, 30) <= MOST_PATTERN_STEPS


def _fault_of_number(schema: Mapping[str, Any], value: object, path: str) -> str | None:
    number = as_number(value)
    if number is None:
        return f"{path} is not a finite number"
    for keyword, exclusive, sign in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        bound, strict = _bound(schema.get(keyword)), schema.get(exclusive)
        # Draft 4 says true where later ones say the bound.
        if bound is not None and (sign * number < sign * bound or (strict is True and number == bound)):
            return f"{path} is beyond its schema's {keyword}"
        beyond = _bound(strict)
        if beyond is not None and sign * number <= sign * beyond:
            return f"{path} is beyond its schema's {exclusive}"
    step = _bound(schema.get("multipleOf"))
    if step is not None and step > 0 and (Fraction(number) / Fraction(step)).denominator != 1:
        return f"{path} is no multiple of its schema's multipleOf"
    return None


def _bound(value: object) -> Decimal | None:
    return as_number(value) if _is_number(value) else None
