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

MUTATIONS = ("delete", "touch", "insert", "set", "restore", "purge", "hide", "show")
_IDS = {
    "delete": "deleted_at = :now, updated_at = :now",
    "touch": "updated_at = :now",
    "restore": "deleted_at = NULL, updated_at = :now",
    "hide": "hidden = 1",
    "show": "hidden = 0",
}


def mutate(store: Store, writer: Writer, script: Json) -> dict[str, Any]:
    """Carry out a script on contacts, in the order of MUTATIONS; returns the ids inserted. SandboxError."""
    if not isinstance(script, dict) or set(script) - set(MUTATIONS):
        raise SandboxError(f"a mutation is a mapping of {', '.join(MUTATIONS)}.")
    now = store.clock.stamp()
    for name in ("delete", "touch"):
        _by_ids(store, name, script.get(name, []), now)
    try:
        inserted = [writer.create(CONTACTS, body) for body in script.get("insert", [])]
    except ApiError as error:
        raise SandboxError(f"insert was refused: {error.payload}") from error
    for contact_id, columns in script.get("set", {}).items():
        _set(store, contact_id, columns)
    _by_ids(store, "restore", script.get("restore", []), now)
    try:
        for contact_id in script.get("purge", []):
            writer.purge(CONTACTS, int(contact_id))
    except ApiError as error:
        raise SandboxError("purge takes ids of contacts in the trash.") from error
    for name in ("hide", "show"):
        _by_ids(store, name, script.get(name, []), now)
    return {"inserted": inserted}


def _by_ids(store: Store, name: str, ids: Json, now: str) -> None:
    if not isinstance(ids, list) or not all(isinstance(item, int) for item in ids):
        raise SandboxError(f"{name} takes a list of contact ids.")
    if ids:
        with store.transaction() as connection:
            connection.executemany(
                f"UPDATE contacts SET {_IDS[name]} WHERE id = :id",
                [{"id": contact_id, "now": now} for contact_id in ids],
            )


def _set(store: Store, contact_id: Json, columns: Json) -> None:
    if not isinstance(columns, dict) or not columns or not str(contact_id).isdigit():
        raise SandboxError("set takes contact id → {column: value}.")
    known = {row["name"] for row in store.rows("PRAGMA table_info(contacts)")} - {"id"}
    unknown = sorted(set(columns) - known)
    if unknown:
        raise SandboxError(f"set: contacts have no column {unknown[0]!r}.")
    assignments = ", ".join(f"{name} = ?" for name in columns)
    try:
        with store.transaction() as connection:
            connection.execute(
                f"UPDATE contacts SET {assignments} WHERE id = ?",
                [*columns.values(), int(contact_id)],
            )
    except sqlite3.Error as error:
        raise SandboxError(f"set: {error}.") from error
