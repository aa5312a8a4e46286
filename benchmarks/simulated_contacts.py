"""The contacts that the simulator serves: all in memory, pages rendered once."""

from __future__ import annotations

import time
from typing import Any, Final

import orjson
from people import associations_of, email_of, moment, php, row_of, stamp_of

MAX_PAGE_SIZE: Final = 100
RELATIONS: Final = ("companies", "deals")


class Contacts:
    """All contacts as rendered rows, with the orders and pages that were asked for."""

    def __init__(self, count: int, base: str) -> None:
        self._count = count
        self._base = base
        self._initial = {number: row_of(number) for number in range(1, count + 1)}
        self._initial_emails = {email_of(number): number for number in self._initial}
        self.is_changed = True
        self.reset()

    def reset(self) -> None:
        """Go back to the contacts of the beginning."""
        if not self.is_changed:
            return
        self.rows = dict(self._initial)
        self.stamps = {number: stamp_of(number) for number in self.rows}
        self.emails = dict(self._initial_emails)
        self.relations: dict[int, dict[str, list[int]]] = {}
        self.next_id = self._count + 1
        self.created = 0
        self._forget_pages()
        self.is_changed = False

    def _forget_pages(self) -> None:
        self.is_changed = True
        self._orders: dict[str, list[int]] = {}
        self._pages: dict[tuple[object, ...], bytes] = {}

    def full(self, contact_id: int) -> bytes:
        """Return a contact with its associations, as Retrieve shows it."""
        own = self.relations.get(contact_id)
        companies, deals = associations_of(contact_id) if own is None else (own["companies"], own["deals"])
        tail = b',"companies":%s,"deals":%s}' % (orjson.dumps(companies), orjson.dumps(deals))
        return self.rows[contact_id][:-1] + tail

    def page(self, query: dict[str, str]) -> bytes:
        """Return one page of a list."""
        order = query.get("order", "first_name")
        per_page = min(MAX_PAGE_SIZE, max(1, int(query.get("per_page", 15))))
        number = max(1, int(query.get("page", 1)))
        select, include = query.get("select", ""), query.get("with", "")
        if query.get("q"):
            return self._render(self.found(query), number, per_page, select, include)
        key = (order, per_page, number, select, include)
        if key not in self._pages:
            self._pages[key] = self._render(self._ordered(order), number, per_page, select, include)
        return self._pages[key]

    def _ordered(self, order: str) -> list[int]:
        if order not in self._orders:
            field, _, direction = order.partition("|")
            ids = (
                sorted(self.rows, key=self.stamps.__getitem__) if field == "updated_at" else sorted(self.rows)
            )
            self._orders[order] = ids[::-1] if direction == "desc" else ids
        return self._orders[order]

    def _render(self, ids: list[int], number: int, per_page: int, select: str, include: str) -> bytes:
        first, total = (number - 1) * per_page, len(ids)
        rows = self.shown(ids[first : first + per_page], select, include)
        last = max(1, -(-total // per_page))

        def link(page: int | None) -> str | None:
            return None if page is None else f"{self._base}?per_page={per_page}&page={page}"

        tail = php(
            {
                "links": {
                    "first": link(1),
                    "last": link(last),
                    "prev": link(number - 1 if number > 1 else None),
                    "next": link(number + 1 if number < last else None),
                },
                "meta": {
                    "current_page": number,
                    "from": first + 1 if rows else None,
                    "last_page": last,
                    "path": self._base,
                    "per_page": per_page,
                    "to": first + len(rows) if rows else None,
                    "total": total,
                },
            }
        )
        return b'{"data":[' + b",".join(rows) + b"]," + tail[1:].encode()

    def shown(self, ids: list[int], select: str, include: str) -> list[bytes]:
        """Return rows with the fields and relations that were asked for."""
        rows = [self.full(i) for i in ids] if include else [self.rows[i] for i in ids]
        if not select:
            return rows
        names = set(select.split(";"))
        return [orjson.dumps({k: v for k, v in orjson.loads(row).items() if k in names}) for row in rows]

    def found(self, query: dict[str, str]) -> list[int]:
        """Return the ids that a search by e-mail or id finds, one value or several with commas."""
        values = [value.strip().lower() for value in query.get("q", "").split(",")]
        if query.get("search_fields", "").startswith("id"):
            return [int(value) for value in values if value.isdigit() and int(value) in self.rows]
        return sorted({self.emails[value] for value in values if value in self.emails})

    def create(self, fields: dict[str, Any]) -> tuple[int, bytes]:
        """Create a contact; return a status and a body."""
        address = (fields.get("email") or "").lower()
        if not fields.get("first_name"):
            return 422, b'{"message":"Invalid.","errors":{"first_name":["required"]}}'
        if address in self.emails:
            return 422, b'{"message":"Invalid.","errors":{"email":["taken"]}}'
        contact_id = self.next_id
        self.next_id += 1
        self.created += 1
        self.stamps[contact_id] = int(time.time())
        if address:
            self.emails[address] = contact_id
        self.relations[contact_id] = {name: fields.pop(name, []) for name in RELATIONS}
        self._keep(contact_id, {"id": contact_id, **fields, "created_at": moment(self.stamps[contact_id])})
        return 201, self.full(contact_id)

    def update(self, contact_id: int, fields: dict[str, Any]) -> tuple[int, bytes]:
        """Update a contact; return a status and a body."""
        kept = {name: fields.pop(name) for name in RELATIONS if name in fields}
        if kept:
            self.associate(contact_id, kept)
        self.stamps[contact_id] = int(time.time())
        self._keep(contact_id, orjson.loads(self.rows[contact_id]) | fields)
        return 200, self.full(contact_id)

    def associate(self, contact_id: int, given: dict[str, list[int]]) -> None:
        """Replace a contact's associations of the kinds that are given."""
        companies, deals = associations_of(contact_id)
        self.relations.setdefault(contact_id, {"companies": companies, "deals": deals}).update(given)
        self._forget_pages()

    def _keep(self, contact_id: int, contact: dict[str, Any]) -> None:
        contact["updated_at"] = moment(self.stamps[contact_id])
        self.rows[contact_id] = orjson.dumps(contact)
        if self._pages or self._orders:
            self._forget_pages()
        self.is_changed = True

    def delete(self, contact_id: int) -> None:
        """Delete a contact."""
        address = orjson.loads(self.rows.pop(contact_id)).get("email")
        self.emails.pop((address or "").lower(), None)
        self._forget_pages()

    def touch(self, count: int) -> None:
        """Change contacts, spread evenly over all, each a few seconds after the one before."""
        latest = max(self.stamps.values())
        ids = sorted(self.rows)
        for step in range(count):
            contact_id = ids[step * len(ids) // count]
            self.stamps[contact_id] = latest + 7 * (step + 1)
            contact = orjson.loads(self.rows[contact_id]) | {"job_title": f"Diretora {step}"}
            self._keep(contact_id, contact)
