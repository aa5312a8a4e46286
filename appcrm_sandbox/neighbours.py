"""How companies, deals and activities are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.render import Renderer, Shown, show_named, show_user
from appcrm_sandbox.schema import DATE_KINDS, STAMPS, Resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appcrm_sandbox.store import Row, Store
    from appcrm_sandbox.values import Json

_CONTACTS_OF = (
    "SELECT contacts.id, trim(first_name || ' ' || coalesce(last_name, '')) FROM contact_links "
    "JOIN contacts ON contacts.id = contact_id "
    "WHERE resource = ? AND other_id = ? AND contacts.deleted_at IS NULL ORDER BY contacts.id"
)


def show_neighbours(
    store: Store,
    renderer: Renderer,
    resource: Resource,
    ids: Sequence[int],
    *,
    select: frozenset[str] = frozenset(),
    full: bool = False,
) -> list[Shown]:
    """Records of one resource in the order of their ids; in full they name their contacts."""
    rows = {
        row["id"]: row for row in store.among(f"SELECT * FROM {resource.name} WHERE id IN ({{marks}})", ids)
    }
    shown = []
    for record_id in ids:
        if record_id not in rows:
            continue
        record = _show(store, renderer, resource, rows[record_id])
        if full:
            others = store.rows(_CONTACTS_OF, [resource.name, record_id])
            record["contacts"] = [{"id": other[0], "display_name": other[1]} for other in others]
        shown.append(
            {key: value for key, value in record.items() if not select or key in select or key == "id"}
        )
    return shown


def _show(store: Store, renderer: Renderer, resource: Resource, row: Row) -> Shown:
    record: Shown = {"id": row["id"], "display_name": row[resource.label]}
    for name, kind in resource.columns.items():
        record[name] = _value(renderer, kind, row[name])
    record["user"] = show_user(store.named["users"].get(row["user_id"]))
    if "stage_id" in resource.columns:
        record["stage"] = show_named(store.named["stages"].get(row["stage_id"]))
    for name in STAMPS:
        record[name] = renderer.moment(row[name])
    record["path"] = f"/{resource.name}/{row['id']}"
    return record


def _value(renderer: Renderer, kind: str, value: Json) -> Json:
    if kind == "boolean":
        return bool(value)
    return renderer.moment(value) if kind in DATE_KINDS else value
