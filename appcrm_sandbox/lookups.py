"""The small lists: users, sources, pipelines and stages in pages, countries as one array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appcrm_sandbox.errors import server_error
from appcrm_sandbox.listing import DEFAULT_PER_PAGE, Page
from appcrm_sandbox.render import show_country, show_named, show_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from appcrm_sandbox.query import Query
    from appcrm_sandbox.render import Shown
    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Row, Store


def _show_stage(row: Row) -> Shown:
    return {
        "id": row["id"],
        "name": row["name"],
        "pipeline_id": row["pipeline_id"],
        "win_probability": min(100, row["id"] * 20),
        "display_order": row["id"],
    }


# Path → the table behind it and how a row of it is shown.
LOOKUPS: dict[str, tuple[str, Callable[[Row], Shown | None]]] = {
    "users": ("users", show_user),
    "sources": ("sources", show_named),
    "pipelines": ("pipelines", show_named),
    "pipeline-stages": ("stages", _show_stage),
    "countries": ("countries", show_country),
}
# What comes as one array, without pages.
BARE = frozenset({"countries"})


def lookup_rows(store: Store, name: str) -> list[Shown | None]:
    """Every row of a small list by id."""
    table, show = LOOKUPS[name]
    return [show(row) for row in store.named[table].values()]


def lookup_page(store: Store, settings: Settings, name: str, query: Query) -> tuple[Page, list[Shown | None]]:
    """One page of a small list, by name unless `order` says otherwise; ApiError 500 on an unknown column."""
    rows = [row for row in lookup_rows(store, name) if row is not None]
    field, _, direction = query.text("order").partition("|")
    column = field.strip() or "name"
    if column not in rows[0]:
        raise server_error(f"Unknown column '{column}' in 'order clause'")
    rows.sort(key=lambda row: row[column], reverse=direction.strip().lower() == "desc")
    size = settings.fixed_per_page or min(
        query.whole_number("per_page", DEFAULT_PER_PAGE), settings.max_per_page
    )
    number = query.whole_number("page", 1)
    shown = rows[(number - 1) * size : number * size]
    return Page([row["id"] for row in shown], len(rows), number, size), list(shown)
