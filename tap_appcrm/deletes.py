"""Contacts that are gone: candidates by the set of known ids, each confirmed by its own GET."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from appcrm.contact import canonical_timestamp
from appcrm.errors import Forbidden, ServerFault
from tap_appcrm.idset import IdSet
from tap_appcrm.repairs import MAX_ROUNDS, fetch, unproven
from tap_appcrm.sweep import Sweep, sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_appcrm.pages import Row
    from tap_appcrm.position import StreamState
    from tap_appcrm.run import Rows, Run

logger = logging.getLogger("tap-appcrm")


class Gone(NamedTuple):
    """Contacts that the server says are not there."""

    ids: list[int]


def find_deletes(
    run: Run, state: StreamState, *, listed: IdSet | None, since: str | None, bookmark: str | None
) -> Iterator[Rows | Gone]:
    """Yield contacts that are gone, and those that are there but were never emitted; bring the sets up to date.

    Args:
        run: the read, which is otherwise complete.
        state: holds the ids known so far, and of those the ones that are alive but not listed.
        listed: every contact in the CRM, if the read saw them all.
        since: ``start_date``: older contacts are not emitted.
        bookmark: up to where changes were read; what changed since is for the next run to see.

    Raises:
        Unproven: sweeps of ids were not sound.
    """
    known, unlisted = state.known_ids, state.unlisted_ids or IdSet()
    if listed is not None:
        alive = listed
    else:
        expected = len(known or ()) + sum(number not in (known or ()) for number in run.seen)
        returned = sum(number in run.seen for number in unlisted)
        if known is not None and run.total == expected - len(unlisted) + returned:
            known.update(run.seen)
            for number in [number for number in unlisted if number in run.seen]:
                unlisted.discard(number)
            state.unlisted_ids = unlisted or None
            return
        found = _sound_sweep(run, known)
        alive = found.ids
        if known is not None:
            yield from _those_since(fetch(run, found.wanted), since)
    once = IdSet(known or ())
    once.update(run.vanished)
    once.update(run.seen)
    candidates = [number for number in once if number not in alive]
    gone, kept = _confirm(run, candidates)
    if gone:
        yield Gone(gone)
    state.known_ids = IdSet(alive)
    state.known_ids.update(kept)
    settled = [number for number, stamp in kept.items() if bookmark is None or (stamp or "") < bookmark]
    state.unlisted_ids = IdSet(settled) or None


def _sound_sweep(run: Run, known: IdSet | None) -> Sweep:
    def is_new(contact_id: int, _stamp: str | None) -> bool:
        return known is not None and contact_id not in known and contact_id not in run.seen

    for _ in range(MAX_ROUNDS):
        found = sweep(run, is_new, lambda _: False)
        if found.is_sound:
            run.total = found.last_total
            return found
    raise unproven(run, "the ids in the CRM could not be listed soundly, so deletes are unknown")


def _those_since(batches: Iterator[Rows], since: str | None) -> Iterator[Rows]:
    for rows in batches:
        wanted = rows.since(since)
        if wanted.ids:
            yield wanted


def _confirm(run: Run, candidates: list[int]) -> tuple[list[int], dict[int, str | None]]:
    """Ask for each candidate: those that are gone, and those of which the server does not say so."""
    gone: list[int] = []
    kept: dict[int, str | None] = {}

    def ask(contact_id: int) -> Row | None:
        try:
            return run.source.one(contact_id)
        except (Forbidden, ServerFault) as error:
            logger.warning(
                "%s: contact %d is not listed, and %s; not taken as deleted", run.stream, contact_id, error
            )
            return {}

    for contact_id, row in run.workers.in_order(ask, candidates):
        if row is None:
            gone.append(contact_id)
        else:
            kept[contact_id] = canonical_timestamp(row.get("updated_at"))
    return gone, kept
