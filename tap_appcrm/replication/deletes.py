"""Contacts that are gone: candidates by the set of known ids, each confirmed by its own GET."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from appcrm.contact import canonical_timestamp
from appcrm.errors import Forbidden, ServerFault
from tap_appcrm.replication.id_scan import Sweep, sweep
from tap_appcrm.replication.id_set import IdSet
from tap_appcrm.replication.refetch import MAX_ROUNDS, fetch, unproven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_appcrm.replication.read_context import Rows, Run
    from tap_appcrm.source.page import Row
    from tap_appcrm.state import StreamState

MOST_ASKED_AGAIN = 20
"""Contacts that are not listed and yet not gone, of which one run asks again: each costs a request."""
MOST_NAMED = 5

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
    for number in [number for number in unlisted if number in run.seen]:
        unlisted.discard(number)
    if listed is not None:
        alive = listed
    elif known is not None and run.total == _expected(run, known) - len(unlisted):
        known.update(run.seen)
        gone, _ = _confirm(run, _some_of(list(unlisted)))
        if gone:
            yield Gone(gone)
        for number in gone:
            known.discard(number)
            unlisted.discard(number)
        state.unlisted_ids = unlisted or None
        return
    else:
        found = _sound_sweep(run, known)
        alive = found.ids
        if known is not None:
            yield from _those_since(fetch(run, found.wanted), since)
    hidden = [number for number in unlisted if number not in alive]
    once = IdSet(known or ())
    once.update(run.vanished)
    once.update(run.seen)
    candidates = [number for number in once if number not in alive and number not in unlisted]
    asked = candidates + _some_of(hidden)
    gone, kept = _confirm(run, asked)
    if gone:
        yield Gone(gone)
    unasked = set(hidden).difference(asked)
    state.known_ids = IdSet(alive)
    state.known_ids.update(kept)
    state.known_ids.update(unasked)
    settled = IdSet(unasked)
    settled.update(number for number, stamp in kept.items() if bookmark is None or (stamp or "") < bookmark)
    state.unlisted_ids = settled or None


def _expected(run: Run, known: IdSet) -> int:
    """How many contacts there are if none went that was known."""
    return len(known) + sum(number not in known for number in run.seen)


def _some_of(hidden: list[int]) -> list[int]:
    """Choose whom to ask for again: by chance, so that each has its turn after some runs."""
    return sorted(random.sample(hidden, min(len(hidden), MOST_ASKED_AGAIN)))


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
    refusals: defaultdict[int | None, list[int]] = defaultdict(list)

    def ask(contact_id: int) -> Row | None:
        try:
            return run.source.one(contact_id)
        except (Forbidden, ServerFault) as error:
            refusals[error.status].append(contact_id)
            return {}

    with run.workers.in_order(ask, candidates) as answers:
        for contact_id, row in answers:
            if row is None:
                gone.append(contact_id)
            else:
                kept[contact_id] = canonical_timestamp(row.get("updated_at"))
    for status, ids in refusals.items():
        logger.warning(
            "%s: %d contacts are not listed, but their own requests answer with status %s (ids %s); they are not "
            "taken as deleted, and later runs ask again",
            run.stream,
            len(ids),
            status,
            _named(ids),
        )
    return gone, kept


def _named(ids: list[int]) -> str:
    first = ", ".join(str(number) for number in sorted(ids)[:MOST_NAMED])
    return first if len(ids) <= MOST_NAMED else f"{first} and others"
