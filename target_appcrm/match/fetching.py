"""Fetches contacts by search, page or id, with their associations where the server's lists carry them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from appcrm.client import ListQuery
from appcrm.contact import BODY_ASSOCIATIONS, normalise
from appcrm.errors import (
    BadRequest,
    CsrfRejected,
    Forbidden,
    InvalidRecord,
    NotFound,
    ServerFault,
    Unauthenticated,
)
from target_appcrm.match.keys import ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appcrm.client import Client, Page
    from target_appcrm.match.keys import Contact

    Rows = list[dict[str, Any]]


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
        self, field: str, values: Sequence[str], operator: str, *, include: bool, max_tries: int | None = None
    ) -> list[Contact]:
        """Search a field for values with an operator of the API."""

        def send(include_names: Sequence[str]) -> Rows:
            self.searches[field] += 1
            return self._client.search_contacts(
                ",".join(values),
                search_fields=f"{field}:{operator}",
                include=include_names,
                max_tries=max_tries,
            )

        return self.contacts(self._including(send, include=include))

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

    def page(self, number: int, *, include: bool) -> Page[dict[str, Any]]:
        """List one page of all contacts, its rows as they came."""
        pages: list[Page[dict[str, Any]]] = []

        def send(include_names: Sequence[str]) -> Rows:
            pages.append(self._client.list_contacts(ListQuery(include=tuple(include_names)), number))
            return pages[-1].rows

        self._including(send, include=include)
        return pages[-1]

    def contacts(self, rows: Iterable[dict[str, Any]]) -> list[Contact]:
        """Return rows as contacts."""
        return [normalise(row, self._custom_names) for row in rows if isinstance(row.get("id"), int)]

    def _including(self, send: Callable[[Sequence[str]], Rows], *, include: bool) -> Rows:
        """Ask for associations once; a server that refuses, or leaves them out, is not asked again."""
        asked = BODY_ASSOCIATIONS if include and self._takes_include is not False else ()
        if not asked or self._takes_include is not None:
            return send(asked)
        try:
            rows = send(asked)
        except (Unauthenticated, CsrfRejected):
            raise
        except (BadRequest, Forbidden, InvalidRecord, NotFound, ServerFault):
            rows = send(())
            self._takes_include = False
            return rows
        if rows:
            self._takes_include = all(name in row for row in rows for name in asked)
        return rows
