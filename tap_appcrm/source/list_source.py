"""Where the walks read from: the API's client, in the walks' own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from appcrm.client import ListQuery
from appcrm.contact import as_id, canonical_timestamp
from appcrm.errors import (
    CsrfRejected,
    FatalError,
    MalformedBody,
    NotFound,
    RetriableError,
    ServerFault,
    Unauthenticated,
)
from tap_appcrm.source.page import BY_ID, Row, SourcePage

if TYPE_CHECKING:
    from appcrm.client import Client, Page
    from tap_appcrm.settings import TapSettings

TRIES_BEFORE_REFUSED = 2
CARRIED = ("companies", "deals")
"""Associations that list rows may carry, by themselves or because ``with=`` asks for them."""


class Source(Protocol):
    """What a walk needs of the CRM; every call is one request, safe from any thread."""

    def rows(
        self, order: str, number: int, *, page_size: int | None = None, doubtful: bool = False
    ) -> SourcePage:
        """Read a page of contacts with the fields that the stream needs.

        Args:
            order: as the API writes it.
            number: from 1.
            page_size: if not the usual one.
            doubtful: whether the server may not know the order: then its own failures are tried twice only.
        """

    def stamps(self, number: int) -> SourcePage:
        """Read a page by id with little more than ids and ``updated_at``."""

    def one(self, contact_id: int) -> Row | None:
        """Read one contact; None if the server says that it is not there."""

    def ignore_counts(self) -> None:
        """Show later pages without the server's counts, which turned out to be wrong."""


