"""What may be written: bodies checked field by field, as Laravel checks them, texts in Portuguese."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.errors import invalid
from appcrm_sandbox.schema import CONTACTS, CustomField, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from appcrm_sandbox.values import Json

Body = dict[str, Any]
PHONE_TYPES = ("mobile", "work", "other")
_LONGEST = {"text": 191, "email": 191, "url": 191, "textarea": 60_000}
_BIGGEST_INTEGER = 2**63 - 1


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
    name, at, host = text.rpartition("@")
    if not at or not name or not host or any(sign.isspace() for sign in text) or "@" in name:
        raise Refused("O campo :field deve ser um endereço de e-mail válido.")
    return text


def _url(value: Json) -> str:
    text = _text(value, "url")
    if not text.lower().startswith(("http://", "https://")):
        raise Refused("O campo :field deve ser uma URL válida.")
    return text


def whole(value: Json) -> int:
    """A whole number, or the digits of one; Refused otherwise."""
    if isinstance(value, str) and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit():
        value = int(value[:30])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _BIGGEST_INTEGER:
        raise Refused("O campo :field deve ser um número inteiro.")
    return value


def _decimal(value: Json) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise Refused("O campo :field deve ser um número.")
    return float(value)


def _boolean(value: Json) -> int:
    if value in (True, 1, "1", "true"):
        return 1
    if value in (False, 0, "0", "false"):
        return 0
    raise Refused("O campo :field deve ser verdadeiro ou falso.")


def _moment(value: Json) -> dt.datetime:
    if isinstance(value, str):
        for form, length in (("%Y-%m-%d", 10), ("%Y-%m-%d %H:%M:%S", 19)):
            try:
                moment = dt.datetime.strptime(value, form)  # noqa: DTZ007  the CRM's forms carry no zone
            except ValueError:
                continue
            if value == moment.isoformat(sep=" ")[:length]:
                return moment
    raise Refused("O campo :field não é uma data válida (AAAA-MM-DD ou AAAA-MM-DD HH:MM:SS).")


def _date_time(value: Json) -> str:
    return f"{_moment(value).isoformat()}.000000Z"


def _date(value: Json) -> str:
    return f"{_moment(value).date().isoformat()}T00:00:00.000000Z"


SCALARS: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: _text(value, "text"),
    "textarea": lambda value: _text(value, "textarea"),
    "email": _email,
    "url": _url,
    "integer": whole,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "date-time": _date_time,
}
REFERENCES = {"user": "users", "source": "sources", "country": "countries", "stage": "stages"}


def _reference(value: Json, known: dict[int, Any]) -> int:
    number = whole(value)
    if number not in known:
        raise Refused("O :field selecionado é inválido.")
    return number


def _reference_check(known: dict[int, Any]) -> Callable[[Json], int]:
    return lambda value: _reference(value, known)


def _select(field: CustomField, value: Json) -> int:
    return _reference(value, dict(field.options))


def _multi_select(field: CustomField, value: Json) -> str | None:
    if not isinstance(value, list):
        raise Refused("O campo :field deve ser uma lista.")
    chosen = sorted({_select(field, item) for item in value})
    return json.dumps(chosen) if chosen else None


def _phones(value: Json) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        raise Refused("O campo :field deve ser uma lista.")
    phones: dict[str, str] = {}
    for phone in value:
        if not isinstance(phone, dict) or not isinstance(phone.get("number"), str):
            raise Refused("Cada item de :field deve ter um número.")
        kind = "mobile" if phone.get("type") is None else phone["type"]
        if kind not in PHONE_TYPES:
            raise Refused(f"O tipo de cada item de :field deve ser {', '.join(PHONE_TYPES)}.")
        phones[_text(phone["number"], "text")] = kind
    return list(phones.items())


def _tags(value: Json) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Refused("O campo :field deve ser uma lista de nomes.")
    names: dict[str, str] = {}
    for name in value:
        names.setdefault(_text(name, "text").lower(), name)
    return list(names.values())


def id_list(value: Json) -> list[int]:
    """A list of ids, each once; Refused otherwise."""
    if not isinstance(value, list):
        raise Refused("O campo :field deve ser uma lista.")
    return list(dict.fromkeys(whole(item) for item in value))


LISTS: dict[str, Callable[[Any], Any]] = {
    "phones": _phones,
    "tags": _tags,
    "companies": id_list,
    "deals": id_list,
}


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
    named: dict[str, dict[int, Any]],
    body: Body,
    *,
    checker: Checker,
    creating: bool,
) -> tuple[Body, Body]:
    """Split a body into columns and lists (phones, tags, companies, deals); unknown keys are dropped."""
    columns: Body = {}
    lists: Body = {}
    for name in resource.required:
        # A contact's first name is asked for on update too; a neighbour keeps what it has.
        if body.get(name) is None and (creating or resource is CONTACTS or name in body):
            checker.refuse(name, "O campo :field é obrigatório.")
    for name, kind in resource.columns.items():
        if name in body:
            value = body[name]
            check = SCALARS.get(kind) or _reference_check(named[REFERENCES[kind]])
            columns[name] = None if value is None else checker.take(name, check, value)
    if resource is not CONTACTS:
        return columns, lists
    for name, field in fields.items():
        if name in body:
            columns[name] = _custom(field, body[name], checker)
    for name, check_list in LISTS.items():
        if body.get(name) is not None:
            lists[name] = checker.take(name, check_list, body[name])
    return columns, lists


def _custom(field: CustomField, value: Json, checker: Checker) -> Json:
    if value is None:
        return None
    if field.kind == "select":
        return checker.take(field.name, lambda given: _select(field, given), value)
    if field.kind == "multi-select":
        return checker.take(field.name, lambda given: _multi_select(field, given), value)
    return checker.take(field.name, SCALARS[field.kind], value)
