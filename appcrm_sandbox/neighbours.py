"""How companies, deals and activities are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.linking import current_links
from appcrm_sandbox.render import Renderer, Shown, show_named, show_user
from appcrm_sandbox.schema import ACTIVITIES, CONTACTS, DATE_KINDS, LINKS, LIVE, RESOURCES, STAMPS, Resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appcrm_sandbox.store import Row, Store
    from appcrm_sandbox.values import Json

# As with contacts, a record shows its activities only where they are asked for.
_SHOWN_LINKS = {
    name: tuple(other for other in others if other != ACTIVITIES.name) for name, others in LINKS.items()
}


def show_neighbours(
    store: Store,
    renderer: Renderer,
    resource: Resource,
    ids: Sequence[int],
    *,
    select: frozenset[str] = frozenset(),
    full: bool = False,
) -> list[Shown]:
    """Records of one resource in the order of their ids; in full they name what they hang on."""
    rows = {
        row["id"]: row for row in store.among(f"SELECT * FROM {resource.name} WHERE id IN ({{marks}})", ids)
    }
    shown = []
    for record_id in ids:
        if record_id not in rows:
            continue
        record = _show(store, renderer, resource, rows[record_id])
        if full:
            record |= {
                name: _linked(store, resource, record_id, name) for name in _SHOWN_LINKS[resource.name]
            }
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


def _linked(store: Store, resource: Resource, record_id: int, name: str) -> list[Shown]:
    """What a record hangs on of one kind, as far as the token may see it."""
    ids = sorted(current_links(store, resource, record_id, name))
    label = (
        "trim(first_name || ' ' || coalesce(last_name, ''))"
        if name == CONTACTS.name
        else RESOURCES[name].label
    )
    sql = f"SELECT id, {label} FROM {name} WHERE {LIVE} AND id IN ({{marks}}) ORDER BY id"
    return [{"id": row[0], "display_name": row[1]} for row in store.among(sql, ids)]


def _value(renderer: Renderer, kind: str, value: Json) -> Json:
    if kind == "boolean":
        return bool(value)
    return renderer.moment(value) if kind in DATE_KINDS else value
