"""Associations: which contact hangs on which company, deal or activity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.errors import ApiError
from appcrm_sandbox.schema import CONTACTS, RESOURCES, Resource
from appcrm_sandbox.validate import Body, Checker, id_list

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from appcrm_sandbox.store import Store

# What each resource may be associated with; anything else is a 409.
LINKS = {
    "contacts": ("companies", "deals", "activities"),
    "companies": ("contacts",),
    "deals": ("contacts",),
    "activities": ("contacts",),
}


def _attach(name: str, current: set[int], ids: set[int]) -> tuple[set[int], set[int]]:
    already = current & ids
    if already:
        raise ApiError(409, {"message": f"Já associado: {name} {min(already)}"})
    return ids, set()


# Method → (what is added, what is removed), given the name, what is there and what is asked.
PLANS: dict[str, Callable[[str, set[int], set[int]], tuple[set[int], set[int]]]] = {
    "PUT": _attach,
    "DELETE": lambda _name, current, ids: (set(), current & ids),
    "POST": lambda _name, current, ids: (ids - current, current - ids),
}


class Linker:
    """Reads and changes associations inside the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def associate(self, resource: Resource, record_id: int, body: Body, method: str) -> bool:
        """Attach, detach or sync; True when something changed. ApiError 409 or 422, nothing changed then."""
        unknown = sorted(set(body) - set(LINKS[resource.name]))
        if unknown:
            raise ApiError(409, {"message": f"Associação desconhecida: {unknown[0][:60]}"})
        checker = Checker()
        wanted: dict[str, list[int]] = {}
        for name, value in body.items():
            ids = checker.take(name, id_list, value)
            if ids is not None:
                self.check_ids(name, ids, checker)
                wanted[name] = ids
        checker.finish()
        changed = False
        for name, ids in wanted.items():
            add, remove = PLANS[method](name, self.current(resource, record_id, name), set(ids))
            self.change(resource, record_id, name, add, remove)
            changed |= bool(add or remove)
        return changed

    def replace(self, contact_id: int, name: str, ids: Sequence[int]) -> bool:
        """Make a contact's set exactly this; True when something changed."""
        add, remove = PLANS["POST"](name, self.current(CONTACTS, contact_id, name), set(ids))
        self.change(CONTACTS, contact_id, name, add, remove)
        return bool(add or remove)

    def check_ids(self, name: str, ids: Sequence[int], checker: Checker) -> None:
        """Refuse the ids of one resource that are not there or in the trash."""
        sql = f"SELECT id FROM {RESOURCES[name].name} WHERE deleted_at IS NULL AND id IN ({{marks}})"
        known = {row[0] for row in self._store.among(sql, ids)}
        for position, other in enumerate(ids):
            if other not in known:
                checker.refuse(f"{name}.{position}", "O :field selecionado é inválido.")

    def current(self, resource: Resource, record_id: int, name: str) -> set[int]:
        """The ids of one kind that a record is associated with."""
        if resource is CONTACTS:
            sql = "SELECT other_id FROM contact_links WHERE contact_id = ? AND resource = ?"
            return {row[0] for row in self._store.rows(sql, [record_id, name])}
        sql = "SELECT contact_id FROM contact_links WHERE resource = ? AND other_id = ?"
        return {row[0] for row in self._store.rows(sql, [resource.name, record_id])}

    def change(
        self,
        resource: Resource,
        record_id: int,
        name: str,
        add: Collection[int],
        remove: Collection[int],
    ) -> None:
        """Add and remove associations of one kind; contacts on the other side are touched."""
        connection = self._store.connection
        connection.executemany(
            "INSERT INTO contact_links VALUES (?, ?, ?)", _pairs(resource, record_id, name, add)
        )
        connection.executemany(
            "DELETE FROM contact_links WHERE contact_id = ? AND resource = ? AND other_id = ?",
            _pairs(resource, record_id, name, remove),
        )
        if resource is not CONTACTS:
            now = self._store.clock.stamp()
            connection.executemany(
                "UPDATE contacts SET updated_at = ? WHERE id = ?",
                [(now, contact_id) for contact_id in {*add, *remove}],
            )


def _pairs(
    resource: Resource, record_id: int, name: str, others: Collection[int]
) -> list[tuple[int, str, int]]:
    if resource is CONTACTS:
        return [(record_id, name, other) for other in sorted(others)]
    return [(contact_id, resource.name, record_id) for contact_id in sorted(others)]
