"""Who owns which field: what ``field_policy`` lets a record write, decided on plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_appcrm.match.equality import is_empty, is_empty_in_crm
from target_appcrm.match.keys import PHONE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

ALWAYS, IF_EMPTY, ON_CREATE, NEVER = "always", "if_empty", "on_create", "never"
POLICIES = (ALWAYS, IF_EMPTY, ON_CREATE, NEVER)
ALL_OTHERS = "*"


def policy_of(name: str, policies: Mapping[str, str], key_fields: Collection[str]) -> str:
    """Return a field's policy; match keys are always written, since they say which contact is meant."""
    keys = {PHONE.partition(".")[0] if key == PHONE else key for key in key_fields}
    if not policies or name in keys:
        return ALWAYS
    return policies.get(name, policies.get(ALL_OTHERS, ALWAYS))


def left_alone(
    names: Iterable[str],
    contact: Mapping[str, Any] | None,
    policies: Mapping[str, str],
    key_fields: Collection[str],
    custom: Collection[str] = (),
) -> dict[str, str]:
    """Return the fields that the policy keeps from being written, with the policy of each.

    Args:
        names: of what the record says.
        contact: as it is; None for one that is to be created, which needs its first name whatever the policy.
        policies: ``field_policy``.
        key_fields: that records are matched by.
        custom: those of the names that are custom fields.
    """
    kept: dict[str, str] = {}
    for name in names:
        policy = policy_of(name, policies, key_fields)
        if contact is None:
            if policy == NEVER and name != "first_name":
                kept[name] = policy
        elif policy in (ON_CREATE, NEVER) or (
            policy == IF_EMPTY and not (is_empty_in_crm if name in custom else is_empty)(contact.get(name))
        ):
            kept[name] = policy
    return kept
