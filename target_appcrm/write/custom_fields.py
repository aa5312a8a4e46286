"""The form in which the CRM takes a custom field, where a warehouse's column has another."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from appcrm.contact import option_value, parse_timestamp
from appcrm.errors import InvalidRecord
from target_appcrm.match.equality import TRUTHS, number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?", re.ASCII)
_WHOLE = re.compile(r"(-?\d+)\.0*", re.ASCII)
_ELSEWHERE = re.compile(r".*[T ]\d\d:\d\d.*[+-](?!00:?00)\d\d:?\d\d", re.ASCII)


def other_form(value: object) -> Any:  # noqa: ANN401  any JSON value
    """Return what else a value may be for the CRM: a list as its JSON, a moment as ISO, a number for a text.

    None where it has one reading only.
    """
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return number_text(value)
    text = value.strip() if isinstance(value, str) else ""
    if text[:1] in ("[", "{"):
        return _from_json(text)
    if text.lower() in TRUTHS and not text.isdigit():
        return TRUTHS[text.lower()]
    whole = _WHOLE.fullmatch(text)
    return int(whole[1]) if whole else _plain_moment(text)


def _from_json(text: str) -> Any:  # noqa: ANN401  option ids
    try:
        found = option_value(json.loads(text))
    except (ValueError, RecursionError):
        return None
    return None if isinstance(found, dict) else found


def _plain_moment(text: str) -> str | None:
    moment = None if _PLAIN_MOMENT.fullmatch(text) else parse_timestamp(text)
    # For a date, a moment in another zone may be the day before or after.
    if moment is None or _ELSEWHERE.fullmatch(text):
        return None
    return moment.isoformat(sep=" ", timespec="seconds")[: len("2026-01-02 03:04:05")]


def in_form_of(value: object, held: object) -> Any:  # noqa: ANN401  any JSON value
    """Return a text as the list or truth that the CRM holds in its place; any other value as it is."""
    if not isinstance(value, str) or not isinstance(held, (list, bool)):
        return value
    found = other_form(value)
    return found if isinstance(found, list if isinstance(held, list) else bool) else value


class CustomFieldEncoding:
    """Knows which custom fields take the other form of a text: by what contacts hold, and by what was refused.

    Args:
        is_custom: whether a field's name is a custom field's.
        example: returns what some contact holds in a field, if that is known without a request.
    """

    def __init__(self, is_custom: Callable[[str], bool], example: Callable[[str], object]) -> None:
        self._is_custom = is_custom
        self._example = example
        self._takes_other: set[str] = set()

    def fit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body with each custom field in the form that is known to be taken."""
        return {
            name: self._fitted(name, value) if self._is_custom(name) else value
            for name, value in body.items()
        }

    def _fitted(self, name: str, value: object) -> Any:  # noqa: ANN401  any JSON value
        other = other_form(value)
        if other is None:
            return value
        if name in self._takes_other:
            return other
        return in_form_of(value, self._example(name)) if isinstance(other, (list, bool)) else value

    def send(
        self, body: dict[str, Any], send: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Send a body; return the answer, and the body that was taken.

        A body that was refused for the form of its custom fields did nothing, so it goes out once more in the other.

        Raises:
            InvalidRecord: the first refusal.
        """
        try:
            return send(body), body
        except InvalidRecord as error:
            other = self.instead(body, error)
            if other is None:
                raise
            try:
                answer = send(other)
            except InvalidRecord:
                raise error from None
            self.learn(body, other)
            return answer, other

    def instead(self, body: Mapping[str, Any], error: InvalidRecord) -> dict[str, Any] | None:
        """Return a refused body with its refused values in their other form; None where one of them has none."""
        names = {name.partition(".")[0] for name in error.field_errors}
        others = {name: other_form(body.get(name)) for name in names if self._is_custom(name)}
        if not names or len(others) < len(names) or any(other is None for other in others.values()):
            return None
        return {**body, **others}

    def learn(self, refused: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
        """Note which fields took the other form, so that the next records are sent right at once."""
        self._takes_other.update(name for name in taken if refused.get(name) != taken[name])
