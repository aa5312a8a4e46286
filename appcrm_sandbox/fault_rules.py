"""Fault rules as people write them: read, checked, and turned into what decides."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

from appcrm_sandbox.errors import SandboxError
from appcrm_sandbox.faults import OPERATIONS, Rule
from appcrm_sandbox.mutations import check_script
from appcrm_sandbox.settings import Envelope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appcrm_sandbox.values import Json

RESETS = ("before_commit", "after_commit")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e\xa1-\xff]+(?:[ \t]+[\x21-\x7e\xa1-\xff]+)*)?")
CUTS = ("body", "connection", "malformed")
SELECTORS = (
    "name",
    "operation",
    "resource",
    "method",
    "path",
    "query",
    "nth",
    "every",
    "after",
    "times",
    "rate",
)
EFFECTS = (
    "status", "body", "headers", "retry_after", "after_commit", "reset", "cut", "delay_seconds",
    "delay_after_commit_seconds", "per_page", "envelope", "mutate",
)  # fmt: skip


def load(path: Path) -> tuple[list[Rule], int | None]:
    """Read a YAML or JSON file of rules; SandboxError names what is wrong with it."""
    import yaml  # noqa: PLC0415  part of the extra; only a faults file needs it

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SandboxError(f"the faults file {path} cannot be read ({error}).") from error
    try:
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        where = str(error).replace("\n", " ")
        raise SandboxError(f"the faults file {path} is neither YAML nor JSON ({where}).") from error
    try:
        return parse(document)
    except SandboxError as error:
        raise SandboxError(f"the faults file {path}: {error}") from error


def parse(document: Json) -> tuple[list[Rule], int | None]:
    """Rules from `{"seed": …, "faults": [rule, …]}`, a list of rules, or one rule."""
    seed = None
    if isinstance(document, dict) and "faults" in document:
        unknown = set(document) - {"faults", "seed"}
        if unknown:
            raise SandboxError(
                f"unknown key {min(map(str, unknown))!r} beside 'faults'; only 'seed' may stand there."
            )
        seed = document.get("seed")
        if seed is not None:
            seed = _whole("seed", seed, 0)
        document = document["faults"]
    if isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        raise SandboxError("a list of rules under 'faults' is expected.")
    return [_rule(number, raw) for number, raw in enumerate(document, 1)], seed


def _rule(number: int, raw: Json) -> Rule:
    if not isinstance(raw, dict):
        raise SandboxError(f"rule {number} must be a mapping, not {type(raw).__name__}.")
    try:
        return _checked(raw)
    except SandboxError as error:
        raise SandboxError(f"rule {number}: {error}") from error


def _checked(raw: dict[str, Any]) -> Rule:
    unknown = sorted(str(key) for key in raw if key not in SELECTORS and key not in EFFECTS)
    if unknown:
        raise SandboxError(f"unknown key {unknown[0]!r}; known are {', '.join((*SELECTORS, *EFFECTS))}.")
    effects = {name: _EFFECT_CHECKS[name](name, raw[name]) for name in EFFECTS if name in raw}
    if not effects:
        raise SandboxError(f"it does nothing; give one of {', '.join(EFFECTS)}.")
    if "status" not in effects:
        for needless in ("body", "headers", "retry_after"):
            if needless in effects:
                raise SandboxError(f"{needless} needs a status beside it.")
    nth = raw.get("nth", [])
    nths = tuple(_whole("nth", item, 1) for item in (nth if isinstance(nth, list) else [nth]))
    rate = raw.get("rate")
    if rate is not None and (
        isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1
    ):
        raise SandboxError(f"rate must be a number from 0 to 1, not {rate!r}.")
    return Rule(
        name=_text("name", raw["name"]) if "name" in raw else "",
        effects=effects,
        operations=_operations(raw.get("operation", "*")),
        resource=_text("resource", raw["resource"]) if "resource" in raw else None,
        method=_text("method", raw["method"]).upper() if "method" in raw else None,
        path=_pattern("path", raw["path"]) if "path" in raw else None,
        query=_pattern("query", raw["query"]) if "query" in raw else None,
        nth=nths,
        every=_whole("every", raw["every"], 1) if "every" in raw else None,
        after=_whole("after", raw.get("after", 0), 0),
        times=_whole("times", raw["times"], 1) if "times" in raw else None,
        rate=rate,
        source=dict(raw),
    )


def _operations(value: Json) -> tuple[str, ...]:
    names = value if isinstance(value, list) else [value]
    for name in names:
        if name != "*" and name not in OPERATIONS:
            raise SandboxError(
                f"operation must be *, {', '.join(OPERATIONS)}, or a list of them, not {name!r}."
            )
    return () if "*" in names else tuple(names)


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str):
        raise SandboxError(f"{name} must be a text, not {value!r}.")
    return value


def _pattern(name: str, value: Json) -> re.Pattern[str]:
    try:
        return re.compile(_text(name, value))
    except re.error as error:
        raise SandboxError(f"{name} is no regular expression ({error}).") from error


def _whole(name: str, value: Json, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SandboxError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return value


def _status(name: str, value: Json) -> int:
    status = _whole(name, value, 200)
    if status > 599:
        raise SandboxError(f"status must be from 200 to 599, not {value!r}.")
    return status


def _seconds(name: str, value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 3_600:
        raise SandboxError(f"{name} must be a number of seconds from 0 to 3600, not {value!r}.")
    return float(value)


def _one_of(choices: Sequence[str]) -> Json:
    def check(name: str, value: Json) -> str:
        if value not in choices:
            raise SandboxError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
        return str(value)

    return check


def _flag(name: str, value: Json) -> bool:
    if not isinstance(value, bool):
        raise SandboxError(f"{name} must be true or false, not {value!r}.")
    return value


def _headers(name: str, value: Json) -> dict[str, str]:
    if not isinstance(value, dict):
        raise SandboxError(f"{name} must be a mapping of names to values.")
    headers = {str(key): str(item) for key, item in value.items()}
    for key, item in headers.items():
        if not _HEADER_NAME.fullmatch(key) or not _HEADER_VALUE.fullmatch(item):
            raise SandboxError(f"{name} cannot hold {key!r}: {item!r}; HTTP does not allow it.")
    return headers


def _retry_after(name: str, value: Json) -> str:
    """Any one line, so that a client can be shown a date or nonsense too."""
    text = str(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, str))
        or not _HEADER_VALUE.fullmatch(text)
    ):
        raise SandboxError(f"{name} must be seconds or a text, not {value!r}.")
    return text


def _mutation(_name: str, value: Json) -> dict[str, Any]:
    return check_script(value)


_EFFECT_CHECKS: dict[str, Any] = {
    "status": _status,
    "body": lambda _name, value: value,
    "headers": _headers,
    "retry_after": _retry_after,
    "after_commit": _flag,
    "reset": _one_of(RESETS),
    "cut": _one_of(CUTS),
    "delay_seconds": _seconds,
    "delay_after_commit_seconds": _seconds,
    "per_page": lambda name, value: _whole(name, value, 1),
    "envelope": _one_of(get_args(Envelope)),
    "mutate": _mutation,
}
