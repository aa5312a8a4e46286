"""Where the walks read from: the API's client, in the walks' own words."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from appcrm.client import ListQuery
from appcrm.contact import as_id, canonical_timestamp
from appcrm.errors import MalformedBody, NotFound
from tap_appcrm.pages import BY_ID, Row, SourcePage

if TYPE_CHECKING:
    from appcrm.client import Client, Page
    from tap_appcrm.settings import TapSettings


class Source(Protocol):
    """What a walk needs of the CRM; every call is one request, safe from any thread."""

    def rows(
        self, order: str, number: int, *, page_size: int | None = None, max_tries: int | None = None
    ) -> SourcePage:
        """Read a page of contacts with the fields that the stream needs."""

    def stamps(self, number: int) -> SourcePage:
        """Read a page by id with little more than ids and ``updated_at``."""

    def one(self, contact_id: int) -> Row | None:
        """Read one contact; None if the server says that it is not there."""


class ApiSource:
    """Contacts from the API, narrowed by the settings.

    Args:
        client: the API.
        settings: page size and filters.
        select: fields to ask for; empty for all.
        include: relations to ask for.
    """

    def __init__(
        self,
        client: Client,
        settings: TapSettings,
        select: tuple[str, ...] = (),
        include: tuple[str, ...] = (),
    ) -> None:
        self._client = client
        self._query = ListQuery(
            per_page=settings.page_size,
            query=settings.query,
            search_fields=settings.search_fields,
            search_match=settings.search_match,
        )
        self.select = select
        self.include = include
        self._sweeps_select: tuple[str, ...] = ("id", "updated_at")

    def rows(
        self, order: str, number: int, *, page_size: int | None = None, max_tries: int | None = None
    ) -> SourcePage:
        """Read a page of contacts."""
        query = dataclasses.replace(
            self._query,
            order=order,
            per_page=page_size or self._query.per_page,
            select=self.select,
            include=self.include,
        )
        page = self._client.list_contacts(query, number, max_tries=max_tries)
        if self.select and not _carries(page, self.select):
            self.select = ()
            return self.rows(order, number, page_size=page_size, max_tries=max_tries)
        return source_page(page, query.per_page)

    def stamps(self, number: int) -> SourcePage:
        """Read a page by id with ids and ``updated_at``; everything, where the server's ``select`` is no use."""
        query = dataclasses.replace(self._query, order=BY_ID, select=self._sweeps_select)
        page = self._client.list_contacts(query, number)
        if self._sweeps_select and not _carries(page, self._sweeps_select):
            self._sweeps_select = ()
            return self.stamps(number)
        return source_page(page, query.per_page)

    def one(self, contact_id: int) -> Row | None:
        """Read one contact; None for 404."""
        try:
            return self._client.retrieve_contact(contact_id)
        except NotFound:
            return None


def _carries(page: Page[Row], fields: tuple[str, ...]) -> bool:
    """Whether every row has every field that was asked for."""
    return all(field in row for row in page.rows for field in fields)


def source_page(page: Page[Row], asked: int) -> SourcePage:
    """Bring a page into the walks' form.

    Raises:
        MalformedBody: a row has no id.
    """
    rows = page.rows
    ids = [as_id(row.get("id")) for row in rows]
    if None in ids:
        raise MalformedBody("a contact without an id", operation="list", path="/contacts", status=200)
    total = page.total
    if total is not None and total < len(rows):
        total = None
    last_page = page.last_page if page.last_page and page.last_page > 0 else None
    return SourcePage(
        number=page.page,
        rows=rows,
        ids=ids,  # type: ignore[arg-type]  # no None is left
        stamps=[canonical_timestamp(row.get("updated_at")) for row in rows],
        asked=asked,
        total=total,
        per_page=page.per_page if page.per_page and page.per_page > 0 else None,
        last_page=last_page,
        server_time=page.server_time,
    )
