"""Where the walks read from: the API's client, in the walks' own words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

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
from tap_appcrm.source.page import BY_ID, NEWEST_FIRST, Row, SourcePage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from appcrm.client import Client
    from appcrm.pages import Page
    from tap_appcrm.settings import TapSettings
    from tap_appcrm.source.thread_pool import Workers

TRIES_BEFORE_REFUSED = 2
LARGEST_ID = (1 << 63) - 1


@dataclass(frozen=True)
class Resource:
    """What the walks and their source have to know of a kind of rows.

    Args:
        name: as the API's paths write it.
        always_selected: columns without which ``select=`` is not safe (source: the display name is made of one of
            them, and permissions are looked up by another).
        carried: associations that list rows may carry, by themselves or because ``with=`` asks for them.
    """

    name: str
    always_selected: tuple[str, ...]
    carried: tuple[str, ...] = ()


CONTACTS = Resource("contacts", ("id", "first_name", "user_id", "updated_at"), ("companies", "deals"))


class Source(Protocol):
    """What a walk needs of the CRM. Each page and each row is one request."""

    def page(
        self, order: str, number: int, *, page_size: int | None = None, probing: bool = False
    ) -> SourcePage:
        """Read a page of rows with the fields that the stream needs.

        Args:
            order: as the API writes it.
            number: from 1.
            page_size: if not the usual one.
            probing: whether the server may not know the order: then its own failures are tried twice only.
        """

    def pages(self, order: str, numbers: Iterable[int]) -> Iterator[SourcePage]:
        """Read pages in the order of their numbers, several of them in flight."""

    def id_page(self, number: int) -> SourcePage:
        """Read a page by id with little more than ids and ``updated_at``."""

    def trash_page(self, number: int) -> SourcePage:
        """Read a page of the trash, what was deleted last first."""

    def one(self, row_id: int) -> Row | None:
        """Read one row; None if the server says that it is not there."""

    def each(
        self, ids: Iterable[int], ask: Callable[[int], Row | None] | None = None
    ) -> Iterator[tuple[int, Row | None]]:
        """Read rows one by one, several requests in flight; by ``one`` where nothing else is given."""


class ListSource:
    """Rows of a list of the API, narrowed by the settings; safe to be asked from any thread.

    Args:
        client: the API.
        settings: page size and filters.
        workers: threads for its requests, so that a run that is told to end waits for none.
        resource: of what kind the rows are.
        select: fields to ask for; empty for all.
        with_associations: whether rows should carry associations, where the server lets them.
        otherwise_select: fields to ask for once it is known that rows do not carry them.

    A server that refuses ``select`` is asked for whole rows.
    """

    def __init__(
        self,
        client: Client,
        settings: TapSettings,
        workers: Workers,
        resource: Resource = CONTACTS,
        select: tuple[str, ...] = (),
        *,
        with_associations: bool = False,
        otherwise_select: tuple[str, ...] = (),
    ) -> None:
        self._client = client
        self._workers = workers
        self._resource = resource
        self._query = ListQuery(
            per_page=settings.page_size,
            query=settings.query,
            search_fields=settings.search_fields,
            search_match=settings.search_match,
        )
        self._select = self._safe(select)
        self._is_select_tried = False
        self._include = resource.carried if with_associations else ()
        self._is_probed = not self._include
        self._otherwise_select = self._safe(otherwise_select)
        self.columns: set[str] = set()
        """Names of all fields that rows had which were read in full."""
        self._id_select: tuple[str, ...] = resource.always_selected
        self._is_id_select_tried = False

    def _safe(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """Add what makes a selection safe; none stays none."""
        return tuple(dict.fromkeys((*self._resource.always_selected, *fields))) if fields else ()

    # Pages

    def page(
        self, order: str, number: int, *, page_size: int | None = None, probing: bool = False
    ) -> SourcePage:
        """Read a page."""
        return self._workers.call(lambda: self._page(order, number, page_size=page_size, probing=probing))

    def pages(self, order: str, numbers: Iterable[int]) -> Iterator[SourcePage]:
        """Read pages in the order of their numbers, several of them in flight."""
        with self._workers.in_order(lambda number: self._page(order, number), numbers) as pages:
            for _, page in pages:
                yield page

    def _page(
        self, order: str, number: int, *, page_size: int | None = None, probing: bool = False
    ) -> SourcePage:
        query = replace(
            self._query,
            order=order,
            per_page=page_size or self._query.per_page,
            select=self._select,
            include=self._include,
        )
        if self._is_probed:
            page = self._selected(query, number, probing=probing)
        else:
            page = self._probe_associations(query, number)
        self.columns.update(*page.rows)
        if query.select and not has_fields(page.rows, query.select):
            self._select = ()
            page = self._list(replace(query, select=()), number, probing=probing)
        return source_page(page, query.per_page)

    def _probe_associations(self, query: ListQuery, number: int) -> Page:
        """Read the first page, and find out whether rows carry associations."""
        self._is_probed = True
        try:
            page = self._list(query, number, probing=True)
        except (Unauthenticated, CsrfRejected, NotFound):
            raise
        except (FatalError, ServerFault):
            # It may be with= that the server does not take: only the page without it can tell.
            self._include = ()
            page = self._list(replace(query, include=()), number, probing=True)
        if page.rows and not carries(page.rows, self._resource.carried):
            self._include = ()
            self._select = self._otherwise_select or self._select
        return page

    def _selected(self, query: ListQuery, number: int, *, probing: bool) -> Page:
        """Read a page with ``select``, or from now on without it where the server turns out to refuse it."""
        if self._is_select_tried or not query.select:
            return self._list(query, number, probing=probing)
        page, is_taken = self._try_select(query, number, probing=probing)
        self._is_select_tried = True
        if not is_taken:
            self._select = ()
        return page

    def _try_select(self, query: ListQuery, number: int, *, probing: bool) -> tuple[Page, bool]:
        """Read a page with ``select`` where the server takes it, else without, and tell which."""
        try:
            return self._list(query, number, probing=True), True
        except (Unauthenticated, CsrfRejected, NotFound):
            raise
        except (FatalError, ServerFault):
            # It may be select= that the server does not take: only the page without it can tell.
            return self._list(replace(query, select=()), number, probing=probing), False

    def _list(self, query: ListQuery, number: int, *, probing: bool = False, trashed: bool = False) -> Page:
        list_page = partial(self._client.list_page, self._resource.name, query, number, trashed=trashed)
        if not probing:
            return list_page()
        try:
            return list_page(max_tries=TRIES_BEFORE_REFUSED)
        except ServerFault:
            raise
        except RetriableError:
            # Only the server's own failure may be a refusal; a bad line deserves all its tries.
            return list_page()

    # Ids, trash, single rows

    def id_page(self, number: int) -> SourcePage:
        """Read a page by id with ids and ``updated_at``; everything, where the server's ``select`` is no use."""
        return self._workers.call(self._id_page, number)

    def _id_page(self, number: int) -> SourcePage:
        query = replace(self._query, order=BY_ID, select=self._id_select)
        if self._is_id_select_tried or not query.select:
            page = self._list(query, number)
        else:
            page, is_taken = self._try_select(query, number, probing=False)
            self._is_id_select_tried = True
            if not is_taken:
                self._id_select = ()
        if self._id_select and not has_fields(page.rows, query.select):
            self._id_select = ()
            return self._id_page(number)
        return source_page(page, query.per_page)

    def trash_page(self, number: int) -> SourcePage:
        """Read a page of the trash; a server that does not know it is asked twice at most."""
        query = replace(self._query, order=NEWEST_FIRST)
        return self._workers.call(
            lambda: source_page(self._list(query, number, probing=True, trashed=True), query.per_page)
        )

    def one(self, row_id: int) -> Row | None:
        """Read one row; None for 404."""
        try:
            return self._client.retrieve(self._resource.name, row_id)
        except NotFound:
            return None

    def each(
        self, ids: Iterable[int], ask: Callable[[int], Row | None] | None = None
    ) -> Iterator[tuple[int, Row | None]]:
        """Read rows one by one, several requests in flight."""
        with self._workers.in_order(ask or self.one, ids) as answers:
            yield from answers


