"""The fewest calls that bring a contact's associations to what a record wants: pure decisions on sets of ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from appcrm.contact import BODY_ASSOCIATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Sets = dict[str, list[int]]
CALL_ORDER = ("detach", "sync", "attach")


@dataclass
class AssociationPlan:
    """What to send.

    Args:
        body: sets that travel in the body of a create or update.
        calls: association call to the sets that it carries.
    """

    body: Sets = field(default_factory=dict)
    calls: dict[str, Sets] = field(default_factory=dict)


def needs_current(wanted: Mapping[str, Sequence[int]], modes: Mapping[str, str]) -> list[str]:
    """Return the associations whose present sets must be known to plan an update."""
    return [name for name in wanted if modes[name] != "ignore" and (wanted[name] or modes[name] == "sync")]


def plan_associations(
    wanted: Mapping[str, Sequence[int]],
    modes: Mapping[str, str],
    current: Mapping[str, Sequence[int]] | None,
    *,
    has_update: bool,
) -> AssociationPlan:
    """Plan the calls for one contact.

    Args:
        wanted: the sets that the record names.
        modes: how each is applied.
        current: the sets that the contact has; a name left out is unknown; None for a contact yet to be created.
        has_update: whether an update is sent anyway, whose body can carry what is to be synced.
    """
    plan = AssociationPlan()
    for name, ids in wanted.items():
        mode = modes[name]
        held = [] if current is None else current.get(name)
        call, changed = _decide(mode, ids, held)
        if not call:
            continue
        in_body = name in BODY_ASSOCIATIONS and (current is None or (call == "sync" and has_update))
        if in_body:
            plan.body[name] = changed
        else:
            plan.calls.setdefault("attach" if current is None else call, {})[name] = changed
    if "sync" in plan.calls and plan.body and current is not None:
        # A sync call is needed for another set anyway, and takes all of them: the update stays smaller.
        plan.calls["sync"] |= plan.body
        plan.body = {}
    plan.calls = {call: plan.calls[call] for call in CALL_ORDER if call in plan.calls}
    return plan


def _decide(mode: str, ids: Sequence[int], held: Sequence[int] | None) -> tuple[str, list[int]]:
    """Return the call that one set needs and the ids it carries; an empty call for none."""
    if mode == "sync":
        return ("", []) if held is not None and set(held) == set(ids) else ("sync", list(ids))
    if mode == "attach":
        missing = [number for number in ids if held is None or number not in held]
        return ("attach", missing) if missing else ("", [])
    if mode == "detach":
        present = [number for number in ids if held is None or number in held]
        return ("detach", present) if present else ("", [])
    return "", []


def applied(call: str, sets: Mapping[str, Sequence[int]], current: Mapping[str, Sequence[int]]) -> Sets:
    """Return a contact's sets after a call, as the API's documentation says; unknown sets that stay so are left out."""
    after = {name: list(ids) for name, ids in current.items()}
    for name, ids in sets.items():
        if call == "sync":
            after[name] = list(ids)
        elif name in after:
            held = after[name]
            after[name] = (
                [*held, *(number for number in ids if number not in held)]
                if call == "attach"
                else [number for number in held if number not in ids]
            )
    return after
