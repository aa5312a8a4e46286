"""What happens to a CRM behind a client's back: what a person at the screen does, and what no one may do."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.errors import ApiError, SandboxError
from appcrm_sandbox.merging import merge
from appcrm_sandbox.schema import CONTACTS, LINKS, NEIGHBOURS, RESOURCES, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from appcrm_sandbox.store import Store
    from appcrm_sandbox.values import Json
    from appcrm_sandbox.writing import Writer

_ASSIGNMENTS = {
    "delete": "deleted_at = :now, updated_at = :now",
    "touch": "updated_at = :now",
    "restore": "deleted_at = NULL, updated_at = :now",
    "hide": "hidden = 1",
    "show": "hidden = 0",
    "lock": "locked = 1",
    "unlock": "locked = 0",
}
# In the order in which they are carried out; the last ones are the same for another resource's records.
MUTATIONS = (
    "delete", "touch", "insert", "set", "edit", "attach", "detach", "merge", "restore", "purge",
    "hide", "show", "lock", "unlock", *NEIGHBOURS,
)  # fmt: skip


def check_script(script: Json) -> dict[str, Any]:
    """The script, if its shape is that of a mutation; SandboxError otherwise."""
    _check(script, MUTATIONS)
    for name in NEIGHBOURS:
        if name in script:
            # Only contacts are merged.
            _check(script[name], [act for act in MUTATIONS if act not in {"merge", *NEIGHBOURS}])
    checked: dict[str, Any] = script
    return checked


def _check(script: Json, known: tuple[str, ...] | list[str]) -> None:
    if not isinstance(script, dict) or not script or set(script) - set(known):
        raise SandboxError(f"a mutation is a mapping of {', '.join(known)}.")
    for name, value in script.items():
        right, what = _SHAPES.get(name, (_is_ids, "a list of ids"))
        if name not in NEIGHBOURS and not right(value):
            raise SandboxError(f"{name} takes {what}.")


def _is_id(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_ids(value: Json) -> bool:
    return isinstance(value, list) and all(_is_id(item) for item in value)


def _is_bodies(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(body, dict) for body in value)


def _by_id(right: Callable[[Json], bool]) -> Callable[[Json], bool]:
    def check(value: Json) -> bool:
        return isinstance(value, dict) and all(
            str(key).isdigit() and right(item) for key, item in value.items()
        )

    return check


def _is_links(value: Json) -> bool:
    return isinstance(value, dict) and all(name in RESOURCES and _is_ids(ids) for name, ids in value.items())


# Act → whether a value is of its shape, and how that shape is described; the others take ids.
_SHAPES: dict[str, tuple[Callable[[Json], bool], str]] = {
    "insert": (_is_bodies, "a list of records as they are written"),
    "set": (_by_id(lambda columns: isinstance(columns, dict) and bool(columns)), "id → {column: value}"),
    "edit": (_by_id(lambda body: isinstance(body, dict)), "id → the fields as they are written"),
    "attach": (_by_id(_is_links), "id → {resource: ids}"),
    "detach": (_by_id(_is_links), "id → {resource: ids}"),
    "merge": (_by_id(_is_ids), "id that stays → ids that go into it"),
}


def mutate(store: Store, writer: Writer, script: Json) -> dict[str, Any]:
    """Carry out a script, in the order of MUTATIONS; returns the ids inserted. SandboxError."""
    wanted = check_script(script)
    told: dict[str, Any] = {"inserted": _act(store, writer, CONTACTS, wanted)}
    for name, resource in NEIGHBOURS.items():
        if name in wanted:
            told[name] = {"inserted": _act(store, writer, resource, wanted[name])}
    return told


def _act(store: Store, writer: Writer, resource: Resource, script: dict[str, Any]) -> list[int]:
    inserted: list[int] = []
    for name in MUTATIONS:
        value = script.get(name)
        if not value or name in NEIGHBOURS:
            continue
        try:
            if name == "insert":
                inserted = [writer.create(resource, body) for body in value]
            elif name in _ASSIGNMENTS:
                _by_ids(store, resource, name, value)
            else:
                _ACTS[name](store, writer, resource, value)
        except ApiError as error:
            raise SandboxError(
                f"{name} was refused with {error.status}: {error.payload['message']}"
            ) from error
        except (sqlite3.Error, OverflowError) as error:
            raise SandboxError(f"{name}: {error}.") from error
    return inserted


def _by_ids(store: Store, resource: Resource, name: str, ids: list[int]) -> None:
    now = store.clock.stamp()
    with store.transaction() as connection:
        connection.executemany(
            f"UPDATE {resource.name} SET {_ASSIGNMENTS[name]} WHERE id = :id",
            [{"id": record_id, "now": now} for record_id in ids],
        )


def _set(store: Store, _writer: Writer, resource: Resource, changes: dict[Any, dict[str, Any]]) -> None:
    known = {row["name"] for row in store.rows(f"PRAGMA table_info({resource.name})")} - {"id"}
    unknown = sorted({name for columns in changes.values() for name in columns} - known)
    if unknown:
        raise SandboxError(f"set: {resource.name} have no column {unknown[0]!r}.")
    with store.transaction() as connection:
        for record_id, columns in changes.items():
            connection.execute(
                f"UPDATE {resource.name} SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?",
                [*columns.values(), int(record_id)],
            )


def _edit(_store: Store, writer: Writer, resource: Resource, changes: dict[Any, dict[str, Any]]) -> None:
    for record_id, body in changes.items():
        writer.update(resource, int(record_id), body, by_person=True)


def _linking(*, attach: bool) -> Callable[[Store, Writer, Resource, dict[Any, dict[str, list[int]]]], None]:
    def link(
        _store: Store, writer: Writer, resource: Resource, changes: dict[Any, dict[str, list[int]]]
    ) -> None:
        for record_id, links in changes.items():
            unknown = sorted(set(links) - set(LINKS[resource.name]))
            if unknown:
                raise SandboxError(f"{resource.name} are not associated with {unknown[0]}.")
            ids = {name: set(others) for name, others in links.items()}
            writer.link(resource, int(record_id), ids, attach=attach)

    return link


def _merge(store: Store, writer: Writer, _resource: Resource, changes: dict[Any, list[int]]) -> None:
    for kept, gone in changes.items():
        for contact_id in gone:
            merge(store, writer, int(kept), contact_id)


def _purge(_store: Store, writer: Writer, resource: Resource, ids: list[int]) -> None:
    for record_id in ids:
        writer.purge(resource, record_id)


_ACTS: dict[str, Callable[[Store, Writer, Resource, Any], None]] = {
    "set": _set,
    "edit": _edit,
    "attach": _linking(attach=True),
    "detach": _linking(attach=False),
    "merge": _merge,
    "purge": _purge,
}
