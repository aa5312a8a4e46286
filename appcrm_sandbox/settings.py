"""The switches of one sandbox: which of AppCRM's ways it shows."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from appcrm_sandbox.app_version import NEWEST, VERSIONS, Version
from appcrm_sandbox.errors import SandboxError

Envelope = Literal["standard", "flat", "wrapped", "bare", "unpaged"]
SearchIn = Literal["by_version", "supported", "refused", "ignored"]
OrderUpdatedAt = Literal["allowed", "refused", "failing"]
Timestamps = Literal["iso", "seconds", "offset", "sql"]
Shapes = Literal["objects", "plain"]

CHOICES: dict[str, tuple[str, ...]] = {
    "app_version": tuple(VERSIONS),
    "envelope": get_args(Envelope),
    "search_in": get_args(SearchIn),
    "order_updated_at": get_args(OrderUpdatedAt),
    "timestamps": get_args(Timestamps),
    "shapes": get_args(Shapes),
}
UNLIMITED = 1_000_000


@dataclasses.dataclass(slots=True)
class Settings:
    """What a running sandbox does; every one of them can be changed while it serves."""

    token: str = "sandbox-token"  # noqa: S105  the default of a server that listens on loopback
    app_version: str = NEWEST
    latency_ms: int = 0
    rate_limit: int | None = None
    max_per_page: int = 100
    fixed_per_page: int | None = None
    phone_unique: bool = True
    phone_prefix: bool = True
    list_associations: bool = True
    show_activities: bool = False
    attach_by_domain: bool = True
    search_in: SearchIn = "by_version"
    search_minds_case: bool = False
    unknown_search_field: int = 403
    order_updated_at: OrderUpdatedAt = "allowed"
    envelope: Envelope = "standard"
    timestamps: Timestamps = "iso"
    shapes: Shapes = "objects"
    log_requests: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their range, as a SandboxError."""
        self.change({})

    def change(self, changes: dict[str, Any]) -> None:
        """Set some switches by name, or none at all if one of them is unknown or out of range."""
        names = {field.name for field in dataclasses.fields(self)}
        unknown = sorted(set(changes) - names)
        if unknown:
            raise SandboxError(
                f"there is no switch called {unknown[0]!r}; known are {', '.join(sorted(names))}."
            )
        wanted = {name: getattr(self, name) for name in names} | changes
        problem = _problem(wanted)
        if problem:
            raise SandboxError(problem)
        for name, value in changes.items():
            setattr(self, name, value)

    @property
    def version(self) -> Version:
        """The version of AppCRM that is played."""
        return VERSIONS[self.app_version]

    def public(self) -> dict[str, Any]:
        """Every switch but the token."""
        return {key: value for key, value in dataclasses.asdict(self).items() if key != "token"}


_WHOLE = {"latency_ms": 0, "max_per_page": 1, "rate_limit": 1, "fixed_per_page": 1}
_OPTIONAL = {"rate_limit", "fixed_per_page"}
_FLAGS = (
    "phone_unique",
    "phone_prefix",
    "list_associations",
    "show_activities",
    "attach_by_domain",
    "search_minds_case",
    "log_requests",
)


def _problem(values: dict[str, Any]) -> str | None:
    """What is wrong with these values, as one sentence, or None."""
    if not isinstance(values["token"], str) or not values["token"]:
        return "token must be a text that is not empty."
    for name, least in _WHOLE.items():
        value = values[name]
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            return f"{name} must be a whole number of at least {least}, not {value!r}."
    for name in _FLAGS:
        if not isinstance(values[name], bool):
            return f"{name} must be true or false, not {values[name]!r}."
    for name, choices in CHOICES.items():
        if values[name] not in choices:
            return f"{name} must be one of {', '.join(choices)}, not {values[name]!r}."
    if values["unknown_search_field"] not in {403, 500}:
        return f"unknown_search_field must be 403 or 500, not {values['unknown_search_field']!r}."
    return None
