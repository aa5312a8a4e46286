"""Two contacts made one, as a person does who finds a double."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.errors import not_found
from appcrm_sandbox.schema import CONTACT_COLUMNS, CONTACTS

if TYPE_CHECKING:
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.writing import Writer


def merge(store: Store, writer: Writer, kept: int, gone: int) -> None:
    """What one contact lacks comes from the other, which goes to the trash; ApiError 404."""
    with store.transaction() as connection:
        if kept == gone:
            raise not_found()
        row = dict(writer.live(CONTACTS, kept, by_person=True))
        other = dict(writer.live(CONTACTS, gone, by_person=True))
        columns = (*CONTACT_COLUMNS, *store.fields)
        taken = {name: other[name] for name in columns if row[name] is None and other[name] is not None}
        now = store.clock.stamp()
        # What only one contact may have moves; the rest stays with the one in the trash as well.
        moved = ["email", *(field.name for field in store.fields.values() if field.unique)]
        cleared = ", ".join(f"{name} = NULL" for name in moved if name in taken)
        connection.execute(
            f"UPDATE contacts SET deleted_at = ?, updated_at = ?{', ' if cleared else ''}{cleared} WHERE id = ?",
            [now, now, gone],
        )
        assignments = ", ".join(f"{name} = ?" for name in (*taken, "updated_at"))
        connection.execute(f"UPDATE contacts SET {assignments} WHERE id = ?", [*taken.values(), now, kept])
        connection.execute("UPDATE phones SET contact_id = ? WHERE contact_id = ?", [kept, gone])
        for table in ("contact_tags", "contact_links"):
            connection.execute(
                f"UPDATE OR IGNORE {table} SET contact_id = ? WHERE contact_id = ?", [kept, gone]
            )
            connection.execute(f"DELETE FROM {table} WHERE contact_id = ?", [gone])