def has_fields(rows: list[Row], fields: tuple[str, ...]) -> bool:
    """Whether every row has every field that was asked for; under ``select`` a null says nothing of its value."""
    return all(field in row for row in rows for field in fields)


def carries(rows: list[Row], associations: tuple[str, ...]) -> bool:
    """Whether every row carries associations: null is absent, not empty."""
    return all(row.get(name) is not None for row in rows for name in associations)


def source_page(page: Page, asked: int) -> SourcePage:
    """Bring a page into the walks' form.

    Raises:
        MalformedBody: a row has no id, or one that cannot be.
    """
    rows = page.rows
    ids = [number for number in (as_id(row.get("id")) for row in rows) if number is not None]
    if len(ids) < len(rows):
        raise _malformed("a row without an id")
    if ids and not (min(ids) > 0 and max(ids) <= LARGEST_ID):
        raise _malformed("an id that no row can have")
    # A count below what is on the page itself was taken a moment earlier.
    total = None if page.total is None else max(page.total, len(rows))
    return SourcePage(
        number=page.page,
        rows=rows,
        ids=ids,
        stamps=[canonical_timestamp(row.get("updated_at")) for row in rows],
        asked=asked,
        total=total,
        per_page=page.per_page if page.per_page and page.per_page > 0 else None,
        last_page=page.last_page if page.last_page and page.last_page > 0 else None,
        server_time=page.server_time,
    )


def _malformed(why: str) -> MalformedBody:
    return MalformedBody(why, operation="list", path="/contacts", status=200)
