"""Whether the server puts rows in the order of their changes; where it does not, every run reads by id."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from appcrm.contact import format_timestamp
from appcrm.errors import (
    BadRequest,
    CsrfRejected,
    FatalError,
    Forbidden,
    InvalidRecord,
    RateLimited,
    ServerFault,
    Unauthenticated,
)
from tap_appcrm.replication.backfill import first_page, resumed_page
from tap_appcrm.replication.read_context import FilterRefused
from tap_appcrm.source.page import NEWEST_FIRST
from tap_appcrm.state import is_still_refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_appcrm.replication.read_context import ReadContext
    from tap_appcrm.source.page import SourcePage
    from tap_appcrm.state import Backfill, Scope, StreamState

ASK_AGAIN_AFTER = timedelta(days=7)

logger = logging.getLogger("tap-appcrm")


class ChangeOrder:
    """Asks for ``order=updated_at``, and remembers in the state where it is refused.

    Args:
        context: of the read.
        state: of the stream.
        now: the local time, in UTC.
    """

    def __init__(self, context: ReadContext, state: StreamState, now: Callable[[], datetime]) -> None:
        self._context = context
        self._state = state
        self._now = now
        self._refused_because: str | None = None

    def newest(self) -> SourcePage | None:
        """Read the newest page; None where the server refuses the order, now or lately."""
        if is_still_refused(self._state.order_refused_until, self._now(), ASK_AGAIN_AFTER):
            logger.info("%s: order=updated_at was refused before; reading by id", self._context.stream)
            return None
        try:
            page = self._context.source.page(NEWEST_FIRST, 1, probing=True)
        except (Unauthenticated, CsrfRejected, RateLimited):
            raise
        except (FatalError, ServerFault) as error:
            self.refuse(f"status {error.status}")
            return None
        self._state.order_refused_until = None
        return page

    def refuse(self, why: str) -> None:
        """Remember that the server does not follow the order."""
        self._refused_because = why
        self._state.order_refused_until = format_timestamp(self._now() + ASK_AGAIN_AFTER)

    def first_by_id(self, resumed: Backfill | None, scope: Scope) -> SourcePage | None:
        """Read the first page by id; only where that is answered was it the order that the server refused.

        Raises:
            FilterRefused: it was the filter.
        """
        refused_until, self._state.order_refused_until = self._state.order_refused_until, None
        try:
            page = (
                first_page(self._context, None) if resumed is None else resumed_page(self._context, resumed)
            )
            if page is not None and not page.ids:
                page = first_page(self._context, None)
        except (BadRequest, Forbidden, InvalidRecord, ServerFault) as error:
            if scope.query or scope.search_fields or scope.search_match:
                raise FilterRefused(
                    f"stream {self._context.stream}: {error}. query, search_fields and search_match are sent along: "
                    "a field that the CRM cannot search is refused like this"
                ) from error
            raise
        self._state.order_refused_until = refused_until
        if self._refused_because is not None:
            logger.warning(
                "%s: the server refuses order=updated_at (%s): every run reads all rows by id instead, "
                "and asks again in %d days",
                self._context.stream,
                self._refused_because,
                ASK_AGAIN_AFTER.days,
            )
        return page
