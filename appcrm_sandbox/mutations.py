"""What happens to a CRM behind a client's back: rows deleted, touched, inserted, set, restored, hidden."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.errors import ApiError, SandboxError
from appcrm_sandbox.schema import CONTACTS

if TYPE_CHECKING:
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.values import Json
    from appcrm_sandbox.writing import Writer

# In the order in which they are carried out.
MUTATIONS = ("delete", "touch", "insert", "set", "restore", "purge", "hide", "show")
_ASSIGNMENTS = {
    "delete": "deleted_at = :now, updated_at = :now",
    "touch": "updated_at = :now",
    "restore": "deleted_at = NULL, updated_at = :now",
    "hide": "hidden = 1",
    "show": "hidden = 0",
}


def check_script(script: Json) -> dict[str, Any]:
    """The script, if its shape is that of a mutation; SandboxError otherwise."""
    if not isinstance(script, dict) or not script or set(script) - set(MUTATIONS):
        raise SandboxError(f"a mutation is a mapping of {', '.join(MUTATIONS)}.")
    for name, value in script.items():
        if name == "insert":
            if not isinstance(value, list) or not all(isinstance(body, dict) for body in value):
                raise SandboxError("insert takes a list of contacts as they are written.")
        elif name == "set":
            if not isinstance(value, dict) or not all(_is_change(key, item) for key, item in value.items()):
                raise SandboxError("set takes contact id → {column: value}.")
        elif not isinstance(value, list) or not all(_is_id(item) for item in value):
            raise SandboxError(f"{name} takes a list of contact ids.")
    return script


def _is_id(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_change(key: Json, columns: Json) -> bool:
    return str(key).isdigit() and isinstance(columns, dict) and bool(columns)


def mutate(store: Store, writer: Writer, script: Json) -> dict[str, Any]:
    """Carry out a script on contacts, in the order of MUTATIONS; returns the ids inserted. SandboxError."""
    inserted: list[int] = []
    wanted = check_script(script)
    for name in MUTATIONS:
        value = wanted.get(name)
        if not value:
            continue
        try:
            if name == "insert":
                inserted = [writer.create(CONTACTS, body) for body in value]
            elif name == "set":
                _set(store, value)
            elif name == "purge":
                for contact_id in value:
                    writer.purge(CONTACTS, contact_id)
            else:
                _by_ids(store, name, value)
        except ApiError as error:
            raise SandboxError(
                f"{name} was refused with {error.status}: {error.payload['message']}"
            ) from error
        except (sqlite3.Error, OverflowError) as error:
            raise SandboxError(f"{name}: {error}.") from error
    return {"inserted": inserted}


def _by_ids(store: Store, name: str, ids: list[int]) -> None:
    now = store.clock.stamp()
    with store.transaction() as connection:
        connection.executemany(
            f"UPDATE contacts SET {_ASSIGNMENTS[name]} WHERE id = :id",
            [{"id": contact_id, "now": now} for contact_id in ids],
        )


def _set(store: Store, changes: dict[Any, dict[str, Any]]) -> None:
    known = {row["name"] for row in store.rows("PRAGMA table_info(contacts)")} - {"id"}
    unknown = sorted({name for columns in changes.values() for name in columns} - known)
    if unknown:
        raise SandboxError(f"set: contacts have no column {unknown[0]!r}.")
    with store.transaction() as connection:
        for contact_id, columns in changes.items():
            connection.execute(
                f"UPDATE contacts SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?",
                [*columns.values(), int(contact_id)],
            )
