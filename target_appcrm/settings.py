"""The target's own settings, on top of those that tap and target share."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appcrm.contact import (
    ASSOCIATIONS,
    CUSTOM_FIELD_PREFIX,
    LIST_FIELDS,
    READ_ONLY_FIELDS,
    SCALAR_FIELDS,
    is_custom_field,
)
from appcrm.errors import SettingsError
from appcrm.settings import REQUIRED_SETTINGS, SETTINGS_SCHEMA
from target_appcrm.match.keys import EMAIL, ID, PHONE
from target_appcrm.write.policy import ALL_OTHERS, POLICIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WRITE_MODES = ("upsert", "create_only", "update_only")
ASSOCIATION_MODES = ("sync", "attach", "detach", "ignore")
NULL_HANDLING = ("omit", "clear")
LOAD_METHODS = ("upsert",)
UNKNOWN_NAMES = ("reject", "skip", "create")
STARTED_AT = "{started_at}"
DEFAULT_REJECTS_PATH = "rejects-{started_at}.singer.jsonl"

OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "mode": {
        "type": "string",
        "enum": list(WRITE_MODES),
        "default": "upsert",
        "title": "Mode",
        "description": "upsert, create_only (what is there is skipped) or update_only (what is not is skipped)",
    },
    "match_on": {
        "type": ["array", "string"],
        "items": {"type": "string"},
        "default": ["email"],
        "title": "Match on",
        "description": "Keys that find a record's contact, tried in order: email, phones.number, a custom field, or "
        "id (only for records that came from this very CRM)",
    },
    "skip_unchanged": {
        "type": "boolean",
        "default": True,
        "title": "Skip unchanged",
        "description": "A record equal to what the CRM holds is not written",
    },
    "null_handling": {
        "type": "string",
        "enum": list(NULL_HANDLING),
        "default": "omit",
        "title": "Null handling",
        "description": "omit leaves the CRM's value, clear empties it; lists are emptied by [] only",
    },
    "associations": {
        "type": "string",
        "enum": list(ASSOCIATION_MODES),
        "default": "sync",
        "title": "Associations",
        "description": "How companies, deals and activities of a record are applied: sync, attach, detach or ignore",
    },
    "custom_fields": {
        "type": ["array", "string"],
        "items": {"type": "string"},
        "default": [],
        "title": "Custom fields",
        "description": "Further property names to send; cf_ fields always are",
    },
    "allow_deletes": {
        "type": "boolean",
        "default": False,
        "title": "Allow deletes",
        "description": "Whether _sdc_deleted_at and ACTIVATE_VERSION may delete contacts",
    },
    "max_deletes": {
        "type": ["string", "integer"],
        "default": 100,
        "title": "Most deletes",
        "description": 'A count, or a share such as "5%" of the contacts in the CRM; one too many stops them all',
    },
    "max_rejects": {
        "type": ["string", "integer"],
        "default": 0,
        "title": "Most rejects",
        "description": 'More than this and the exit code is 1: a count, or a share such as "5%" of the records read',
    },
    "stop_on_rejects": {
        "type": "boolean",
        "default": False,
        "title": "Stop on rejects",
        "description": "Whether the run stops once max_rejects is passed",
    },
    "rejects_path": {
        "type": "string",
        "default": DEFAULT_REJECTS_PATH,
        "title": "Rejects file",
        "description": "Refused records as a Singer stream; {started_at} is replaced, an existing file appended to",
    },
    "receipts_path": {
        "type": ["string", "null"],
        "title": "Receipts file",
        "description": "One Singer record per decision; {started_at} is replaced, an existing file appended to",
    },
    "dry_run": {
        "type": "boolean",
        "default": False,
        "title": "Dry run",
        "description": "Reads and plans, writes nothing and emits no state; the receipts are the plan",
    },
    "external_id_field": {
        "type": ["string", "null"],
        "title": "External id field",
        "description": "A custom field that keeps the source's key, written on create and matched on first",
    },
    "field_policy": {
        "type": "object",
        "additionalProperties": {"type": "string", "enum": list(POLICIES)},
        "default": {},
        "title": "Field policy",
        "description": 'Field to always (the default), if_empty, on_create or never; "*" stands for all others',
    },
    "max_creates": {
        "type": ["string", "integer", "null"],
        "title": "Most creates",
        "description": 'A count, or a share such as "5%" of the contacts in the CRM: the run stops before one more',
    },
    "max_updates": {
        "type": ["string", "integer", "null"],
        "title": "Most updates",
        "description": 'A count, or a share such as "5%" of the contacts in the CRM: the run stops before one more',
    },
    "unknown_names": {
        "type": "string",
        "enum": list(UNKNOWN_NAMES),
        "default": "reject",
        "title": "Unknown names",
        "description": "What becomes of a company, deal, owner, source, country or option that the CRM does not have: "
        "reject the record, skip the value, or create (companies only)",
    },
    "plan_path": {
        "type": ["string", "null"],
        "title": "Plan file",
        "description": "The receipts of a dry run: only what stands in its last run is written",
    },
    "plan_max_age_hours": {
        "type": "integer",
        "minimum": 0,
        "default": 24,
        "title": "Oldest plan",
        "description": "A plan that is older, in hours, is refused",
    },
    "retry_rejects": {
        "type": "boolean",
        "default": False,
        "title": "Retry rejects",
        "description": "Whether rejects_path (one fixed file) is read with the input, and replaced by what is still "
        "refused",
    },
    "summary_path": {
        "type": ["string", "null"],
        "title": "Summary file",
        "description": "The run's record as one JSON object, replaced by each run; {started_at} is replaced",
    },
    "load_method": {
        "type": "string",
        "enum": list(LOAD_METHODS),
        "default": "upsert",
        "title": "Load method",
        "description": "upsert is the only one; see mode for creating or updating alone",
    },
}


def settings_schema() -> dict[str, Any]:
    """Return the settings as JSON Schema, as a new dictionary."""
    return {
        "type": "object",
        "properties": copy.deepcopy({**SETTINGS_SCHEMA, **OWN_SETTINGS}),
        "required": list(REQUIRED_SETTINGS),
    }


_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)


@dataclass(frozen=True)
class Ceiling:
    """The most of something: a count, or a share of a whole that is only known later."""

    count: int | None = None
    percent: float | None = None

    @classmethod
    def read(cls, name: str, value: object) -> Ceiling:
        """Read ``100``, ``"100"`` or ``"5%"``.

        Raises:
            SettingsError: anything else.
        """
        text = str(value).strip()
        share = _PERCENT.fullmatch(text)
        if share is not None and float(share[1]) <= 100:
            return cls(percent=float(share[1]))
        if isinstance(value, bool) or not (text.isascii() and text.isdigit()):
            raise SettingsError(f'{name} must be a count such as 100, or a share such as "5%"')
        return cls(count=int(text))

    def of(self, whole: int) -> int:
        """Return the most that is allowed of so many."""
        return self.count if self.count is not None else int((self.percent or 0) * whole / 100)

    def of_crm(self, name: str, total: Callable[[], int | None]) -> int:
        """Return the most that is allowed of the contacts in the CRM, whose size is asked for a share alone.

        Raises:
            SettingsError: a share of an empty CRM.
        """
        if self.count is not None:
            return self.count
        whole = total()
        if not whole:
            raise SettingsError(f"{name} is a share of a CRM without contacts; use a count, such as 100")
        return self.of(whole)


@dataclass(frozen=True)
class TargetSettings:
    """What the target does; see ``OWN_SETTINGS`` for each."""

    mode: str = "upsert"
    match_on: tuple[str, ...] = (EMAIL,)
    skip_unchanged: bool = True
    null_handling: str = "omit"
    associations: str = "sync"
    custom_fields: frozenset[str] = frozenset()
    allow_deletes: bool = False
    max_deletes: Ceiling = Ceiling(count=100)
    max_rejects: Ceiling = Ceiling(count=0)
    stop_on_rejects: bool = False
    rejects_path: str = DEFAULT_REJECTS_PATH
    receipts_path: str | None = None
    dry_run: bool = False
    external_id_field: str | None = None
    field_policy: Mapping[str, str] = field(default_factory=dict)
    max_creates: Ceiling | None = None
    max_updates: Ceiling | None = None
    unknown_names: str = "reject"
    plan_path: str | None = None
    plan_max_age_hours: float = 24
    retry_rejects: bool = False
    summary_path: str | None = None
    concurrency: int = 8
    max_tries: int = 8
    max_retry_wait: float = 120

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TargetSettings:
        """Read a plugin's configuration.

        Raises:
            SettingsError: a setting that cannot work.
        """

        def given(name: str) -> Any:  # noqa: ANN401  a setting of any type
            value = config.get(name)
            return OWN_SETTINGS[name].get("default") if value is None else value

        custom_fields = frozenset(_names("custom_fields", given("custom_fields")))
        for name in custom_fields:
            if name in FIXED_NAMES:
                raise SettingsError(f"custom_fields names {name}, which is no custom field")
        _choice("load_method", given("load_method"), LOAD_METHODS)
        external = _text("external_id_field", config.get("external_id_field"))
        match_on = _names("match_on", given("match_on"))
        if not match_on:
            raise SettingsError("match_on is empty; name at least one key, such as email")
        if external is not None:
            _checked_custom("external_id_field", external, custom_fields | {external})
        for name in match_on:
            if name not in (EMAIL, PHONE, ID):
                _checked_custom("match_on", name, custom_fields | ({external} if external else set()))
        rejects_path = _text("rejects_path", given("rejects_path")) or DEFAULT_REJECTS_PATH
        receipts_path = _text("receipts_path", config.get("receipts_path"))
        plan_path = _text("plan_path", config.get("plan_path"))
        dry_run, retry_rejects = (
            _truth("dry_run", given("dry_run")),
            _truth("retry_rejects", given("retry_rejects")),
        )
        _check_paths(rejects_path, receipts_path, plan_path, dry_run=dry_run, retry_rejects=retry_rejects)
        return cls(
            mode=_choice("mode", given("mode"), WRITE_MODES),
            match_on=match_on,
            skip_unchanged=_truth("skip_unchanged", given("skip_unchanged")),
            null_handling=_choice("null_handling", given("null_handling"), NULL_HANDLING),
            associations=_choice("associations", given("associations"), ASSOCIATION_MODES),
            custom_fields=custom_fields,
            allow_deletes=_truth("allow_deletes", given("allow_deletes")),
            max_deletes=Ceiling.read("max_deletes", given("max_deletes")),
            max_rejects=Ceiling.read("max_rejects", given("max_rejects")),
            stop_on_rejects=_truth("stop_on_rejects", given("stop_on_rejects")),
            rejects_path=rejects_path,
            receipts_path=receipts_path,
            dry_run=dry_run,
            external_id_field=external,
            field_policy=_policies(given("field_policy"), custom_fields | {external or ""}),
            max_creates=_ceiling("max_creates", config.get("max_creates")),
            max_updates=_ceiling("max_updates", config.get("max_updates")),
            unknown_names=_choice("unknown_names", given("unknown_names"), UNKNOWN_NAMES),
            plan_path=plan_path,
            plan_max_age_hours=_hours("plan_max_age_hours", given("plan_max_age_hours")),
            retry_rejects=retry_rejects,
            summary_path=_text("summary_path", config.get("summary_path")),
            concurrency=int(config.get("concurrency") or SETTINGS_SCHEMA["concurrency"]["default"]),
            max_tries=int(config.get("max_tries") or SETTINGS_SCHEMA["max_tries"]["default"]),
            max_retry_wait=float(config.get("max_retry_wait", SETTINGS_SCHEMA["max_retry_wait"]["default"])),
        )

    @cached_property
    def key_fields(self) -> tuple[str, ...]:
        """What a record's contact is found by, in order."""
        external = () if self.external_id_field is None else (self.external_id_field,)
        return (*external, *(name for name in self.match_on if name not in external))

    def deciding(self, stream_maps: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that decide what is written, for the plan to be bound to."""
        return {**vars(self), "stream_maps": dict(stream_maps)}

    def for_undo(self) -> TargetSettings:
        """Return the settings under which a run is taken back: what was empty becomes empty, whoever owns the field."""
        return replace(self, null_handling="clear", field_policy={}, mode="upsert")

    @cached_property
    def custom_names(self) -> frozenset[str]:
        """Names of custom fields beyond ``cf_…``."""
        return self.custom_fields | self.custom_keys

    @cached_property
    def custom_keys(self) -> frozenset[str]:
        """Custom fields among the match keys."""
        return frozenset(self.key_fields) - {EMAIL, PHONE, ID}


WRITABLE_NAMES = frozenset({*SCALAR_FIELDS, *LIST_FIELDS, *ASSOCIATIONS})
FIXED_NAMES = frozenset({*SCALAR_FIELDS, *LIST_FIELDS, *ASSOCIATIONS, *READ_ONLY_FIELDS})


def _names(setting: str, value: object) -> tuple[str, ...]:
    """Read a list of names, its JSON, or names with commas."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                value = json.loads(text)
            except ValueError as error:
                raise SettingsError(f'{setting} must be a list of names, such as ["email"]') from error
        else:
            value = [part for part in text.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(name, str) and name.strip() for name in value
    ):
        raise SettingsError(f'{setting} must be a list of names, such as ["email"]')
    return tuple(dict.fromkeys(name.strip() for name in value))


def _check_paths(
    rejects_path: str, receipts_path: str | None, plan_path: str | None, *, dry_run: bool, retry_rejects: bool
) -> None:
    if retry_rejects and STARTED_AT in rejects_path:
        raise SettingsError(
            "retry_rejects needs rejects_path to be one fixed file, without {started_at}, such as "
            "rejects.singer.jsonl"
        )
    if plan_path is not None:
        if dry_run:
            raise SettingsError("plan_path and dry_run are both set; unset dry_run to apply the plan")
        if receipts_path is not None and Path(plan_path).absolute() == Path(receipts_path).absolute():
            raise SettingsError("plan_path and receipts_path are the same file; set another receipts_path")


def _ceiling(name: str, value: object) -> Ceiling | None:
    return None if value is None or value == "" else Ceiling.read(name, value)


def _hours(name: str, value: object) -> float:
    try:
        hours = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else -1.0
    except ValueError:
        hours = -1.0
    if not 0 <= hours < 1_000_000:
        raise SettingsError(f"{name} must be a number of hours, such as 24")
    return hours


def _policies(value: object, custom_fields: frozenset[str]) -> dict[str, str]:
    """Read an object of field to policy, or its JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except ValueError as error:
            raise SettingsError('field_policy must be an object, such as {"city": "if_empty"}') from error
    if not isinstance(value, dict) or not all(
        isinstance(name, str) and policy in POLICIES for name, policy in value.items()
    ):
        raise SettingsError(
            f'field_policy must be an object of fields to {", ".join(POLICIES)}, such as {{"city": "if_empty"}}'
        )
    for name in sorted(value):
        if name != ALL_OTHERS and name not in WRITABLE_NAMES and not is_custom_field(name, custom_fields):
            raise SettingsError(
                f"field_policy names {name}, which is no field that this target writes; a custom field whose name does "
                f"not begin with {CUSTOM_FIELD_PREFIX} must stand in custom_fields, too"
            )
    return dict(value)


def _checked_custom(setting: str, name: str, declared: frozenset[str] | set[str]) -> None:
    if name in FIXED_NAMES or not (name.startswith(CUSTOM_FIELD_PREFIX) or name in declared):
        raise SettingsError(
            f"{setting} names {name}, which is not email, phones.number, id or a custom field; a custom field whose "
            f"name does not begin with {CUSTOM_FIELD_PREFIX} must stand in custom_fields, too"
        )


def _text(setting: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise SettingsError(f"{setting} must be text")
    return value.strip() or None


def _choice(setting: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise SettingsError(f"{setting} must be one of {', '.join(choices)}")
    return str(value)


def _truth(setting: str, value: object) -> bool:
    if isinstance(value, str) and value.strip().lower() in ("true", "false", "1", "0"):
        return value.strip().lower() in ("true", "1")
    if not isinstance(value, bool):
        raise SettingsError(f"{setting} must be true or false")
    return value
