"""How companies, deals and activities are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.custom_fields import DATE_KINDS
from appcrm_sandbox.linking import current_links
from appcrm_sandbox.projection import EVERYTHING, ROW_ID, Projection
from appcrm_sandbox.render import OF_A_STRANGER, WITH, Renderer, Shown, show_named, show_user
from appcrm_sandbox.schema import ACTIVITIES, CONTACTS, LINKS, RESOURCES, STAMPS, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from appcrm_sandbox.store import Store
    from appcrm_sandbox.values import Cell, Json
    from appcrm_sandbox.viewer import Viewer


def shown_unasked(resource: Resource) -> tuple[str, ...]:
    """The associations of one record: activities are shown only where they are asked for, as with contacts."""
    return tuple(name for name in LINKS[resource.name] if name != ACTIVITIES.name)


def linked_names(resource: Resource) -> tuple[str, ...]:
    """What `with` may name on a resource."""
    return tuple(name for name in (CONTACTS.name, *WITH) if name != resource.name)


def show_neighbours(
    store: Store,
    renderer: Renderer,
    resource: Resource,
    ids: Sequence[int],
    viewer: Viewer,
    *,
    projection: Projection = EVERYTHING,
    links: Sequence[str] = (),
) -> list[Shown]:
    """Records of one resource in the order of their ids; `links` are the associations to show."""
    found = store.among(f"SELECT * FROM {resource.name} WHERE id IN ({{marks}})", ids)
    rows = {row["id"]: projection.cells(dict(row)) for row in found}
    stranger = viewer.sight(resource.name) == "own" and not projection.shows("user_id")
    shown = []
    for record_id in ids:
        if record_id not in rows:
            continue
        record = _show(store, renderer, resource, rows[record_id])
        for name in links:
            record[name] = _linked(store, resource, record_id, name, viewer)
        if stranger:
            record = {name: value for name, value in record.items() if name in OF_A_STRANGER}
        shown.append(record)
    return shown


def _show(store: Store, renderer: Renderer, resource: Resource, row: Mapping[str, Cell]) -> Shown:
    record: Shown = {"id": row["id"], "display_name": row[resource.label]}
    for name, kind in resource.columns.items():
        record[name] = _value(renderer, kind, row[name])
    record["user"] = show_user(store.named["users"].get(row["user_id"]))
    if "stage_id" in resource.columns:
        record["stage"] = show_named(store.named["stages"].get(row["stage_id"]))
    for name in STAMPS:
        record[name] = renderer.moment(row[name])
    record["path"] = f"/{resource.name}/{row[ROW_ID]}"
    return record


def _linked(
    store: Store, resource: Resource, record_id: int, name: str, viewer: Viewer
) -> list[Shown] | None:
    """What a record hangs on of one kind, as far as the viewer may see it; None where they may see none."""
    if viewer.sight(name) == "none":
        return None
    ids = sorted(current_links(store, resource, record_id, name))
    label = (
        "trim(first_name || ' ' || coalesce(last_name, ''))"
        if name == CONTACTS.name
        else RESOURCES[name].label
    )
    sql = (
        f"SELECT id, {label} FROM {name} WHERE deleted_at IS NULL AND {viewer.where(RESOURCES[name])} "
        "AND id IN ({marks}) ORDER BY id"
    )
    return [{"id": row[0], "display_name": row[1]} for row in store.among(sql, ids)]


def _value(renderer: Renderer, kind: str, value: Json) -> Json:
    if kind == "boolean":
        return bool(value)
    return renderer.moment(value) if kind in DATE_KINDS else value
