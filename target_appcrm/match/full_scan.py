"""The whole CRM, read page by page into an index, while writes go on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from appcrm.client import MAX_PAGE_SIZE
from appcrm.contact import option_value
from appcrm.errors import SettingsError
from target_appcrm.match.equality import is_empty

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from appcrm.pages import Page
    from target_appcrm.match.cache import ContactIndex
    from target_appcrm.match.fetching import Fetches
    from target_appcrm.match.keys import Contact
    from target_appcrm.match.lookup_result import Witnesses
    from target_appcrm.settings import TargetSettings
    from target_appcrm.write.workers import Workers


FRESH_SECONDS = 2.0
"""A first page that was sent for longer ago tells the CRM's size, but not any more what the other pages begin with."""


class WholeCrm:
    """Knows the CRM's first page and size, and after ``read`` all of it; safe to share between threads.

    Args:
        index: filled by ``read``, or holding what a dry run planned.
        witnesses: told of the contacts on the first page.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        fetches: Fetches,
        settings: TargetSettings,
        workers: Workers,
        index: ContactIndex,
        witnesses: Witnesses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetches = fetches
        self._settings = settings
        self._workers = workers
        self._index = index
        self._witnesses = witnesses
        self._clock = clock
        self._first_page: Page | None = None
        self._is_page_one_fresh = False
        self._sent_for: Future[Page] | None = None
        self._sent_for_at = 0.0
        self._is_untouched = True
        self._lock = threading.Lock()
        self._meanwhile: dict[int, Contact | None] | None = None
        self.is_complete = False
        """Whether the index holds the whole CRM."""
        self.is_proven = False
        """Whether it was read without any row slipping through."""

    def page_one(self, *, include: bool = False, fresh: bool = False) -> Page:
        """Return the first page, read once, or once more since ``age`` where a fresh one is asked for."""
        page = self._first_page
        while page is None or (fresh and not self._is_page_one_fresh):
            page, self._is_page_one_fresh = self._fetch_page_one(include=include)
            self._first_page = page
            self._witnesses.note(self._fetches.contacts(page.rows))
            self._check_custom_keys(page.rows)
        return page

    def send_for_page_one(self) -> None:
        """Have the first page read in the background, without associations; only where nothing was written yet."""
        if self._is_untouched and self._sent_for is None:
            self._sent_for_at = self._clock()
            self._sent_for = self._workers.begin(lambda: self._fetches.page(1, include=False))

    def _fetch_page_one(self, *, include: bool) -> tuple[Page, bool]:
        """Return the first page, and whether it was read just now."""
        sent_for, self._sent_for = self._sent_for, None
        if sent_for is not None:
            page = sent_for.result()
            if not include:
                return page, self._clock() - self._sent_for_at <= FRESH_SECONDS
        return self._fetches.page(1, include=include), True

    @property
    def is_all_here(self) -> bool:
        """Whether the page that was sent for has come and holds all there is; also where it failed, for good."""
        sent_for = self._sent_for
        return (
            sent_for is not None
            and sent_for.done()
            and (sent_for.exception() is not None or _is_all(sent_for.result()))
        )

    def age(self) -> None:
        """Note that contacts may be written from now on, so that the first page says less and less."""
        self._is_page_one_fresh = self._is_untouched = False

    @property
    def pages_left(self) -> int | None:
        """Pages behind the first; None where the CRM has not told its size."""
        page = self._first_page
        return None if page is None or page.total is None else _page_count(page) - 1

    @property
    def is_page_one_all(self) -> bool:
        """Whether the first page holds all there is."""
        page = self._first_page
        return self._is_page_one_fresh and page is not None and _is_all(page)

    def example(self, field: str) -> object:
        """Return what some contact of the first page holds in a custom field, if that page was read; else None."""
        rows = () if self._first_page is None else self._first_page.rows
        return next((option_value(row[field]) for row in rows if not is_empty(row.get(field))), None)

    def _check_custom_keys(self, rows: list[dict[str, Any]]) -> None:
        """Refuse to match on a field that no contact has: it is mistyped, and every record would be created."""
        for name in self._settings.custom_keys:
            if rows and not any(name in row for row in rows):
                setting = "external_id_field" if name == self._settings.external_id_field else "match_on"
                raise SettingsError(f"{setting} names {name}, but the CRM's contacts have no such field")

    def read(self, *, include: bool) -> None:
        """Read every page into the index, side by side; where the count does not agree, once more from the end."""
        if self.is_complete:
            return
        planned = [contact for i in self._index.ids() if (contact := self._index.get(i)) is not None]
        with self._lock:
            # What is written from here on is newer than what a page may show.
            self._meanwhile = {}
        first = self.page_one(include=include, fresh=True)
        totals = [first.total]
        self._index.put(self._fetches.contacts(first.rows))
        if first.total is None:
            self._read_until_empty(include=include)
        else:
            last = _page_count(first)

            def read(page: int) -> None:
                read_page = self._fetches.page(page, include=include)
                totals.append(read_page.total)
                self._index.put(self._fetches.contacts(read_page.rows))

            if not self.is_page_one_all:
                self._workers.map(read, range(2, last + 1))
                if self._index.count != totals[-1] or len(set(totals)) > 1:
                    for page in range(last + 1, 0, -1):
                        read(page)
            self.is_proven = self._index.count == totals[-1]
        with self._lock:
            self._index.put(planned)
            self._index.put(contact for contact in self._meanwhile.values() if contact is not None)
            for contact_id in [number for number, contact in self._meanwhile.items() if contact is None]:
                self._index.remove(contact_id)
            self._meanwhile = None
            self.is_complete = True

    def _read_until_empty(self, *, include: bool) -> None:
        page = 2
        while rows := self._fetches.page(page, include=include).rows:
            self._index.put(self._fetches.contacts(rows))
            page += 1

    def remember(self, contact: Contact) -> None:
        """Note a contact as a write left it, or as a dry run would have."""
        with self._lock:
            if self._meanwhile is not None:
                self._meanwhile[contact["id"]] = contact
            elif self.is_complete or self._settings.dry_run:
                self._index.put([contact])

    def forget(self, contact_id: int) -> None:
        """Note that a contact is gone."""
        with self._lock:
            if self._meanwhile is not None:
                self._meanwhile[contact_id] = None
            self._index.remove(contact_id)


def _is_all(page: Page) -> bool:
    return page.total is not None and len(page.rows) >= page.total


def _page_count(page: Page) -> int:
    size = page.per_page or len(page.rows) or MAX_PAGE_SIZE
    return max(1, -(-(page.total or 0) // size))