class ApiSource:
    """Contacts from the API, narrowed by the settings.

    Args:
        client: the API.
        settings: page size and filters.
        select: fields to ask for; empty for all.
        with_associations: whether rows should carry companies and deals, where the server lets them.
        otherwise_select: fields to ask for once it is known that rows do not carry them.

    A server that refuses ``select`` is asked for whole rows.
    """

    def __init__(
        self,
        client: Client,
        settings: TapSettings,
        select: tuple[str, ...] = (),
        *,
        with_associations: bool = False,
        otherwise_select: tuple[str, ...] = (),
    ) -> None:
        self._client = client
        self._query = ListQuery(
            per_page=settings.page_size,
            query=settings.query,
            search_fields=settings.search_fields,
            search_match=settings.search_match,
        )
        self._select = select
        self._is_select_tried = False
        self._include = CARRIED if with_associations else ()
        self._is_probed = not with_associations
        self._otherwise_select = otherwise_select
        self.columns: set[str] = set()
        """Names of all fields that rows had which were read in full."""
        self._sweeps_select: tuple[str, ...] = ("id", "updated_at")
        self._is_sweeps_select_tried = False
        self._ignores_counts = False

    def rows(
        self, order: str, number: int, *, page_size: int | None = None, doubtful: bool = False
    ) -> SourcePage:
        """Read a page of contacts."""
        query = msgspec.structs.replace(
            self._query,
            order=order,
            per_page=page_size or self._query.per_page,
            select=self._select,
            include=self._include,
        )
        page = (
            self._selected(query, number, doubtful=doubtful)
            if self._is_probed
            else self._probe(query, number)
        )
        self.columns.update(*page.rows)
        if query.select and not carries(page.rows, query.select):
            self._select = ()
            page = self._list(msgspec.structs.replace(query, select=()), number, doubtful=doubtful)
        return self._counted(page, source_page(page, query.per_page))

    def _probe(self, query: ListQuery, number: int) -> Page[Row]:
        """Read the first page, and find out whether rows carry associations."""
        self._is_probed = True
        try:
            page = self._list(query, number, doubtful=True)
        except (Unauthenticated, CsrfRejected, NotFound):
            raise
        except (FatalError, ServerFault):
            # It may be with= that the server does not take: only the page without it can tell.
            self._include = ()
            page = self._list(msgspec.structs.replace(query, include=()), number, doubtful=True)
        if page.rows and not carries(page.rows, CARRIED):
            self._include = ()
            self._select = self._otherwise_select or self._select
        return page

    def _selected(self, query: ListQuery, number: int, *, doubtful: bool) -> Page[Row]:
        """Read a page with ``select``, or from now on without it where the server turns out to refuse it."""
        if self._is_select_tried or not query.select:
            return self._list(query, number, doubtful=doubtful)
        page, is_taken = self._try_select(query, number, doubtful=doubtful)
        self._is_select_tried = True
        if not is_taken:
            self._select = ()
        return page

    def _try_select(self, query: ListQuery, number: int, *, doubtful: bool) -> tuple[Page[Row], bool]:
        """Read a page with ``select`` where the server takes it, else without, and tell which."""
        try:
            return self._list(query, number, doubtful=True), True
        except (Unauthenticated, CsrfRejected, NotFound):
            raise
        except (FatalError, ServerFault):
            # It may be select= that the server does not take: only the page without it can tell.
            return self._list(msgspec.structs.replace(query, select=()), number, doubtful=doubtful), False

    def _list(self, query: ListQuery, number: int, *, doubtful: bool = False) -> Page[Row]:
        if not doubtful:
            return self._client.list_contacts(query, number)
        try:
            return self._client.list_contacts(query, number, max_tries=TRIES_BEFORE_REFUSED)
        except ServerFault:
            raise
        except RetriableError:
            # Only the server's own failure may be a refusal; a bad line deserves all its tries.
            return self._client.list_contacts(query, number)

    def stamps(self, number: int) -> SourcePage:
        """Read a page by id with ids and ``updated_at``; everything, where the server's ``select`` is no use."""
        query = msgspec.structs.replace(self._query, order=BY_ID, select=self._sweeps_select)
        if self._is_sweeps_select_tried or not query.select:
            page = self._client.list_contacts(query, number)
        else:
            page, is_taken = self._try_select(query, number, doubtful=False)
            self._is_sweeps_select_tried = True
            if not is_taken:
                self._sweeps_select = ()
        if self._sweeps_select and not carries(page.rows, query.select):
            self._sweeps_select = ()
            return self.stamps(number)
        return self._counted(page, source_page(page, query.per_page))

    def one(self, contact_id: int) -> Row | None:
        """Read one contact; None for 404."""
        try:
            return self._client.retrieve_contact(contact_id)
        except NotFound:
            return None

    def ignore_counts(self) -> None:
        """Show later pages without the server's counts."""
        self._ignores_counts = True

    def _counted(self, sent: Page[Any], page: SourcePage) -> SourcePage:
        """Return a page as the walks may trust it: a count below what is on the page itself is no count."""
        if sent.total is not None and sent.total < len(sent.rows):
            self.ignore_counts()
        return page.without_counts() if self._ignores_counts else page


def carries(rows: list[Row], fields: tuple[str, ...]) -> bool:
    """Whether every row has every field that was asked for."""
    return all(field in row for row in rows for field in fields)


def source_page(page: Page[Row], asked: int) -> SourcePage:
    """Bring a page into the walks' form.

    Raises:
        MalformedBody: a row has no id.
    """
    rows = page.rows
    ids = [number for number in (as_id(row.get("id")) for row in rows) if number is not None]
    if len(ids) < len(rows):
        raise MalformedBody("a contact without an id", operation="list", path="/contacts", status=200)
    return _source_page(page, asked, ids, [canonical_timestamp(row.get("updated_at")) for row in rows])


def _source_page(page: Page[Any], asked: int, ids: list[int], stamps: list[str | None]) -> SourcePage:
    rows = page.rows
    return SourcePage(
        number=page.page,
        rows=rows,
        ids=ids,
        stamps=stamps,
        asked=asked,
        total=page.total,
        per_page=page.per_page if page.per_page and page.per_page > 0 else None,
        last_page=page.last_page if page.last_page and page.last_page > 0 else None,
        server_time=page.server_time,
    )
