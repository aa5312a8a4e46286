"""What happens to a CRM behind a client's back: rows deleted, touched, inserted, hidden, set, restored, purged."""

from __future__ import annotations

import sqlite3
from typing import Any

from appcrm_sandbox.errors import ApiError, SandboxError
from appcrm_sandbox.schema import CONTACTS
from appcrm_sandbox.store import Store
from appcrm_sandbox.writing import Writer

MUTATIONS = ("delete", "touch", "insert", "set", "restore", "purge", "hide", "show")
_IDS = {
    "delete": "deleted_at = :now, updated_at = :now",
    "touch": "updated_at = :now",
    "restore": "deleted_at = NULL, updated_at = :now",
    "hide": "hidden = 1",
    "show": "hidden = 0",
}


def mutate(store: Store, writer: Writer, script: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    """Carry out a script on contacts in the order of MUTATIONS; returns the ids inserted. SandboxError on nonsense."""
    if not isinstance(script, dict) or set(script) - set(MUTATIONS):
        raise SandboxError(f"a mutation is a mapping of {', '.join(MUTATIONS)}.")
    now = store.clock.stamp()
    for name in ("delete", "touch"):
        _by_ids(store, name, script.get(name, []), now)
    inserted = []
    for body in script.get("insert", []):
        try:
            inserted.append(writer.create(CONTACTS, body))
        except ApiError as error:
            raise SandboxError(f"insert was refused: {error.payload}") from error
    for contact_id, columns in script.get("set", {}).items():
        _set(store, contact_id, columns)
    _by_ids(store, "restore", script.get("restore", []), now)
    for contact_id in script.get("purge", []):
        try:
            writer.purge(CONTACTS, int(contact_id))
        except ApiError as error:
            raise SandboxError(f"purge: contact {contact_id} is not in the trash.") from error
    for name in ("hide", "show"):
        _by_ids(store, name, script.get(name, []), now)
    return {"inserted": inserted}


def _by_ids(store: Store, name: str, ids: Any, now: str) -> None:  # noqa: ANN401
    if not isinstance(ids, list) or not all(isinstance(item, int) for item in ids):
        raise SandboxError(f"{name} takes a list of contact ids.")
    if ids:
        with store.transaction() as connection:
            connection.executemany(
                f"UPDATE contacts SET {_IDS[name]} WHERE id = :id",  # noqa: S608  fixed parts
                [{"id": contact_id, "now": now} for contact_id in ids],
            )


def _set(store: Store, contact_id: Any, columns: Any) -> None:  # noqa: ANN401
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
                f"UPDATE contacts SET {assignments} WHERE id = ?",  # noqa: S608  names of existing columns
                [*columns.values(), int(contact_id)],
            )
    except sqlite3.Error as error:
        raise SandboxError(f"set: {error}.") from error
