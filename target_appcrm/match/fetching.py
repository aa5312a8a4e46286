"""Fetches contacts by search, page or id, with their associations where the server's lists carry them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from appcrm.client import MAX_PAGE_SIZE, ListQuery
from appcrm.contact import BODY_ASSOCIATIONS, normalise
from appcrm.errors import (
    BadRequest,
    Forbidden,
    InvalidRecord,
    NotFound,
    ServerFault,
)
from target_appcrm.match.keys import ID
from target_appcrm.match.ways import filter_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from appcrm.client import Client
    from appcrm.pages import Page
    from target_appcrm.match.keys import Contact

    Rows = list[dict[str, Any]]


MOST_HOLDERS = 10
"""Contacts that are believed to share one value of a key."""


class Fetches:
    """Sends the requests that find contacts, and learns from the first whether ``with=`` is understood.

    Args:
        custom_names: custom fields beyond ``cf_…``.
    """

    def __init__(self, client: Client, custom_names: frozenset[str]) -> None:
        self._client = client
        self._custom_names = custom_names
        self._takes_include: bool | None = None
        self.searches: Counter[str] = Counter()
        """Searches sent so far, by field; a Retrieve counts as one by id."""

    def search(
        self, field: str, values: Sequence[str], operator: str, *, max_tries: int | None = None
    ) -> list[Contact]:
        """Search a field for values with an operator of the API; what is found carries companies and deals."""
        self.searches[field] += 1
        return self.contacts(
            self._client.search_contacts(
                ",".join(values), search_fields=f"{field}:{operator}", max_tries=max_tries
            )
        )

    def filtered(
        self, field: str, values: Sequence[str], *, include: bool, max_tries: int | None = None
    ) -> list[Contact] | None:
        """List the contacts that have one of some values in a field.

        None where more are listed than can have them: the CRM has passed the filters over.
        """
        query = ListQuery(filters=tuple(filter_query(field, values).items()))
        rows: Rows = []
        number, total = 1, 1
        while len(rows) < total:
            self.searches[field] += 1
            page = self._list(query, number, include=include, max_tries=max_tries)
            if (page.total or len(page.rows)) > max(MAX_PAGE_SIZE - 1, MOST_HOLDERS * len(values)):
                return None
            rows += page.rows
            total = (page.total or 0) if page.rows else 0
            number += 1
        return self.contacts(rows)

    def retrieve(self, contact_id: int) -> list[Contact]:
        """Retrieve one contact; none where it is not there."""
        self.searches[ID] += 1
        try:
            return self.contacts([self._client.retrieve_contact(contact_id)])
        except NotFound:
            return []
        except Forbidden:
            # The token may not see it, so it cannot be what the record means.
            return []

    def page(self, number: int, *, include: bool) -> Page:
        """List one page of all contacts, its rows as they came."""
        return self._list(ListQuery(), number, include=include)

    def all_pages(self) -> list[Contact]:
        """Read all pages, one after another, whatever is known of them."""
        rows: Rows = []
        number = 1
        while found := self.page(number, include=False).rows:
            rows += found
            number += 1
        return self.contacts(rows)

    def contacts(self, rows: Iterable[dict[str, Any]]) -> list[Contact]:
        """Return rows as contacts."""
        return [normalise(row, self._custom_names) for row in rows if isinstance(row.get("id"), int)]

    def _list(self, query: ListQuery, number: int, *, include: bool, max_tries: int | None = None) -> Page:
        """List a page, with associations where they are wanted; a server that refuses those is not asked again."""
        if not include or self._takes_include is False:
            return self._client.list_contacts(query, number, max_tries=max_tries)
        asked = query.including(BODY_ASSOCIATIONS)
        if self._takes_include:
            return self._client.list_contacts(asked, number, max_tries=max_tries)
        try:
            page = self._client.list_contacts(asked, number, max_tries=max_tries)
        except (BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault):
            page = self._client.list_contacts(query, number, max_tries=max_tries)
            self._takes_include = False
        if page.rows and self._takes_include is None:
            self._takes_include = all(name in row for row in page.rows for name in BODY_ASSOCIATIONS)
        return page
