"""Associations: which contact, company, deal and activity hangs on which other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.errors import ApiError
from appcrm_sandbox.schema import CONTACTS, LINKS, RESOURCES, Resource
from appcrm_sandbox.validate import Body, Checker, linked_list

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from appcrm_sandbox.names import Names
    from appcrm_sandbox.store import Store

# Method → (what is added, what is removed), given what is there and what is asked.
PLANS: dict[str, Callable[[set[int], set[int]], tuple[set[int], set[int]]]] = {
    "PUT": lambda current, ids: (ids - current, set()),
    "DELETE": lambda current, ids: (set(), current & ids),
    "POST": lambda current, ids: (ids - current, current - ids),
}
_ORDER = list(RESOURCES)


class Linker:
    """Reads and changes associations inside the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def associate(
        self,
        resource: Resource,
        record_id: int,
        body: Body,
        method: str,
        *,
        names: Names,
        asked: Iterable[str] = (),
    ) -> bool:
        """Attach, detach or sync; True when something changed.

        `names` finds what the viewer may see, `asked` are the names in the query.
        ApiError 403, 409 or 422: nothing is changed then.
        """
        unknown = sorted({*body, *asked} - set(LINKS[resource.name]))
        if unknown:
            raise ApiError(409, {"message": f"Associação desconhecida: {unknown[0][:60]}"})
        checker = Checker()
        given = {
            name: checker.take(name, linked_list, value) for name, value in body.items() if value is not None
        }
        checker.finish()
        wanted = {name: set(names.records(RESOURCES[name], values)) for name, values in given.items()}
        current = {name: self.current(resource, record_id, name) for name in wanted}
        _refuse_nothing_to_do(method, given, wanted, current)
        changed = False
        for name, ids in wanted.items():
            changed |= self.change(resource, record_id, name, *PLANS[method](current[name], ids))
        return changed

    def replace(self, resource: Resource, record_id: int, name: str, ids: Collection[int]) -> bool:
        """Make a record's set exactly this; True when something changed."""
        current = self.current(resource, record_id, name)
        return self.change(resource, record_id, name, *PLANS["POST"](current, set(ids)))

    def current(self, resource: Resource, record_id: int, name: str) -> set[int]:
        """The ids of one kind that a record is associated with."""
        return current_links(self._store, resource, record_id, name)

    def change(
        self, resource: Resource, record_id: int, name: str, add: Collection[int], remove: Collection[int]
    ) -> bool:
        """Add and remove associations of one kind; the records at the other end are touched. True on a change."""
        connection = self._store.connection
        table, columns = (
            ("contact_links", ("contact_id", "resource", "other_id"))
            if CONTACTS.name in {resource.name, name}
            else ("neighbour_links", ("resource", "record_id", "other_resource", "other_id"))
        )
        marks = ", ".join("?" * len(columns))
        where = " AND ".join(f"{column} = ?" for column in columns)
        connection.executemany(
            f"INSERT INTO {table} VALUES ({marks})",
            [_row(resource.name, record_id, name, other) for other in sorted(add)],
        )
        connection.executemany(
            f"DELETE FROM {table} WHERE {where}",
            [_row(resource.name, record_id, name, other) for other in sorted(remove)],
        )
        now = self._store.clock.stamp()
        connection.executemany(
            f"UPDATE {name} SET updated_at = ? WHERE id = ?", [(now, other) for other in {*add, *remove}]
        )
        return bool(add or remove)

    def touch_contacts(self, resource: Resource, record_id: int) -> None:
        """Touch the contacts that a record hangs on."""
        self._store.connection.execute(
            "UPDATE contacts SET updated_at = ? WHERE id IN "
            "(SELECT contact_id FROM contact_links WHERE resource = ? AND other_id = ?)",
            [self._store.clock.stamp(), resource.name, record_id],
        )

    def forget(self, resource: Resource, record_id: int) -> None:
        """Remove every association of a record that goes for good."""
        for name in RESOURCES:
            if name != resource.name:
                self.change(resource, record_id, name, (), self.current(resource, record_id, name))


def current_links(store: Store, resource: Resource, record_id: int, name: str) -> set[int]:
    """The ids of one kind that a record is associated with."""
    if resource is CONTACTS:
        sql = "SELECT other_id FROM contact_links WHERE contact_id = ? AND resource = ?"
        parameters = [record_id, name]
    elif name == CONTACTS.name:
        sql = "SELECT contact_id FROM contact_links WHERE resource = ? AND other_id = ?"
        parameters = [resource.name, record_id]
    elif _comes_first(resource.name, name):
        sql = (
            "SELECT other_id FROM neighbour_links WHERE resource = ? AND record_id = ? AND other_resource = ?"
        )
        parameters = [resource.name, record_id, name]
    else:
        sql = (
            "SELECT record_id FROM neighbour_links WHERE other_resource = ? AND other_id = ? AND resource = ?"
        )
        parameters = [resource.name, record_id, name]
    return {row[0] for row in store.rows(sql, parameters)}


def _refuse_nothing_to_do(
    method: str, given: dict[str, list[object]], wanted: dict[str, set[int]], current: dict[str, set[int]]
) -> None:
    """403 where nothing is asked or all of it is unknown, 409 where the one record to attach is attached."""
    asks = any(given.values())
    # Only a sync means something by an empty list.
    empties = method == "POST" and bool(given)
    if not any(wanted.values()) and (asks or not empties):
        raise ApiError(403, {"message": "Esta ação não é autorizada."})
    pairs = [(name, other) for name, ids in wanted.items() for other in ids]
    if method == "PUT" and len(pairs) == 1 and pairs[0][1] in current[pairs[0][0]]:
        raise ApiError(409, {"message": f"Já associado: {pairs[0][0]} {pairs[0][1]}"})


def _comes_first(name: str, other: str) -> bool:
    return _ORDER.index(name) < _ORDER.index(other)


def _row(name: str, record_id: int, other_name: str, other: int) -> tuple[int | str, ...]:
    """One association as its table has it, whichever side it is looked at from."""
    if not _comes_first(name, other_name):
        name, record_id, other_name, other = other_name, other, name, record_id
    if name == CONTACTS.name:
        return record_id, other_name, other
    return name, record_id, other_name, other
