"""Creating, changing, deleting and linking records, each in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.contact_lists import PhoneBook, replace_tags
from appcrm_sandbox.errors import ApiError, invalid, not_found
from appcrm_sandbox.folding import equal
from appcrm_sandbox.linking import Linker
from appcrm_sandbox.names import Names
from appcrm_sandbox.schema import ACTIVITIES, CONTACTS, LINKS, REMARKS, Resource
from appcrm_sandbox.validate import BIGGEST_INTEGER, SMALLEST_INTEGER, Body, Checker, check_body, normalise
from appcrm_sandbox.viewer import EVERYONE, Viewer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Row, Store
    from appcrm_sandbox.values import Json


class Writer:
    """Every write of the API; what is equal is not written, so it touches nothing."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._linker = Linker(store)
        self._phones = PhoneBook(store)

    def create(self, resource: Resource, body: Body, viewer: Viewer = EVERYONE) -> int:
        """Insert one record; returns its id. ApiError 422 on what is refused."""
        with self._store.transaction() as connection:
            columns, lists = self._checked(resource, body, None, viewer)
            now = self._store.clock.stamp()
            columns |= {"created_at": now, "updated_at": now}
            if resource is CONTACTS and columns.get("user_id"):
                columns["owner_assigned_date"] = now
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            cursor = connection.execute(
                f"INSERT INTO {resource.name} ({names}) VALUES ({marks})", list(columns.values())
            )
            record_id = int(cursor.lastrowid or 0)
            self._save_lists(resource, record_id, lists)
            if resource is CONTACTS and self._settings.attach_by_domain:
                self._attach_by_domain(record_id, columns.get("email"))
        return record_id

    def update(
        self,
        resource: Resource,
        record_id: int,
        body: Body,
        viewer: Viewer = EVERYONE,
        *,
        by_person: bool = False,
    ) -> None:
        """Change what differs; ApiError 403, 404 or 422."""
        with self._store.transaction() as connection:
            before = self.live(resource, record_id, to_change=True, by_person=by_person)
            columns, lists = self._checked(resource, body, before, viewer)
            changed = {name: value for name, value in columns.items() if value != before[name]}
            if "user_id" in changed and resource is CONTACTS:
                changed["owner_assigned_date"] = self._store.clock.stamp()
            if self._save_lists(resource, record_id, lists) or changed:
                changed["updated_at"] = self._store.clock.stamp()
                assignments = ", ".join(f"{name} = ?" for name in changed)
                connection.execute(
                    f"UPDATE {resource.name} SET {assignments} WHERE id = ?", [*changed.values(), record_id]
                )
                self._touch_around(resource, record_id)

    def delete(self, resource: Resource, record_id: int) -> None:
        """Put one record in the trash; ApiError 403 or 404."""
        with self._store.transaction() as connection:
            self.live(resource, record_id, to_change=True)
            now = self._store.clock.stamp()
            connection.execute(
                f"UPDATE {resource.name} SET deleted_at = ?, updated_at = ? WHERE id = ?",
                [now, now, record_id],
            )
            self._touch_around(resource, record_id)

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
                for table in ("phones", "contact_tags"):
                    connection.execute(f"DELETE FROM {table} WHERE contact_id = ?", [record_id])
            self._linker.forget(resource, record_id)
            connection.execute(f"DELETE FROM {resource.name} WHERE id = ?", [record_id])

    def live(
        self, resource: Resource, record_id: int, *, to_change: bool = False, by_person: bool = False
    ) -> Row:
        """The row of a record not in the trash; ApiError 404, or 403 where the token may not do that.

        A person at the screen may see and change what this token may not.
        """
        row = self._store.one(f"SELECT * FROM {resource.name} WHERE id = ?", [record_id])
        if row is None or row["deleted_at"] is not None:
            raise not_found()
        if not by_person and (row["hidden"] or (to_change and row["locked"])):
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

    def associate(
        self,
        resource: Resource,
        record_id: int,
        body: Body,
        method: str,
        *,
        viewer: Viewer = EVERYONE,
        asked: Iterable[str] = (),
    ) -> None:
        """Attach (`PUT`), detach (`DELETE`) or sync (`POST`); `asked` are the names in the query.

        ApiError 403, 404, 409 or 422.
        """
        with self._store.transaction():
            self.live(resource, record_id, to_change=True)
            names = Names(self._store, viewer)
            if self._linker.associate(resource, record_id, normalise(body), method, names=names, asked=asked):
                self._touch(resource, record_id)

    def link(self, resource: Resource, record_id: int, changes: dict[str, set[int]], *, attach: bool) -> None:
        """Add or remove associations as a person at the screen does; ApiError 404."""
        with self._store.transaction():
            self.live(resource, record_id, by_person=True)
            changed = False
            for name, ids in changes.items():
                current = self._linker.current(resource, record_id, name)
                add, remove = (ids - current, set[int]()) if attach else (set[int](), ids & current)
                changed |= self._linker.change(resource, record_id, name, add, remove)
            if changed:
                self._touch(resource, record_id)

    def _touch(self, resource: Resource, record_id: int) -> None:
        self._store.connection.execute(
            f"UPDATE {resource.name} SET updated_at = ? WHERE id = ?", [self._store.clock.stamp(), record_id]
        )

    def _touch_around(self, resource: Resource, record_id: int) -> None:
        # What is done about an activity, a note or a call shows on the contacts that it is about.
        if resource.name in {ACTIVITIES.name, *REMARKS}:
            self._linker.touch_contacts(resource, record_id)

    def _attach_by_domain(self, contact_id: int, email: str | None) -> None:
        domain = (email or "").rpartition("@")[2]
        rows = self._store.rows(
            "SELECT id FROM companies WHERE domain = ? AND deleted_at IS NULL", [domain or None]
        )
        held = self._linker.current(CONTACTS, contact_id, "companies")
        self._linker.change(CONTACTS, contact_id, "companies", {row["id"] for row in rows} - held, ())

    # Checking

    def _checked(
        self, resource: Resource, body: Body, before: Row | None, viewer: Viewer
    ) -> tuple[Body, Body]:
        checker = Checker()
        body = normalise(body)
        columns, lists = check_body(
            resource,
            self._store.fields,
            Names(self._store, viewer),
            body,
            checker=checker,
            demanded=self._demanded(resource, creating=before is None),
        )
        if resource is CONTACTS:
            contact_id = 0 if before is None else before["id"]
            if lists.get("phones") and self._settings.phone_prefix:
                countries = self._phones.countries(
                    before, columns.get("country_id"), lists.get("companies", ())
                )
                lists["phones"] = self._phones.with_prefixes(lists["phones"], countries, checker)
            if self._settings.phone_unique:
                self._phones.refuse_taken(lists.get("phones") or (), contact_id, checker)
            self._refuse_taken(columns, contact_id, checker)
        checker.finish()
        self._overflow(resource, columns)
        return columns, lists

    def _demanded(self, resource: Resource, *, creating: bool) -> set[str]:
        """The fields that may not be missing from a body."""
        if not creating:
            asks = resource is CONTACTS and self._settings.version.update_needs_first_name
            return set(resource.required) if asks else set()
        fields = self._store.fields.values() if resource is CONTACTS else ()
        return {*resource.required, *(field.name for field in fields if field.required)}

    def _refuse_taken(self, columns: Body, contact_id: int, checker: Checker) -> None:
        email = columns.get("email")
        if email and (
            self._holder("email", email, contact_id)
            or self._store.value("SELECT id FROM users WHERE email = ?", [email])
        ):
            checker.refuse("email", "O campo e-mail já está sendo utilizado.")
        for field in self._store.fields.values():
            value = columns.get(field.name)
            if field.unique and value is not None and self._holder(field.name, value, contact_id):
                checker.refuse(field.name, "O campo :field já está sendo utilizado.")

    def _holder(self, column: str, value: Json, contact_id: int) -> Json:
        """The contact beside this one that has a value, in the trash or out of sight as it may be."""
        same, values = equal(column, value)
        return self._store.value(f"SELECT id FROM contacts WHERE {same} AND id != ?", [*values, contact_id])

    def _overflow(self, resource: Resource, columns: Body) -> None:
        """What no check stops and the column cannot hold is the database's error, so a 500."""
        kinds = {name: field.kind for name, field in self._store.fields.items()}
        for name, value in columns.items():
            if resource is not CONTACTS or kinds.get(name) != "integer" or value is None:
                continue
            if not SMALLEST_INTEGER <= value <= BIGGEST_INTEGER:
                raise ApiError(500, {"message": "Server Error"})

    def _save_lists(self, resource: Resource, record_id: int, lists: Body) -> bool:
        """Replace the lists that are given; True when something changed."""
        touched = False
        if "phones" in lists:
            touched |= self._phones.replace(record_id, lists["phones"])
        if "tags" in lists:
            touched |= replace_tags(self._store, record_id, lists["tags"])
        for name in LINKS[resource.name]:
            if name in lists:
                touched |= self._linker.replace(resource, record_id, name, lists[name])
        return touched


def body_of(value: Json) -> Body:
    """A JSON body as an object; ApiError 422 when it is something else."""
    if isinstance(value, dict):
        return value
    raise invalid({"body": ["O corpo deve ser um objeto JSON."]})
