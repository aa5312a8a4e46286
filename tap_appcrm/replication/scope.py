"""Whether what a state says was read does for what is asked for now."""

from __future__ import annotations

from tap_appcrm.state import Scope, StreamState


def why_anew(state: StreamState, asked: Scope, *, full_table: bool) -> str | None:
    """Why everything has to be read anew; None where the state can be gone on from.

    Args:
        state: of the last run.
        asked: what is to be read now, of the same account.
        full_table: whether everything is read anyway, so that a position means nothing.
    """
    before = state.scope
    if before is None or (state.bookmark is None and state.backfill is None):
        return None
    if not before.has_filters_of(asked):
        return "query, search_fields or search_match changed"
    if before.lacks(asked.start_date):
        return "start_date is earlier than before"
    if state.backfill is not None and before.start_date != asked.start_date and not full_table:
        return "start_date changed while the first read was under way"
    return None


def begun_anew(old: StreamState, asked: Scope) -> StreamState:
    """Return the state of a read that begins anew: of other filters, nothing of what was known holds."""
    same_rows = old.scope is not None and old.scope.has_filters_of(asked)
    return StreamState(
        scope=asked,
        proven_total=old.proven_total if same_rows else None,
        known_ids=old.known_ids if same_rows else None,
        unlisted_ids=old.unlisted_ids if same_rows else None,
        order_refused_until=old.order_refused_until,
        trash_refused_until=old.trash_refused_until,
        table_version=old.table_version,
    )
