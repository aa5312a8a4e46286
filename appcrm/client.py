"""The nine calls of the vendor's Contacts page, and what their answers mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from appcrm.pages import Page, Row, read_contact, read_page
from appcrm.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appcrm.abilities import Abilities
    from appcrm.session import Response
    from appcrm.settings import ApiSettings

Associations = dict[str, list[int]]

MAX_PAGE_SIZE = 100
"""Concord's public documentation: ``per_page`` goes up to 100."""


@dataclass(frozen=True)
class ListQuery:
    """What to list; field names as the API writes them.

    Args:
        order: a field, descending with ``|desc`` behind it; always given, since the default order is unsafe.
        select: fields to return; empty for all.
        include: relations for ``with=``, which the server may ignore.
        query: search text, passed on as ``q``.
        search_fields: such as ``email:like;phones.number:=``.
        search_match: ``and`` or ``or``.
        filters: parameters of the screen's own grammar, ``filters[…]``, which must be proven where they are used.
    """

    order: str = "id"
    per_page: int = MAX_PAGE_SIZE
    select: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    query: str | None = None
    search_fields: str | None = None
    search_match: str | None = None
    filters: tuple[tuple[str, str], ...] = ()

    def including(self, relations: tuple[str, ...]) -> ListQuery:
        """Return the same query with relations for ``with=``."""
        return replace(self, include=relations)

    def parameters(self, page: int) -> dict[str, str | int]:
        """Return the query parameters of one page."""
        wanted: dict[str, str | int | None] = {
            "order": self.order,
            "per_page": self.per_page,
            "page": page,
            "select": ";".join(self.select) or None,
            "with": ";".join(self.include) or None,
            "q": self.query,
            "search_fields": self.search_fields,
            "search_match": self.search_match,
        }
        return {name: value for name, value in wanted.items() if value is not None} | dict(self.filters)


