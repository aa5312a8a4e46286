"""What may be written: bodies checked field by field, as Laravel checks them, texts in Portuguese."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.custom_fields import OPTION_KINDS, CustomField
from appcrm_sandbox.email_addresses import is_possible
from appcrm_sandbox.errors import invalid
from appcrm_sandbox.names import Names, NoSuchName
from appcrm_sandbox.phone_numbers import Phone, read_phones
from appcrm_sandbox.schema import CONTACTS, LINKS, RESOURCES, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from appcrm_sandbox.values import Json

Body = dict[str, Any]
_LONGEST = {"text": 191, "email": 191, "url": 191, "textarea": 60_000}
MOST_DECIMALS = 3
SMALLEST_INTEGER, BIGGEST_INTEGER = -(2**31), 2**31 - 1
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:[.,]\d{1,9})?(?P<zone>Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)


class Refused(ValueError):
    """Why a value is refused, with `:field` standing for the field's name."""


def normalise(value: Json) -> Json:
    """Texts trimmed and empty texts null, as Laravel does with every body before it is looked at."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list):
        return [normalise(item) for item in value]
    if isinstance(value, dict):
        return {key: normalise(item) for key, item in value.items()}
    return value


def _text(value: Json, kind: str) -> str:
    if not isinstance(value, str):
        raise Refused("O campo :field deve ser um texto.")
    if len(value) > _LONGEST.get(kind, 191):
        raise Refused(f"O campo :field não pode ter mais de {_LONGEST.get(kind, 191)} caracteres.")
    if "\x00" in value or (
        not value.isprintable() and kind != "textarea" and any(0xD800 <= ord(c) < 0xE000 for c in value)
    ):
        raise Refused("O campo :field contém caracteres inválidos.")
    return value


def _email(value: Json) -> str:
    text = _text(value, "email")
    if not is_possible(text):
        raise Refused("O campo :field deve ser um endereço de e-mail válido.")
    return text


def _url(value: Json) -> str:
    text = _text(value, "url")
    if not text.lower().startswith(("http://", "https://")):
        raise Refused("O campo :field deve ser uma URL válida.")
    return text


def _integer(value: Json) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        value = int(value[:30])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("O campo :field deve ser um número inteiro.")
    return value


def _decimal(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Refused("O campo :field deve ser um número.")
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", value):
        raise Refused("O campo :field deve ser um número.")
    # A number with thousands of digits has no text in Python, and no room in the database either.
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    if not number.is_finite() or not math.isfinite(float(number)):
        raise Refused("O campo :field deve ser um número.")
    if number < 0:
        raise Refused("O campo :field deve ser pelo menos 0.")
    # 1.0 is how a whole number may arrive; the zeros of a text count.
    exponent = (number if isinstance(value, str) else number.normalize()).as_tuple().exponent
    if int(exponent) < -MOST_DECIMALS:
        raise Refused(f"O campo :field deve ter no máximo {MOST_DECIMALS} casas decimais.")
    return float(number)


def _boolean(value: Json) -> int:
    if value in (True, 1, "1", "true"):
        return 1
    if value in (False, 0, "0", "false"):
        return 0
    raise Refused("O campo :field deve ser verdadeiro ou falso.")


def _moment(value: Json) -> dt.datetime:
    """A moment in UTC, which is meant where no zone is named."""
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Refused("O campo :field não é uma data válida (AAAA-MM-DD ou AAAA-MM-DD HH:MM:SS).")
    zone = (match["zone"] or "Z").replace("Z", "+00:00").replace(":", "")
    text = f"{match['day']}T{match['time'] or '00:00'}{zone[:3]}:{zone[3:]}"
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise Refused("O campo :field não é uma data válida.") from error


def _date_time(value: Json) -> str:
    return f"{_moment(value).isoformat(timespec='seconds')}.000000Z"


def _date(value: Json) -> str:
    _moment(value)
    # The day that was written, whatever its zone.
    return f"{value[:10]}T00:00:00.000000Z"


SCALARS: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: _text(value, "text"),
    "textarea": lambda value: _text(value, "textarea"),
    "email": _email,
    "url": _url,
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "date-time": _date_time,
}


def _phones(value: Json) -> list[Phone]:
    if not isinstance(value, list):
        raise Refused("O campo :field deve ser uma lista.")
    try:
        phones = read_phones(value)
    except ValueError as error:
        raise Refused("Cada item de :field deve ter um número.") from error
    for phone in phones:
        _text(phone.number, "text")
    return phones


def _tags(value: Json) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Refused("O campo :field deve ser uma lista de nomes.")
    names: dict[str, str] = {}
    for name in value:
        names.setdefault(_text(name, "text").lower(), name)
    return list(names.values())


def linked_list(value: Json) -> list[Json]:
    """A list of ids and names; Refused otherwise."""
    if not isinstance(value, list) or not all(
        isinstance(item, (int, float, str)) and not isinstance(item, bool) for item in value
    ):
        raise Refused("O campo :field deve ser uma lista de ids.")
    return value


class Checker:
    """Collects what is wrong with one body, field by field."""

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = {}

    def refuse(self, field: str, text: str) -> None:
        """Note one text against a field."""
        self.errors.setdefault(field, []).append(text.replace(":field", field.replace("_", " ")))

    def take(self, field: str, check: Callable[[Any], Any], value: Json) -> Json:
        """The checked value, or None with the reason noted."""
        try:
            return check(value)
        except Refused as reason:
            self.refuse(field, str(reason))
            return None

    def finish(self) -> None:
        """Raise the 422 if anything was noted."""
        if self.errors:
            raise invalid(self.errors)


def check_body(
    resource: Resource,
    fields: dict[str, CustomField],
    names: Names,
    body: Body,
    *,
    checker: Checker,
    demanded: Collection[str],
) -> tuple[Body, Body]:
    """Split a body into columns and lists (phones, tags, associations); unknown keys are dropped.

    A required field that is null is refused; `demanded` are those that may not be missing either.
    """
    fields = fields if resource is CONTACTS else {}
    required = [*resource.required, *(name for name, field in fields.items() if field.required)]
    for name in required:
        if body.get(name) is None and (name in demanded or name in body):
            checker.refuse(name, "O campo :field é obrigatório.")
    checks = {
        name: SCALARS.get(kind) or _reference_check(names, kind) for name, kind in resource.columns.items()
    } | {
        name: _custom_check(names, field)
        for name, field in fields.items()
        # An option cannot be cleared: its null is ignored.
        if not (field.kind in OPTION_KINDS and body.get(name) is None)
    }
    columns = {
        name: None if body[name] is None else checker.take(name, check, body[name])
        for name, check in checks.items()
        if name in body
    }
    return columns, _lists(resource, names, body, checker)


def _lists(resource: Resource, names: Names, body: Body, checker: Checker) -> Body:
    lists: Body = {}
    if resource is CONTACTS and "phones" in body:
        phones = body["phones"]
        lists["phones"] = checker.take("phones", _phones, [] if phones is None else phones)
    if resource is CONTACTS and body.get("tags") is not None:
        lists["tags"] = checker.take("tags", _tags, body["tags"])
    for name in LINKS[resource.name]:
        if body.get(name) is not None:
            lists[name] = names.records(RESOURCES[name], checker.take(name, linked_list, body[name]) or [])
    return lists


def _reference_check(names: Names, kind: str) -> Callable[[Json], int]:
    def check(value: Json) -> int:
        try:
            return names.reference(kind, _short(value))
        except NoSuchName as error:
            raise Refused("O :field selecionado é inválido.") from error

    return check


def _custom_check(names: Names, field: CustomField) -> Callable[[Json], Json]:
    def option(value: Json) -> int:
        try:
            return names.option(field, _short(value))
        except NoSuchName as error:
            raise Refused("O :field selecionado é inválido.") from error

    def options(value: Json) -> str | None:
        if not isinstance(value, list):
            raise Refused("O campo :field deve ser uma lista.")
        chosen = sorted({option(item) for item in value})
        return json.dumps(chosen) if chosen else None

    return {"select": option, "multi-select": options}.get(field.kind) or SCALARS[field.kind]


def _short(value: Json) -> Json:
    """The value; a name that is too long is refused before anything is made of it."""
    return _text(value, "text") if isinstance(value, str) else value
