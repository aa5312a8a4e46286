"""A CRM in memory that changes between any two requests, and threads that are none.

It is a `Source` of the walks: what a page shows is decided when the request is served, not when it is asked.
"""

from collections import deque
from datetime import datetime, timedelta, timezone

from appcrm.contact import format_timestamp
from tap_appcrm.source.page import BY_CHANGE, NEWEST_FIRST, SourcePage

EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Killed(Exception):
    """SIGKILL: nothing after it is written."""


class FakeCrm:
    """Contacts with an id, a whole-second `updated_at` and a revision that grows with each change.

    Args:
        before_request: called before each request is served; it may change the CRM.
        shuffle: orders rows that tie, anew for each request.
    """

    def __init__(self, *, page_size=3, before_request=lambda: None, shuffle=lambda ids: ids):
        self.page_size = page_size
        self.before_request = before_request
        self.shuffle = shuffle
        self.now = EPOCH
        self.alive = {}
        self.trash = {}
        self.next_id = 1
        self.requests = []
        self.tells_totals = True
        self.tells_time = True
        self.refuses_order = None
        self.refuses_trash = None
        self.honoured_page_size = None
        self.deleted_at = {}
        self.workers = InlineWorkers()

    # What happens in the CRM

    def tick(self, seconds):
        self.now += timedelta(seconds=seconds)

    def insert(self):
        self.alive[self.next_id] = {"id": self.next_id, "updated_at": self._stamp(), "revision": 0}
        self.next_id += 1

    def touch(self, contact_id):
        row = self.alive[contact_id]
        self.alive[contact_id] = {**row, "updated_at": self._stamp(), "revision": row["revision"] + 1}

    def delete(self, contact_id):
        self.trash[contact_id] = self.alive.pop(contact_id)
        self.deleted_at[contact_id] = self._stamp()

    def restore(self, contact_id):
        self.alive[contact_id] = self.trash.pop(contact_id)
        self.touch(contact_id)

    def _stamp(self):
        return format_timestamp(self.now)

    # What is asked of it

    def page(self, order, number, *, page_size=None, probing=False):  # noqa: ARG002  a fake answers at once
        self._serve(("list", order, number))
        if order != "id" and self.refuses_order is not None:
            raise self.refuses_order
        return self.shown(order, number, page_size or self.page_size)

    def pages(self, order, numbers):
        for _, page in self.workers.in_order(lambda number: self.page(order, number), numbers):
            yield page

    def id_page(self, number):
        self._serve(("ids", "id", number))
        return self.shown("id", number, self.page_size)

    def trash_page(self, number):
        self._serve(("trash", NEWEST_FIRST, number))
        if self.refuses_trash is not None:
            raise self.refuses_trash
        rows = [{**row, "updated_at": self.deleted_at[row["id"]]} for row in self.trash.values()]
        return self._page(NEWEST_FIRST, number, self.page_size, rows)

    def one(self, contact_id):
        self._serve(("one", contact_id))
        return self.alive.get(contact_id)

    def each(self, ids, ask=None):
        return self.workers.in_order(ask or self.one, ids)

    def _serve(self, request):
        self.before_request()
        self.requests.append(request)

    def shown(self, order, number, size):
        """Return what a page of the list shows."""
        return self._page(order, number, self.honoured_page_size or size, list(self.alive.values()))

    def _page(self, order, number, size, rows):
        by_id = sorted(rows, key=lambda row: row["id"])
        if order == "id":
            rows = by_id
        else:
            found = {row["id"]: row for row in by_id}
            rows = [found[contact_id] for contact_id in self.shuffle(list(found))]
            rows.sort(key=lambda row: row["updated_at"], reverse=order == NEWEST_FIRST)
            assert order in (BY_CHANGE, NEWEST_FIRST)
        shown = rows[(number - 1) * size : number * size]
        self.requests[-1] = (
            *self.requests[-1],
            len(rows),
            [(row["id"], row["updated_at"][14:19]) for row in shown],
        )
        return SourcePage(
            number=number,
            rows=shown,
            ids=[row["id"] for row in shown],
            stamps=[row["updated_at"] for row in shown],
            asked=self.page_size,
            total=len(rows) if self.tells_totals else None,
            per_page=size if self.tells_totals else None,
            last_page=max(1, -(-len(rows) // size)) if self.tells_totals else None,
            server_time=self.now if self.tells_time else None,
        )


class InlineWorkers:
    """Workers without threads: calls in flight are carried out in the order that `pick` chooses.

    Args:
        size: calls in flight at most.
        pick: chooses an index below a number.
    """

    def __init__(self, size=3, pick=lambda _count: 0):
        self.size = size
        self.pick = pick

    def in_order(self, function, keys):
        remaining = iter(keys)
        waiting = deque()
        while True:
            while len(waiting) < self.size and (key := next(remaining, None)) is not None:
                waiting.append((key, _Call(function, key)))
            if not waiting:
                return
            while not waiting[0][1].is_done:
                open_calls = [call for _, call in waiting if not call.is_done]
                open_calls[self.pick(len(open_calls))].carry_out()
            key, call = waiting.popleft()
            yield key, call.result


class _Call:
    def __init__(self, function, key):
        self._make = lambda: function(key)
        self.is_done = False

    def carry_out(self):
        self.result = self._make()
        self.is_done = True
