"""Fault rules: which requests they meet, and what they do to them."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from appcrm_sandbox.values import Json

OPERATIONS = (
    "list", "retrieve", "create", "update", "delete", "search", "attach", "detach", "sync",
    "trash", "trash_search", "trash_retrieve", "restore", "purge", "lookup", "fields", "unknown",
)  # fmt: skip


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
