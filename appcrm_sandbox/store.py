"""The SQLite file: opening, checking, transactions, custom fields, snapshots."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

from appcrm_sandbox import schema
from appcrm_sandbox.custom_fields import INDEXED_KINDS, SQL_TYPES, CustomField, FieldRequest
from appcrm_sandbox.errors import SandboxError
from appcrm_sandbox.folding import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from appcrm_sandbox.clock import Clock
    from appcrm_sandbox.values import Json

Row = sqlite3.Row
_MAX_PARAMETERS = 500


class Store:
    """One database file, used by one thread at a time; other processes may use the same file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or make the file; SandboxError when it is not a whole sandbox database."""
        self.path = path
        self.clock = clock
        self.fields: dict[str, CustomField] = {}
        self.named: dict[str, dict[int, Row]] = {}
        self._writes = 0
        try:
            self.connection = self._open()
            self.reload()
        except sqlite3.Error as error:
            raise SandboxError(
                f"{path} cannot be served ({error}); name another file with --database, or remove this one.",
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self.path.is_dir():
            raise SandboxError(f"{self.path} cannot be served: it is a folder; name a file with --database.")
        if not self.path.parent.is_dir():
            raise SandboxError(f"{self.path} cannot be made: there is no folder {self.path.parent}.")
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        connection.create_function("fold", 1, fold, deterministic=True)
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if has_tables and application_id != schema.APPLICATION_ID:
            raise SandboxError(
                f"{self.path} is an SQLite database, but not one of a sandbox; name another file."
            )
        if has_tables:
            self._check(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")
        if not has_tables:
            self._create(connection)

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been faster since the first look.
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in schema.create_statements():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        connection.execute("COMMIT")

    def _check(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != schema.VERSION:
            raise SandboxError(f"{self.path} was made by another version of the sandbox; name another file.")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            told = " ".join(verdict.split())
            raise SandboxError(f"{self.path} is corrupt ({told}); restore a snapshot or name another file.")

    def close(self) -> None:
        """Leave the file whole and alone."""
        self.connection.close()

    def reload(self) -> None:
        """Read the fields and the small tables anew."""
        options: dict[str, list[tuple[int, str]]] = {}
        for row in self.rows("SELECT id, field, label FROM field_options ORDER BY id"):
            options.setdefault(row["field"], []).append((row["id"], row["label"]))
        self.fields = {
            row["name"]: CustomField(
                row["name"],
                row["kind"],
                tuple(options.get(row["name"], ())),
                unique=bool(row["is_unique"]),
                required=bool(row["is_required"]),
            )
            for row in self.rows("SELECT * FROM fields ORDER BY position")
        }
        self.named = {
            table: {row["id"]: row for row in self.rows(f"SELECT * FROM {table} ORDER BY id")}
            for table in schema.NAMED
        }

    # Reading

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row of a query."""
        return self.connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        row: Row | None = self.connection.execute(sql, parameters).fetchone()
        return row

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Json:
        """The first cell of a query, or None."""
        row = self.one(sql, parameters)
        return row[0] if row else None

    def among(self, sql: str, values: Sequence[Any], parameters: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query whose `{marks}` stands for many values; asked in slices."""
        found: list[Row] = []
        for start in range(0, len(values), _MAX_PARAMETERS):
            piece = values[start : start + _MAX_PARAMETERS]
            found += self.rows(sql.replace("{marks}", ",".join("?" * len(piece))), [*parameters, *piece])
        return found

    def version(self) -> tuple[int, int]:
        """Changes whenever anything was written, by this process or by another one."""
        return self._writes, self.connection.execute("PRAGMA data_version").fetchone()[0]

    # Writing

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; other writers wait."""
        self.connection.execute("BEGIN IMMEDIATE")
        fields, named = self.fields, self.named
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            # An option or a source that the transaction made is gone with it.
            self.fields, self.named = fields, named
            raise
        self.connection.execute("COMMIT")
        self._writes += 1

    def get_meta(self, key: str) -> Json:
        """What was kept under a key, or None."""
        text = self.value("SELECT value FROM meta WHERE key = ?", [key])
        return None if text is None else json.loads(text)

    def set_meta(self, key: str, value: Json) -> None:
        """Keep a value under a key."""
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [key, json.dumps(value)])

    def declare(self, requests: Sequence[FieldRequest]) -> list[str]:
        """Add custom fields that are not there yet; returns their names. SandboxError on a changed type."""
        added = []
        for request in requests:
            known = self.fields.get(request.name)
            if known and known.kind != request.kind:
                raise SandboxError(
                    f"the custom field {request.name} already has the type {known.kind}, not {request.kind}.",
                )
        fresh = {request.name: request for request in requests if request.name not in self.fields}
        if not fresh:
            return []
        with self.transaction() as connection:
            position = self.value("SELECT coalesce(max(position), 0) FROM fields")
            for name, request in fresh.items():
                position += 1
                connection.execute(
                    "INSERT INTO fields VALUES (?, ?, ?, ?, ?)",
                    [name, request.kind, position, request.unique, request.required],
                )
                connection.executemany(
                    "INSERT INTO field_options (field, label) VALUES (?, ?)",
                    [(name, label) for label in request.options],
                )
                connection.execute(f"ALTER TABLE contacts ADD COLUMN {name} {SQL_TYPES[request.kind]}")
                if request.kind in INDEXED_KINDS:
                    connection.execute(
                        f"CREATE INDEX contacts_{name} ON contacts ({name}) WHERE {name} IS NOT NULL"
                    )
                added.append(name)
        self.reload()
        return added

    def restore(self, source: Path) -> None:
        """Put what a snapshot holds in place of everything; SandboxError when it is no snapshot of a sandbox."""
        if not source.is_file():
            raise SandboxError(f"there is no snapshot {source}.")
        try:
            with contextlib.closing(sqlite3.connect(source)) as copy:
                made_by = [
                    copy.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("application_id", "user_version")
                ]
                if made_by != [schema.APPLICATION_ID, schema.VERSION]:
                    raise SandboxError(f"{source} is no snapshot of this version of the sandbox.")
                copy.backup(self.connection)
        except sqlite3.Error as error:
            raise SandboxError(f"the snapshot {source} cannot be read ({error}).") from error
        self._writes += 1
        self.reload()

    def snapshot(self, target: Path) -> None:
        """Copy the whole database, consistent at one moment, to a file that can be served."""
        if target.resolve() == self.path.resolve():
            raise SandboxError("a snapshot cannot replace the file that is being served.")
        try:
            with contextlib.closing(sqlite3.connect(target)) as copy:
                self.connection.backup(copy)
        except sqlite3.Error as error:
            raise SandboxError(f"the snapshot {target} cannot be written ({error}).") from error
