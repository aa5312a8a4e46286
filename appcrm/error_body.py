"""What an answer that refuses says: its message and its texts by field, and which of them can be shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from appcrm.contact import ASSOCIATIONS, LIST_FIELDS, SCALAR_FIELDS
from appcrm.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_DETAIL_CHARS = 500
MOST_FIELD_ERRORS = 100
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""What decoding a body raises: bytes that are no UTF-8, depths and numbers beyond any bound are errors of Python's."""
SHOWN_FIELD = re.compile(r"([a-z][a-z_]{0,63})((?:\.\d{1,3})?(?:\.(?:id|name|number|type|value))?)", re.ASCII)
KNOWN_FIELDS = frozenset({*SCALAR_FIELDS, *LIST_FIELDS, *ASSOCIATIONS})


def shown_fields(field_errors: Mapping[str, object], body_fields: frozenset[str]) -> list[str]:
    """Return the names of fields that can be shown: those that were sent or are known, and nothing else."""
    shown = set()
    for name in field_errors:
        found = SHOWN_FIELD.fullmatch(name)
        is_ours = found is not None and (found[1] in KNOWN_FIELDS or found[1] in body_fields)
        shown.add(name if is_ours else "a field that was not sent")
    return sorted(shown)


def read_error_body(body: bytes) -> tuple[str, dict[str, list[str]]]:
    """Read an error body: the server's message, and its texts by field; both empty where it has none.

    Both are cut and on one line each, but they may name a person: they belong in files, not in logs.
    """
    try:
        content = msgspec.json.decode(body)
    except UNREADABLE:
        return "", {}
    if not isinstance(content, dict):
        return "", {}
    message = content.get("message") or content.get("error") or ""
    errors = content.get("errors")
    by_field: dict[str, list[str]] = {}
    for name, texts in list(errors.items() if isinstance(errors, dict) else ())[:MOST_FIELD_ERRORS]:
        several = texts[:MOST_FIELD_ERRORS] if isinstance(texts, list) else [texts]
        by_field[printable(name)] = [printable(_flat(text), LONGEST_DETAIL_CHARS) for text in several]
    return printable(_flat(message), LONGEST_DETAIL_CHARS), by_field


def _flat(value: object) -> object:
    """Return a text or number as it is; of anything else only its kind, because it may be nested without end."""
    return value if isinstance(value, (str, int, float)) else f"({type(value).__name__})"
