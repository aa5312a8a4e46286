"""Contacts by their keys, kept outside of memory, however many there are."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import msgspec

from target_appcrm.match.keys import bucket_of, holds, key_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_appcrm.match.keys import Contact, MatchKey

CACHE_KIB = 16_384
CONTACTS_WRITTEN_TOGETHER = 500
"""Each statement lets go of the interpreter, which costs a busy thread far more than the statement itself."""
_ENCODER = msgspec.json.Encoder(decimal_format="number")


class ContactIndex:
    """Contacts in a private temporary database that vanishes with the process; safe to share between threads.

    Args:
        key_fields: what contacts are found by.
    """

    def __init__(self, key_fields: Sequence[str]) -> None:
        self._key_fields = tuple(key_fields)
        self._lock = threading.Lock()
        # An empty name makes a database that spills into an unlinked file, which nobody else can open.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.executescript(
            f"""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            PRAGMA cache_size = -{CACHE_KIB};
            CREATE TABLE contacts (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
            CREATE TABLE keys (field TEXT, value TEXT, id INTEGER, PRIMARY KEY (field, value, id)) WITHOUT ROWID;
            CREATE INDEX keys_by_id ON keys (id);
            """
        )
        self._waiting: dict[int, Contact] = {}
        self._count = 0

    def put(self, contacts: Iterable[Contact]) -> None:
        """Add contacts, or replace those with the same id; they are written together, before anything is asked."""
        with self._lock:
            for contact in contacts:
                self._waiting[contact["id"]] = contact
            if len(self._waiting) >= CONTACTS_WRITTEN_TOGETHER:
                self._write()

    def flush(self) -> None:
        """Write what was put; whatever asks for contacts does so, too."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        self._database.execute("BEGIN")
        for contact in self._waiting.values():
            self._remove(contact["id"])
            self._database.execute(
                "INSERT INTO contacts VALUES (?, ?)", (contact["id"], _ENCODER.encode(contact))
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO keys VALUES (?, ?, ?)",
                [
                    (*bucket_of(field, value), contact["id"])
                    for field in self._key_fields
                    for value, _ in key_values(field, contact)
                ],
            )
            self._count += 1
        self._database.execute("COMMIT")
        self._waiting.clear()

    def remove(self, contact_id: int) -> None:
        """Forget a contact."""
        with self._lock:
            self._write()
            self._remove(contact_id)

    def _remove(self, contact_id: int) -> None:
        if self._database.execute("DELETE FROM contacts WHERE id = ?", (contact_id,)).rowcount:
            self._database.execute("DELETE FROM keys WHERE id = ?", (contact_id,))
            self._count -= 1

    @property
    def count(self) -> int:
        """How many contacts it holds."""
        with self._lock:
            self._write()
            return self._count

    def get(self, contact_id: int) -> Contact | None:
        """Return one contact, or None."""
        with self._lock:
            self._write()
            row = self._database.execute(
                "SELECT content FROM contacts WHERE id = ?", (contact_id,)
            ).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def find(self, key: MatchKey) -> list[Contact]:
        """Return the contacts that a key means."""
        with self._lock:
            self._write()
            rows = self._database.execute(
                "SELECT content FROM keys JOIN contacts USING (id) WHERE field = ? AND value = ? ORDER BY id",
                key.bucket,
            ).fetchall()
        found: list[Contact] = [msgspec.json.decode(content) for (content,) in rows]
        return [contact for contact in found if holds(contact, key)]

    def ids(self) -> set[int]:
        """Return the ids of all contacts."""
        with self._lock:
            self._write()
            return {number for (number,) in self._database.execute("SELECT id FROM contacts")}

    def close(self) -> None:
        """Give the space back."""
        with self._lock:
            self._database.close()
