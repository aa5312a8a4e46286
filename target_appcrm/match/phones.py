"""Lists of phones: when two are the same, and what is sent for one."""

from __future__ import annotations

from collections import Counter
from typing import Any

from target_appcrm.match.equality import phone_key, same_number

Phone = dict[str, Any]


def same_phones(wanted: list[Phone], held: list[Phone]) -> bool:
    """Whether two phone lists are the same in any order; a wanted phone without a type takes any."""
    ours, theirs = _by_number(wanted), _by_number(held)
    if ours.keys() != theirs.keys():
        theirs = _under_our_numbers(theirs, wanted, held)
    if ours.keys() != theirs.keys():
        return False
    return all(
        sum(kinds.values()) == sum(theirs[number].values())
        and all(theirs[number][kind] >= count for kind, count in kinds.items() if kind is not None)
        for number, kinds in ours.items()
    )


def _under_our_numbers(
    theirs: dict[str, Counter[str | None]], wanted: list[Phone], held: list[Phone]
) -> dict[str, Counter[str | None]]:
    """Return held phones by the number that the record has for them, where only a country's prefix differs."""
    numbers = {phone_key(phone.get("number")): phone.get("number") for phone in held}
    found: dict[str, Counter[str | None]] = {}
    for key, kinds in theirs.items():
        same = [
            phone_key(phone.get("number"))
            for phone in wanted
            if same_number(phone.get("number"), numbers[key])
        ]
        found.setdefault((same[0] if same else None) or key, Counter()).update(kinds)
    return found


def _by_number(phones: list[Phone]) -> dict[str, Counter[str | None]]:
    """Number to its types; one phone that is listed twice counts once."""
    found: dict[str, Counter[str | None]] = {}
    for phone in phones:
        number = phone_key(phone.get("number"))
        if number is not None:
            kind = phone.get("type")
            found.setdefault(number, Counter())[kind.strip().lower() if isinstance(kind, str) else None] = 1
    for kinds in found.values():
        if len(kinds) > 1:
            # The same number without a type, beside itself with one, says nothing new.
            kinds.pop(None, None)
    return found


def phones_to_send(wanted: list[Phone], held: list[Phone]) -> list[Phone]:
    """Return the list for a PUT, each phone once: a number that the CRM holds keeps its type where none is wanted.

    A number without a type, beside itself with one, says nothing new.
    """
    types = {phone_key(phone.get("number")): phone.get("type") for phone in held}
    typed = {phone_key(phone["number"]) for phone in wanted if phone.get("type")}
    sent: dict[tuple[str | None, str | None], Phone] = {}
    for phone in wanted:
        key, kind = phone_key(phone["number"]), phone.get("type")
        if not kind and key in typed:
            continue
        kind = kind or types.get(key)
        sent.setdefault((key, kind), {"number": phone["number"], **({"type": kind} if kind else {})})
    return list(sent.values())