class Client:
    """AppCRM contacts over HTTP; safe to share between threads.

    Every method raises ``ApiError`` when its request, after its tries, did not succeed.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    @classmethod
    def from_settings(cls, settings: ApiSettings, **session_options: Any) -> Client:  # noqa: ANN401  passed on
        """Make a client with a session of its own; further arguments are the session's."""
        return cls(Session(settings, **session_options))

    @property
    def requests_sent(self) -> int:
        """Tries so far, over all threads."""
        return self.session.requests_sent

    @property
    def abilities(self) -> Abilities:
        """What is known of the CRM so far."""
        return self.session.abilities

    def break_off_reads(self) -> None:
        """End every read at once, in flight or to come: for a run that ends, and does not wait for slow answers."""
        self.session.break_off_reads()

    def list_contacts(
        self,
        query: ListQuery,
        page: int = 1,
        *,
        max_tries: int | None = None,
    ) -> Page:
        """List one page of contacts (vendor page, List Contacts).

        Args:
            query: order, fields and filters.
            page: from 1; past the last page the rows are empty.
            max_tries: fewer tries than the setting says.
        """
        return self.list_page("contacts", query, page, max_tries=max_tries)

    def list_trashed_contacts(self, query: ListQuery, page: int = 1, *, max_tries: int | None = None) -> Page:
        """List one page of deleted contacts, which takes the whole grammar of a list (source: trash)."""
        return self.list_page("contacts", query, page, trashed=True, max_tries=max_tries)

    def list_page(
        self,
        resource: str,
        query: ListQuery,
        page: int = 1,
        *,
        trashed: bool = False,
        max_tries: int | None = None,
    ) -> Page:
        """List one page of any resource: they share one grammar (docs, source: neighbours).

        Args:
            resource: as its address names it, such as ``companies`` or ``pipeline-stages``.
            query: order, fields and filters.
            page: from 1; past the last page the rows are empty.
            trashed: whether to list what was deleted instead.
            max_tries: fewer tries than the setting says.
        """
        result: Page = self.session.request(
            "trash" if trashed else "list",
            "GET",
            f"/trashed/{resource}" if trashed else f"/{resource}",
            query=query.parameters(page),
            max_tries=max_tries,
            decode=lambda response: read_page(response, page),
        )
        return result

    def retrieve(self, resource: str, row_id: int) -> Row:
        """Return one row of any resource, such as ``companies`` (docs, source: neighbours)."""
        return self._one("retrieve", "GET", f"/{resource}/{row_id}")

    def search_contacts(
        self,
        text: str,
        *,
        search_fields: str,
        search_match: str | None = None,
        take: int | None = None,
        select: Sequence[str] = (),
        include: Sequence[str] = (),
        max_tries: int | None = None,
    ) -> list[Row]:
        """Search contacts, unpaginated (vendor page, Search Contacts).

        Args:
            text: what to search; several values with commas under the operator ``in``.
            search_fields: such as ``email:=``; an unknown field is refused with 403 or 500.
            search_match: ``and`` or ``or``.
            take: the most rows to return.
            select: fields to return; empty for all.
            include: relations for ``with=``, which the server may ignore.
            max_tries: fewer tries than the setting says.
        """
        wanted: dict[str, str | int | None] = {
            "q": text,
            "search_fields": search_fields,
            "search_match": search_match,
            "take": take,
            "select": ";".join(select) or None,
            "with": ";".join(include) or None,
        }
        rows: list[Row] = self.session.request(
            "search",
            "GET",
            "/contacts/search",
            query={name: value for name, value in wanted.items() if value is not None},
            max_tries=max_tries,
            decode=lambda response: read_page(response, 1, "search").rows,
        )
        return rows

    def retrieve_contact(self, contact_id: int) -> Row:
        """Return one contact with its associations (vendor page, Retrieve Contact)."""
        return self.retrieve("contacts", contact_id)

    def create_contact(self, body: Mapping[str, Any]) -> Row:
        """Create a contact and return it (vendor page, Create Contact).

        Sent once only where a second try could double the contact: check ``outcome_unknown`` of the error.
        """
        return self._one("create", "POST", "/contacts", body=body, idempotent=False, needs_id=True)

    def update_contact(self, contact_id: int, body: Mapping[str, Any]) -> Row:
        """Update the given fields and return the contact, or ``{}`` (vendor page, Update Contact)."""
        return self._one("update", "PUT", f"/contacts/{contact_id}", body=body)

    def delete_contact(self, contact_id: int) -> None:
        """Delete a contact, which goes to the trash (vendor page, Delete Contacts)."""
        path = f"/contacts/{contact_id}"

        def decode(response: Response) -> None:
            # A page for people with status 200, as of a proxy's login, has deleted nothing.
            read_contact(response, "delete", path, needs_id=False)

        self.session.request("delete", "DELETE", path, decode=decode)

    def attach(self, contact_id: int, associations: Associations) -> Row:
        """Add associations; 409 where one is there already (vendor page, Attach Associations)."""
        return self._associate("attach", "PUT", contact_id, associations)

    def detach(self, contact_id: int, associations: Associations) -> Row:
        """Remove associations (vendor page, Detach Associations)."""
        return self._associate("detach", "DELETE", contact_id, associations)

    def sync(self, contact_id: int, associations: Associations) -> Row:
        """Make each given key exactly that set, and touch no other (vendor page, Sync Associations)."""
        return self._associate("sync", "POST", contact_id, associations)

    def _associate(self, operation: str, method: str, contact_id: int, associations: Associations) -> Row:
        return self._one(operation, method, f"/associations/contacts/{contact_id}", body=associations)

    def _one(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: object = None,
        idempotent: bool = True,
        needs_id: bool = False,
    ) -> Row:
        def decode(response: Response) -> Row:
            return read_contact(response, operation, path, needs_id=needs_id or method == "GET")

        row: Row = self.session.request(
            operation, method, path, body=body, idempotent=idempotent, decode=decode
        )
        return row
