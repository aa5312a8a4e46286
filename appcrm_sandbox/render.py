"""How contacts are shown: read shapes, which are not the shapes that are written."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import msgspec

from appcrm_sandbox.custom_fields import DATE_KINDS, CustomField
from appcrm_sandbox.projection import EVERYTHING, ROW_ID, Projection
from appcrm_sandbox.schema import CONTACT_COLUMNS, CONTACT_DATES, REMARKS, RESOURCES, STAMPS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Row, Store
    from appcrm_sandbox.values import Json
    from appcrm_sandbox.viewer import Viewer

Shown = dict[str, Any]
Cells = dict[str, Any]

# The same for every contact, so encoded once: buttons and rights of the screen, of no use to a warehouse.
ACTIONS = msgspec.Raw(
    msgspec.json.encode(
        [
            {
                "name": "Excluir",
                "uriKey": "delete",
                "destroyable": True,
                "withoutConfirmation": False,
                "fields": [],
            },
            {
                "name": "Alterar proprietário",
                "uriKey": "change-owner",
                "destroyable": False,
                "fields": ["user_id"],
            },
        ],
    ),
)
# What one contact and the rows of a search show unasked, activities where a switch says so; and what `with` may name.
LINKED = ("companies", "deals", "activities")
WITH = (*LINKED, *REMARKS)
# What is left of a record when its owner was not selected and the viewer sees only their own.
OF_A_STRANGER = frozenset({"id", "display_name", "path", "authorizations"})
# Count shown → the association that it counts; the others count what the sandbox has none of.
COUNTS = {
    "companies_count": "companies",
    "deals_count": "deals",
    "incomplete_activities_for_user_count": "activities",
    "calls_count": "calls",
    "notes_count": "notes",
    "emails_count": None,
    "documents_count": None,
    "unread_emails_for_user_count": None,
}
# The associations of contacts with one resource's records, those in the trash left out.
COUNTED = "FROM contact_links JOIN {0} ON {0}.id = other_id AND {0}.deleted_at IS NULL WHERE resource = '{0}'"


@dataclasses.dataclass(slots=True)
class Hung:
    """What hangs on the contacts of one page, by contact id, and whether they were just made."""

    phones: dict[int, list[Shown]]
    tags: dict[int, list[Any]]
    counts: dict[int, dict[str, int]]
    linked: dict[str, dict[int, list[Any]] | None]
    created: bool


class Renderer:
    """Turns ids into what the API shows of them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def contacts(
        self,
        ids: Sequence[int],
        viewer: Viewer,
        *,
        projection: Projection = EVERYTHING,
        links: Sequence[str] = (),
        created: bool = False,
    ) -> list[Shown]:
        """Contacts in the order of their ids; `links` are the associations to show."""
        makers = self._makers(links)
        authorizations = _authorizations(viewer)
        makers |= {"authorizations": lambda _row, _hung: authorizations}
        if viewer.sight("contacts") == "own" and not projection.shows("user_id"):
            makers = {name: make for name, make in makers.items() if name in OF_A_STRANGER}
        hung = Hung(
            phones=self._phones(ids),
            tags=self._tags(ids),
            counts=self._counts(ids),
            linked={name: self._linked(name, ids, viewer) for name in links},
            created=created,
        )
        rows = self._rows(ids, projection)
        plan = list(makers.items())
        return [
            {name: make(row, hung) if make else row[name] for name, make in plan}
            for row in (rows[contact_id] for contact_id in ids if contact_id in rows)
        ]

    def _rows(self, ids: Sequence[int], projection: Projection) -> dict[int, Cells]:
        """The stored rows by id, as dictionaries: SQLite's own rows look for a column from the first to the last."""
        found = self._store.among("SELECT * FROM contacts WHERE id IN ({marks})", ids)
        names = found[0].keys() if found else []
        rows = {row["id"]: dict(zip(names, row, strict=True)) for row in found}
        return {row_id: projection.cells(row) for row_id, row in rows.items()}

    def contact(
        self, contact_id: int, viewer: Viewer, *, created: bool = False, links: Sequence[str] = ()
    ) -> Shown:
        """One contact in full: its companies and deals, and the further associations named."""
        always = LINKED if self._settings.show_activities else LINKED[:2]
        links = list(dict.fromkeys((*always, *links)))
        return self.contacts([contact_id], viewer, links=links, created=created)[0]

    def _makers(self, links: Sequence[str]) -> dict[str, Callable[[Cells, Hung], Any] | None]:
        """Field shown → how it is made of a row; None where the column is shown as it is."""
        named = self._store.named
        makers: dict[str, Callable[[Cells, Hung], Any] | None] = {"id": None, "display_name": _display_name}
        makers |= dict.fromkeys(CONTACT_COLUMNS)
        makers["user"] = lambda row, _: show_user(named["users"].get(row["user_id"]))
        makers["source"] = lambda row, _: show_named(named["sources"].get(row["source_id"]))
        makers["country"] = lambda row, _: show_country(named["countries"].get(row["country_id"]))
        makers["phones"] = lambda row, hung: hung.phones.get(row[ROW_ID], [])
        makers["tags"] = lambda row, hung: hung.tags.get(row[ROW_ID], [])
        makers |= {name: self._custom_maker(field) for name, field in self._store.fields.items()}
        moments = (*CONTACT_DATES, *STAMPS)
        makers |= (
            dict.fromkeys(moments) if self._settings.timestamps == "iso" else self._moment_makers(moments)
        )
        makers |= {name: _count_maker(counted) for name, counted in COUNTS.items()}
        makers |= _NOISE
        makers |= {name: _link_maker(name) for name in links}
        return makers

    def _moment_makers(self, names: Sequence[str]) -> dict[str, Callable[[Cells, Hung], Any]]:
        return {name: self._moment_maker(name) for name in names}

    def _moment_maker(self, name: str) -> Callable[[Cells, Hung], Json]:
        return lambda row, _: self.moment(row[name])

    def _custom_maker(self, field: CustomField) -> Callable[[Cells, Hung], Any] | None:
        """How a custom field is shown, null being null for all but a multi-select."""
        name, plain = field.name, self._settings.shapes == "plain"
        if field.kind == "multi-select":
            return lambda row, _: [
                option_id if plain else _option(field, option_id)
                for option_id in json.loads(row[name] or "[]")
            ]
        if field.kind == "decimal":
            # An empty one and one that is 0 read alike.
            return lambda row, _: row[name] or 0
        if field.kind == "boolean":
            return lambda row, _: None if row[name] is None else bool(row[name])
        if field.kind in DATE_KINDS and self._settings.timestamps != "iso":
            return self._moment_maker(name)
        return None

    def moment(self, text: Json) -> Json:
        """A stored moment in the form this CRM shows; what is no usual moment stays as it is."""
        form = self._settings.timestamps
        if form == "iso" or not isinstance(text, str) or not text.endswith(".000000Z"):
            return text
        whole = text[:19]
        return {"seconds": f"{whole}Z", "offset": f"{whole}+00:00", "sql": whole.replace("T", " ")}[form]

    def _phones(self, ids: Sequence[int]) -> dict[int, list[Shown]]:
        found: dict[int, list[Shown]] = {}
        sql = "SELECT id, contact_id, number, type FROM phones WHERE contact_id IN ({marks}) ORDER BY id"
        for phone_id, contact_id, number, kind in self._store.among(sql, ids):
            found.setdefault(contact_id, []).append({"id": phone_id, "number": number, "type": kind})
        return found

    def _tags(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        plain = self._settings.shapes == "plain"
        sql = (
            "SELECT contact_id, tags.id, name FROM contact_tags JOIN tags ON tags.id = tag_id "
            "WHERE contact_id IN ({marks}) ORDER BY tags.id"
        )
        for contact_id, tag_id, name in self._store.among(sql, ids):
            tag = (
                name if plain else {"id": tag_id, "name": name, "type": "contacts", "swatch_color": "#0ea5e9"}
            )
            found.setdefault(contact_id, []).append(tag)
        return found

    def _counts(self, ids: Sequence[int]) -> dict[int, dict[str, int]]:
        found: dict[int, dict[str, int]] = {}
        for resource in filter(None, COUNTS.values()):
            counted = f"SELECT contact_id, count(*) {COUNTED.format(resource)}"
            sql = f"{counted} AND contact_id IN ({{marks}}) GROUP BY contact_id"
            for contact_id, count in self._store.among(sql, ids):
                found.setdefault(contact_id, {})[resource] = count
        return found

    def _linked(self, name: str, ids: Sequence[int], viewer: Viewer) -> dict[int, list[Any]] | None:
        """The associated records by contact id; None where this viewer may not see any of their kind."""
        if viewer.sight(name) == "none":
            return None
        found: dict[int, list[Any]] = {}
        label = RESOURCES[name].label
        plain = self._settings.shapes == "plain"
        sql = (
            f"SELECT contact_id, other_id, {label} FROM contact_links JOIN {name} ON {name}.id = other_id "
            f"WHERE resource = ? AND {name}.deleted_at IS NULL AND {viewer.where(RESOURCES[name])} "
            "AND contact_id IN ({marks}) ORDER BY other_id"
        )
        for contact_id, other_id, text in self._store.among(sql, ids, [name]):
            other = other_id if plain else _linked_record(name, other_id, label, text)
            found.setdefault(contact_id, []).append(other)
        return found


def _authorizations(viewer: Viewer) -> msgspec.Raw:
    """What the screen lets this user do with a contact; the same for all of them, so encoded once."""
    may = {act: viewer.may(act, "contacts") for act in ("update", "delete", "create")}
    return msgspec.Raw(msgspec.json.encode({"view": True, **may, "viewAny": True}))


def _display_name(row: Cells, _hung: Hung | None) -> str:
    return f"{row['first_name']} {row['last_name']}" if row["last_name"] else str(row["first_name"])


_NOISE: dict[str, Callable[[Cells, Hung], Any]] = {
    "actions": lambda _row, _hung: ACTIONS,
    "avatar": lambda _row, _hung: None,
    "avatar_url": lambda row, _hung: f"https://www.gravatar.com/avatar/{row[ROW_ID]:032x}?s=120",
    "uploaded_avatar_url": lambda _row, _hung: None,
    "guest_email": lambda row, _hung: row["email"],
    "guest_display_name": _display_name,
    "media": lambda _row, _hung: [],
    "path": lambda row, _hung: f"/contacts/{row[ROW_ID]}",
    "timeline_subject_key": lambda _row, _hung: "contact",
    "was_recently_created": lambda _row, hung: hung.created,
}


def _count_maker(counted: str | None) -> Callable[[Cells, Hung], int]:
    if counted is None:
        return lambda _row, _hung: 0
    return lambda row, hung: hung.counts.get(row[ROW_ID], {}).get(counted, 0)


def _link_maker(name: str) -> Callable[[Cells, Hung], list[Any] | None]:
    def make(row: Cells, hung: Hung) -> list[Any] | None:
        linked = hung.linked[name]
        return None if linked is None else linked.get(row[ROW_ID], [])

    return make


def _option(field: CustomField, option_id: int) -> Shown:
    label = next((label for known, label in field.options if known == option_id), str(option_id))
    return {"id": option_id, "name": label, "swatch_color": None}


def _linked_record(name: str, record_id: int, label: str, text: str) -> Shown:
    return {"id": record_id, label: text, "display_name": text, "path": f"/{name}/{record_id}"}


def show_named(row: Row | None) -> Shown | None:
    """A source or a stage beside its id."""
    return None if row is None else {"id": row["id"], "name": row["name"]}


def show_user(row: Row | None) -> Shown | None:
    """An owner beside its id."""
    return None if row is None else {"id": row["id"], "name": row["name"], "email": row["email"]}


def show_country(row: Row | None) -> Shown | None:
    """A country beside its id."""
    return None if row is None else {"id": row["id"], "name": row["name"], "iso_3166_2": row["code"]}
