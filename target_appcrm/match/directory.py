"""What the CRM has beside contacts, read as far as it is needed: companies, deals, users, sources, countries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from appcrm.abilities import Ability
from appcrm.client import MAX_PAGE_SIZE, ListQuery
from appcrm.contact import as_id
from appcrm.errors import BadRequest, Forbidden, InvalidRecord, MalformedBody, NotFound, ServerFault
from appcrm.pages import read_contact, read_page
from target_appcrm.match.equality import plain_name
from target_appcrm.match.ways import VALUES_PER_SEARCH, Way, batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from appcrm.abilities import Abilities
    from appcrm.client import Client
    from appcrm.pages import Page
    from target_appcrm.write.workers import Workers

    Row = dict[str, Any]

CANNOT_BE_READ = (BadRequest, Forbidden, InvalidRecord, MalformedBody, NotFound, ServerFault)
TRIES = 3
MOST_PAGES = 100
"""Of a small list; no CRM has ten thousand users, sources or countries."""
NAME_KEYS = {
    "users": ("name", "email"),
    "sources": ("name",),
    "countries": ("name", "iso_3166_2", "iso_3166_3", "iso_code", "iso2", "iso3", "code", "short_name"),
    "companies": ("name", "domain"),
    "deals": ("name",),
}
FEWEST_NAME_CHARS = 2
FEWEST_TOGETHER = 2
FEW_REQUESTS = 3
"""So many go out before the number of pages is asked for, which costs one."""


class SmallList:
    """Users, sources or countries, read once when first needed.

    Args:
        resource: its path.
    """

    def __init__(self, client: Client, resource: str) -> None:
        self._client = client
        self._resource = resource
        self._was_read = False
        self._named: list[tuple[str, int]] = []
        self.names: dict[int, str] = {}
        """By id, as far as the list was read."""
        self.is_refused = False
        """Whether the token may not read it."""

    def _read_once(self) -> None:
        if self._was_read:
            return
        try:
            rows = self._read()
        except CANNOT_BE_READ:
            self.is_refused, rows = True, {}
        self._was_read = True
        keys = NAME_KEYS[self._resource]
        self.names = {number: str(row.get("name") or "") for number, row in rows.items()}
        self._named = [
            (row[key], number)
            for number, row in rows.items()
            for key in keys
            if isinstance(row.get(key), str)
        ]

    def _read(self) -> dict[int, Row]:
        found: dict[int, Row] = {}
        for number in range(1, MOST_PAGES + 1):
            page = list_page(self._client, self._resource, number)
            before = len(found)
            found |= {row_id: row for row in page.rows if (row_id := as_id(row.get("id"))) is not None}
            if page.total is None or len(found) >= page.total or len(found) == before:
                break
        return found

    def named(self) -> list[tuple[str, int]]:
        """Return each name under which a row may be known, with its id."""
        self._read_once()
        return self._named

    def has(self, row_id: int) -> bool | None:
        """Whether there is such an id; None where the list may not be read."""
        self._read_once()
        return None if self.is_refused else row_id in self.names


class Related:
    """Companies or deals, of which only those are looked up that records name.

    Args:
        resource: its path.
        abilities: what the CRM can do, as far as it is known by now.
    """

    def __init__(
        self, client: Client, workers: Workers, resource: str, abilities: Callable[[], Abilities]
    ) -> None:
        self._client = client
        self._workers = workers
        self._resource = resource
        self._abilities = abilities
        self._by_name: dict[tuple[str, str], dict[int, str]] = {}
        self._looked_up: set[tuple[str, str]] = set()
        self._ids: dict[int, bool | None] = {}
        self.names: dict[int, str] = {}
        """Of those that were read, by id."""
        self._pages: int | None = None
        self._single_requests = 0
        self._is_complete = False
        self.is_readable = True

    def look_up(self, key: str, names: Iterable[str]) -> None:
        """Look names (or domains) up that were not yet, in as few requests as the CRM allows."""
        wanted = {plain_name(name): name for name in names if (key, plain_name(name)) not in self._looked_up}
        if not wanted or not self.is_readable or self._is_complete:
            return
        try:
            self._look_up(key, list(wanted.values()))
        except CANNOT_BE_READ:
            self.is_readable = False
            return
        self._looked_up |= {(key, name) for name in wanted}

    def _look_up(self, key: str, names: list[str]) -> None:
        together = []
        if self._abilities().may(Ability.SEARCH_IN) is True:
            together = [name for name in names if not {",", ":"} & set(name)]
        if len(together) < FEWEST_TOGETHER:
            together = []
        alone = [name for name in names if name not in together]
        searches = [search for name in alone if (search := _single(key, name)) is not None]
        if len(searches) < len(alone) or self._is_reading_all_cheaper(len(alone)):
            self._read_all()
            return
        self._single_requests += len(alone)
        searches += [(",".join(some), f"{key}:in") for some in batches(Way.IN, key, together)]
        for rows in self._workers.map(self._search, searches):
            self.note(rows)

    def _search(self, request: tuple[str, str]) -> list[Row]:
        text, search_fields = request
        return search(self._client, self._resource, text, search_fields)

    def _is_reading_all_cheaper(self, requests: int) -> bool:
        """Whether to list all of them, once that costs no more than what is asked one by one would have."""
        if self._single_requests + requests <= FEW_REQUESTS:
            return False
        return self._page_count() - 1 <= self._single_requests + requests

    def _page_count(self) -> int:
        if self._pages is None:
            page = list_page(self._client, self._resource, 1)
            self.note(page.rows)
            size = page.per_page or len(page.rows) or MAX_PAGE_SIZE
            self._pages = page.last_page or max(1, -(-(page.total or 0) // size))
        return self._pages

    def _read_all(self) -> None:
        """List all pages, from the last to the first: what a delete moves comes to a page that is still to be read."""
        for number in range(self._page_count(), 1, -1):
            self.note(list_page(self._client, self._resource, number).rows)
        self._is_complete = True

    def note(self, rows: Iterable[Row]) -> None:
        """Take rows in that were read."""
        for row in rows:
            row_id = as_id(row.get("id"))
            if row_id is None:
                continue
            self._ids[row_id] = True
            for key in NAME_KEYS[self._resource]:
                if isinstance(name := row.get(key), str):
                    self._by_name.setdefault((key, plain_name(name)), {})[row_id] = name
                    self.names.setdefault(row_id, name)

    def look_again(self, name: str) -> None:
        """Look one name up once more, whatever is known of it."""
        if (single := _single("name", name)) is not None:
            self.note(self._search(single))

    def named(self, key: str, name: str) -> list[tuple[str, int]]:
        """Return what is known under a name, case and blanks aside."""
        return [(text, number) for number, text in self._by_name.get((key, plain_name(name)), {}).items()]

    def check(self, ids: Iterable[int]) -> None:
        """Find out which ids the CRM has, or shows."""
        wanted = [number for number in dict.fromkeys(ids) if number not in self._ids]
        if not wanted:
            return
        if self._abilities().may(Ability.SEARCH_ID_IN) is True:
            plan = [wanted[at : at + VALUES_PER_SEARCH] for at in range(0, len(wanted), VALUES_PER_SEARCH)]
            answers = self._workers.map(self._found_among, plan)
        else:
            plan = [[number] for number in self._rest_of_all(wanted)]
            answers = self._workers.map(self._is_there, plan)
        for some, found in zip(plan, answers, strict=True):
            self._ids |= {number: None if found is None else number in found for number in some}

    def _rest_of_all(self, wanted: list[int]) -> list[int]:
        """Return the ids that are not found by reading all, where that costs less than asking for each."""
        try:
            if not self._is_complete and self._is_reading_all_cheaper(len(wanted)):
                self._read_all()
        except CANNOT_BE_READ:
            self.is_readable = False
        rest = [number for number in wanted if number not in self._ids]
        self._single_requests += len(rest)
        return rest

    def _found_among(self, ids: Sequence[int]) -> set[int] | None:
        try:
            rows = search(self._client, self._resource, ",".join(map(str, ids)), "id:in")
        except CANNOT_BE_READ:
            return None
        self.note(rows)
        return {number for row in rows if (number := as_id(row.get("id"))) is not None}

    def _is_there(self, ids: Sequence[int]) -> set[int] | None:
        try:
            self._client.session.request(
                "retrieve", "GET", f"/{self._resource}/{ids[0]}", max_tries=TRIES, decode=lambda _: None
            )
        except NotFound:
            return set()
        except CANNOT_BE_READ:
            return None
        return set(ids)

    def has(self, row_id: int) -> bool | None:
        """Whether there is such an id; None where that could not be found out."""
        return self._ids.get(row_id)

    def create(self, name: str) -> int | None:
        """Create one that is known by its name alone, and return its id."""
        row: Row = self._client.session.request(
            "create",
            "POST",
            f"/{self._resource}",
            body={"name": name},
            idempotent=False,
            decode=lambda response: read_contact(response, "create", f"/{self._resource}", needs_id=True),
        )
        row_id = as_id(row.get("id"))
        if row_id is not None:
            self.note([{"id": row_id, "name": name}])
        return row_id


def _single(key: str, name: str) -> tuple[str, str] | None:
    """Return what to search for one name: all of it, or its longest part without a colon; None where none is long."""
    if ":" not in name:
        return name, f"{key}:="
    part = max((part.strip() for part in name.split(":")), key=len)
    return (part, f"{key}:like") if len(part) >= FEWEST_NAME_CHARS else None


def list_page(client: Client, resource: str, number: int) -> Page:
    """List one page of a resource."""
    page: Page = client.session.request(
        "list",
        "GET",
        f"/{resource}",
        query=ListQuery(order="id", per_page=MAX_PAGE_SIZE).parameters(number),
        max_tries=TRIES,
        decode=lambda response: read_page(response, number),
    )
    return page


def search(client: Client, resource: str, text: str, search_fields: str) -> list[Row]:
    """Search a resource."""
    rows: list[Row] = client.session.request(
        "search",
        "GET",
        f"/{resource}/search",
        query={"q": text, "search_fields": search_fields},
        max_tries=TRIES,
        decode=lambda response: read_page(response, 1, operation="search").rows,
    )
    return rows
