"""Fault rules: which requests they meet, and what they do to them."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from typing import TYPE_CHECKING, Any, get_args

from appcrm_sandbox.errors import SandboxError
from appcrm_sandbox.mutations import MUTATIONS
from appcrm_sandbox.settings import Envelope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from appcrm_sandbox.values import Json

OPERATIONS = (
    "list", "retrieve", "create", "update", "delete", "search", "attach", "detach", "sync",
    "trash", "restore", "purge", "lookup", "unknown",
)  # fmt: skip
RESETS = ("before_commit", "after_commit")
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
HTML = (
    "<!DOCTYPE html><html><head><title>Server Error</title></head>"
    "<body><h1>500 | Server Error</h1></body></html>"
)


@dataclasses.dataclass(slots=True)
class Rule:
    """One rule: selectors (all of them must hold), effects, and how often it met a request."""

    name: str
    effects: dict[str, Any]
    operations: tuple[str, ...] = ()
    resource: str | None = None
    method: str | None = None
    path: re.Pattern[str] | None = None
    query: re.Pattern[str] | None = None
    nth: tuple[int, ...] = ()
    every: int | None = None
    after: int = 0
    times: int | None = None
    rate: float | None = None
    source: dict[str, Any] = dataclasses.field(default_factory=dict)
    met: int = 0
    fired: int = 0

    def meets(self, operation: str, resource: str, method: str, path: str, query: str) -> bool:
        """Whether the request is one that this rule counts."""
        return (
            (not self.operations or operation in self.operations)
            and (self.resource is None or self.resource == resource)
            and (self.method is None or self.method == method)
            and (self.path is None or self.path.search(path) is not None)
            and (self.query is None or self.query.search(query) is not None)
        )

    def fires(self, chance: random.Random) -> bool:
        """Count one met request and say whether the rule acts on it."""
        self.met += 1
        turn = self.met - self.after
        if turn <= 0 or (self.times is not None and self.fired >= self.times):
            return False
        if self.nth and turn not in self.nth:
            return False
        if self.every is not None and turn % self.every:
            return False
        if self.rate is not None and chance.random() >= self.rate:
            return False
        self.fired += 1
        return True


@dataclasses.dataclass(frozen=True, slots=True)
class Effects:
    """Everything that the rules do to one request."""

    names: tuple[str, ...] = ()
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    mutations: tuple[dict[str, Any], ...] = ()

    def get(self, name: str) -> Json:
        """The value of one effect, or None."""
        return self.values.get(name)


NONE = Effects()


class Faults:
    """The rules of one sandbox, with the one source of chance that their rates draw from."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._chance = random.Random(0)
        self._made = 0

    def add(self, rules: Sequence[Rule], seed: int | None = None) -> None:
        """Append rules; a seed begins the chance anew."""
        for rule in rules:
            self._made += 1
            rule.name = rule.name or f"fault {self._made}"
            self._rules.append(rule)
        if seed is not None:
            self._chance = random.Random(seed)

    def clear(self) -> None:
        """Forget every rule."""
        self._rules.clear()

    def public(self) -> list[dict[str, Any]]:
        """The rules as they were given, with how often each met a request and acted."""
        return [
            {**rule.source, "name": rule.name, "met": rule.met, "fired": rule.fired} for rule in self._rules
        ]

    def on(self, operation: str, resource: str, method: str, path: str, query: str) -> Effects:
        """What happens to this request; of two rules with the same effect the earlier one decides."""
        if not self._rules:
            return NONE
        fired = [
            rule
            for rule in self._rules
            if rule.meets(operation, resource, method, path, query) and rule.fires(self._chance)
        ]
        if not fired:
            return NONE
        values: dict[str, Any] = {}
        for rule in reversed(fired):
            values |= rule.effects
        mutations = tuple(rule.effects["mutate"] for rule in fired if "mutate" in rule.effects)
        return Effects(tuple(rule.name for rule in fired), values, mutations)


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
    return {str(key): str(item) for key, item in value.items()}


def _mutation(name: str, value: Json) -> dict[str, Any]:
    if not isinstance(value, dict) or not value or set(value) - set(MUTATIONS):
        raise SandboxError(f"{name} must be a mapping of {', '.join(MUTATIONS)}.")
    return value


_EFFECT_CHECKS: dict[str, Any] = {
    "status": _status,
    "body": lambda _name, value: value,
    "headers": _headers,
    "retry_after": lambda _name, value: str(value),
    "after_commit": _flag,
    "reset": _one_of(RESETS),
    "cut": _one_of(CUTS),
    "delay_seconds": _seconds,
    "delay_after_commit_seconds": _seconds,
    "per_page": lambda name, value: _whole(name, value, 1),
    "envelope": _one_of(get_args(Envelope)),
    "mutate": _mutation,
}
