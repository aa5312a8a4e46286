"""Creating, changing, deleting and linking records, each in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.errors import ApiError, invalid, not_found
from appcrm_sandbox.linking import Linker
from appcrm_sandbox.schema import CONTACTS, Resource
from appcrm_sandbox.validate import Body, Checker, check_body, normalise

if TYPE_CHECKING:
    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Row, Store
    from appcrm_sandbox.values import Json


class Writer:
    """Every write of the API; what is equal is not written, so it touches nothing."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._linker = Linker(store)

    def create(self, resource: Resource, body: Body) -> int:
        """Insert one record; returns its id. ApiError 422 on what is refused."""
        with self._store.transaction():
            columns, lists = self._checked(resource, body, None)
            now = self._store.clock.stamp()
            columns |= {"created_at": now, "updated_at": now}
            if resource is CONTACTS and columns.get("user_id"):
                columns["owner_assigned_date"] = now
            record_id = self._insert(resource.name, columns)
            if resource is CONTACTS:
                self._save_lists(record_id, lists)
                if "companies" not in lists and self._settings.attach_by_domain:
                    self._attach_by_domain(record_id, columns.get("email"))
        return record_id

    def update(self, resource: Resource, record_id: int, body: Body) -> None:
        """Change what differs; ApiError 404 or 422."""
        with self._store.transaction() as connection:
            before = self.live(resource, record_id)
            columns, lists = self._checked(resource, body, record_id)
            changed = {name: value for name, value in columns.items() if value != before[name]}
            if "user_id" in changed and resource is CONTACTS:
                changed["owner_assigned_date"] = self._store.clock.stamp()
            touched = bool(changed)
            if resource is CONTACTS:
                touched |= self._save_lists(record_id, lists)
            if touched:
                changed["updated_at"] = self._store.clock.stamp()
                assignments = ", ".join(f"{name} = ?" for name in changed)
                connection.execute(
                    f"UPDATE {resource.name} SET {assignments} WHERE id = ?",
                    [*changed.values(), record_id],
                )

    def delete(self, resource: Resource, record_id: int) -> None:
        """Put one record in the trash; ApiError 404."""
        with self._store.transaction() as connection:
            self.live(resource, record_id)
            now = self._store.clock.stamp()
            connection.execute(
                f"UPDATE {resource.name} SET deleted_at = ?, updated_at = ? WHERE id = ?",
                [now, now, record_id],
            )

    def restore(self, resource: Resource, record_id: int) -> None:
        """Take one record out of the trash; ApiError 404 when it is not there."""
        with self._store.transaction() as connection:
            self.trashed(resource, record_id)
            connection.execute(
                f"UPDATE {resource.name} SET deleted_at = NULL, updated_at = ? WHERE id = ?",
                [self._store.clock.stamp(), record_id],
            )

    def purge(self, resource: Resource, record_id: int) -> None:
        """Remove one record from the trash for good; ApiError 404 when it is not there."""
        with self._store.transaction() as connection:
            self.trashed(resource, record_id)
            if resource is CONTACTS:
                for table in ("phones", "contact_tags", "contact_links"):
                    connection.execute(f"DELETE FROM {table} WHERE contact_id = ?", [record_id])
            else:
                connection.execute(
                    "DELETE FROM contact_links WHERE resource = ? AND other_id = ?",
                    [resource.name, record_id],
                )
            connection.execute(f"DELETE FROM {resource.name} WHERE id = ?", [record_id])

    def live(self, resource: Resource, record_id: int) -> Row:
        """The row of a record not in the trash; ApiError 404, or 403 when the token may not see it."""
        row = self._store.one(f"SELECT * FROM {resource.name} WHERE id = ?", [record_id])
        if row is None or row["deleted_at"] is not None:
            raise not_found()
        if row["hidden"]:
            raise ApiError(403, {"message": "Esta ação não é autorizada."})
        return row

    def trashed(self, resource: Resource, record_id: int) -> Row:
        """The row of a record in the trash; ApiError 404."""
        row = self._store.one(
            f"SELECT * FROM {resource.name} WHERE id = ? AND deleted_at IS NOT NULL",
            [record_id],
        )
        if row is None:
            raise not_found()
        return row

    def associate(self, resource: Resource, record_id: int, body: Body, method: str) -> None:
        """Attach (`PUT`), detach (`DELETE`) or sync (`POST`); ApiError 404, 409 or 422."""
        with self._store.transaction() as connection:
            self.live(resource, record_id)
            if self._linker.associate(resource, record_id, body, method):
                connection.execute(
                    f"UPDATE {resource.name} SET updated_at = ? WHERE id = ?",
                    [self._store.clock.stamp(), record_id],
                )

    def _attach_by_domain(self, contact_id: int, email: str | None) -> None:
        domain = (email or "").rpartition("@")[2]
        if not domain:
            return
        company = self._store.value(
            "SELECT id FROM companies WHERE domain = ? AND deleted_at IS NULL ORDER BY id",
            [domain],
        )
        if company:
            self._linker.change(CONTACTS, contact_id, "companies", {company}, ())

    # Fields and lists

    def _checked(self, resource: Resource, body: Body, record_id: int | None) -> tuple[Body, Body]:
        checker = Checker()
        columns, lists = check_body(
            resource,
            self._store.fields,
            self._store.named,
            normalise(body),
            checker=checker,
            creating=record_id is None,
        )
        if resource is CONTACTS:
            self._check_taken(columns, lists, record_id or 0, checker)
            for name in ("companies", "deals"):
                if lists.get(name):
                    self._linker.check_ids(name, lists[name], checker)
        checker.finish()
        return columns, lists

    def _check_taken(self, columns: Body, lists: Body, contact_id: int, checker: Checker) -> None:
        email = columns.get("email")
        if email:
            holder = self._store.value(
                "SELECT id FROM contacts WHERE email = ? AND id != ?", [email, contact_id]
            )
            holder = holder or self._store.value("SELECT id FROM users WHERE email = ?", [email])
            if holder:
                checker.refuse("email", "O campo e-mail já está sendo utilizado.")
        if self._settings.phone_unique:
            for position, (number, _kind) in enumerate(lists.get("phones") or ()):
                taken = "SELECT 1 FROM phones WHERE number = ? AND contact_id != ?"
                if self._store.value(taken, [number, contact_id]):
                    checker.refuse(
                        f"phones.{position}.number", "O número de telefone já está sendo utilizado."
                    )

    def _insert(self, table: str, columns: Body) -> int:
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        cursor = self._store.connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",
            list(columns.values()),
        )
        return int(cursor.lastrowid or 0)

    def _save_lists(self, contact_id: int, lists: Body) -> bool:
        """Replace the lists that are given; True when something changed that touches the contact."""
        touched = False
        if "phones" in lists:
            touched |= self._save_phones(contact_id, lists["phones"])
        if "tags" in lists:
            self._save_tags(contact_id, lists["tags"])
        for name in ("companies", "deals"):
            if name in lists:
                touched |= self._linker.replace(contact_id, name, lists[name])
        return touched

    def _save_phones(self, contact_id: int, phones: list[tuple[str, str]]) -> bool:
        connection = self._store.connection
        rows = self._store.rows(
            "SELECT id, number, type FROM phones WHERE contact_id = ? ORDER BY id", [contact_id]
        )
        held = {row["number"]: row for row in rows}
        wanted = dict(phones)
        gone = [held[number]["id"] for number in held if number not in wanted]
        connection.executemany("DELETE FROM phones WHERE id = ?", [(phone_id,) for phone_id in gone])
        changed = bool(gone)
        for number, kind in wanted.items():
            row = held.get(number)
            if row is None:
                connection.execute(
                    "INSERT INTO phones (contact_id, number, type) VALUES (?, ?, ?)",
                    [contact_id, number, kind],
                )
                changed = True
            elif row["type"] != kind:
                connection.execute("UPDATE phones SET type = ? WHERE id = ?", [kind, row["id"]])
                changed = True
        return changed

    def _save_tags(self, contact_id: int, names: list[str]) -> None:
        connection = self._store.connection
        connection.execute("DELETE FROM contact_tags WHERE contact_id = ?", [contact_id])
        for name in names:
            tag_id = self._store.value("SELECT id FROM tags WHERE name = ?", [name])
            if tag_id is None:
                tag_id = self._insert("tags", {"name": name})
            connection.execute("INSERT OR IGNORE INTO contact_tags VALUES (?, ?)", [contact_id, tag_id])


def body_of(value: Json) -> Body:
    """A JSON body as an object; ApiError 422 when it is something else."""
    if isinstance(value, dict):
        return value
    raise invalid({"body": ["O corpo deve ser um objeto JSON."]})
