"""How records are shown: read shapes, which are not the shapes that are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from appcrm_sandbox.schema import (
    CONTACT_COLUMNS,
    CONTACT_DATES,
    CONTACTS,
    RESOURCES,
    STAMPS,
    CustomField,
    Resource,
)
from appcrm_sandbox.settings import Settings
from appcrm_sandbox.store import Row, Store

Shown = dict[str, Any]

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
AUTHORIZATIONS = msgspec.Raw(
    msgspec.json.encode({"view": True, "update": True, "delete": True, "create": True, "viewAny": True}),
)
COUNTED = ("companies", "deals")
LINKED = ("companies", "deals", "activities")
ZERO_COUNTS = (
    "calls_count",
    "notes_count",
    "emails_count",
    "documents_count",
    "unread_emails_for_user_count",
)


class Renderer:
    """Turns ids into what the API shows of them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def contacts(
        self,
        ids: Sequence[int],
        *,
        select: frozenset[str] = frozenset(),
        links: Sequence[str] = (),
        created: bool = False,
    ) -> list[Shown]:
        """The contacts in the order of their ids; `links` are the associations to show, `select` the fields."""
        store = self._store
        rows = {row["id"]: row for row in store.among("SELECT * FROM contacts WHERE id IN ({marks})", ids)}
        wanted = _wanted(select)
        phones = self._phones(ids) if wanted("phones") else {}
        tags = self._tags(ids) if wanted("tags") else {}
        counts = self._counts(ids) if not select or any(f"{name}_count" in select for name in LINKED) else {}
        linked = {name: self._linked(name, ids) for name in links if wanted(name)}
        shown = []
        for contact_id in ids:
            row = rows.get(contact_id)
            if row is None:
                continue
            contact = self._contact(row, phones.get(contact_id, []), tags.get(contact_id, []))
            count = counts.get(contact_id, {})
            for name in COUNTED:
                contact[f"{name}_count"] = count.get(name, 0)
            contact["incomplete_activities_for_user_count"] = count.get("activities", 0)
            contact["was_recently_created"] = created
            for name, found in linked.items():
                contact[name] = found.get(contact_id, [])
            if select:
                contact = {key: value for key, value in contact.items() if key in select or key == "id"}
            shown.append(contact)
        return shown

    def contact(self, contact_id: int, *, created: bool = False, links: Sequence[str] | None = None) -> Shown:
        """One contact in full, its companies and deals included."""
        return self.contacts([contact_id], links=self.links() if links is None else links, created=created)[0]

    def links(self) -> tuple[str, ...]:
        """The associations that one contact shows by itself."""
        return LINKED if self._settings.show_activities else LINKED[:2]

    def _contact(self, row: Row, phones: list[Shown], tags: list[Any]) -> Shown:
        named = self._store.named
        first, last = row["first_name"], row["last_name"]
        contact_id = row["id"]
        display_name = f"{first} {last}" if last else first
        shown: Shown = {"id": contact_id, "display_name": display_name}
        for name in CONTACT_COLUMNS:
            shown[name] = row[name]
        shown["user"] = _user(named["users"].get(row["user_id"]))
        shown["source"] = _named(named["sources"].get(row["source_id"]))
        shown["country"] = _country(named["countries"].get(row["country_id"]))
        shown["phones"] = phones
        shown["tags"] = tags
        for name, field in self._store.fields.items():
            shown[name] = self._custom(field, row[name])
        for name in (*CONTACT_DATES, *STAMPS):
            shown[name] = self.moment(row[name])
        for name in ZERO_COUNTS:
            shown[name] = 0
        shown["actions"] = ACTIONS
        shown["authorizations"] = AUTHORIZATIONS
        shown["avatar"] = None
        shown["avatar_url"] = f"https://www.gravatar.com/avatar/{contact_id:032x}?s=120"
        shown["uploaded_avatar_url"] = None
        shown["guest_email"] = row["email"]
        shown["guest_display_name"] = display_name
        shown["media"] = []
        shown["path"] = f"/contacts/{contact_id}"
        shown["timeline_subject_key"] = "contact"
        return shown

    def moment(self, text: Any) -> Any:  # noqa: ANN401  a test may store anything here
        """A stored moment in the form this CRM shows; what is no usual moment stays as it is."""
        form = self._settings.timestamps
        if form == "iso" or not isinstance(text, str) or not text.endswith(".000000Z"):
            return text
        whole = text[:19]
        return {"seconds": f"{whole}Z", "offset": f"{whole}+00:00", "sql": whole.replace("T", " ")}[form]

    def _custom(self, field: CustomField, value: Any) -> Any:  # noqa: ANN401  a cell of any type
        if field.kind == "multi-select":
            chosen = json.loads(value) if value else []
            if self._settings.shapes == "plain":
                return chosen
            return [_option(field, option_id) for option_id in chosen]
        if value is None:
            return None
        if field.kind == "boolean":
            return bool(value)
        if field.kind == "select":
            return value if self._settings.shapes == "plain" else _option(field, value)
        if field.kind in {"date", "date-time"}:
            return self.moment(value)
        return value

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
        sql = (
            "SELECT contact_id, resource, count(*) FROM contact_links WHERE contact_id IN ({marks}) "
            "GROUP BY contact_id, resource"
        )
        for contact_id, resource, count in self._store.among(sql, ids):
            found.setdefault(contact_id, {})[resource] = count
        return found

    def _linked(self, name: str, ids: Sequence[int]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        label = RESOURCES[name].label
        plain = self._settings.shapes == "plain"
        sql = (
            f"SELECT contact_id, other_id, {label} FROM contact_links JOIN {name} ON {name}.id = other_id "  # noqa: S608  fixed names
            f"WHERE resource = ? AND {name}.deleted_at IS NULL AND contact_id IN ({{marks}}) ORDER BY other_id"
        )
        for contact_id, other_id, text in self._store.among(sql, ids, [name]):
            other = other_id if plain else _linked_record(name, other_id, label, text)
            found.setdefault(contact_id, []).append(other)
        return found

    def neighbours(
        self,
        resource: Resource,
        ids: Sequence[int],
        *,
        select: frozenset[str] = frozenset(),
        full: bool = False,
    ) -> list[Shown]:
        """Companies, deals or activities in the order of their ids; in full they name their contacts."""
        store = self._store
        sql = f"SELECT * FROM {resource.name} WHERE id IN ({{marks}})"  # noqa: S608  a fixed name
        rows = {row["id"]: row for row in store.among(sql, ids)}
        shown = []
        for record_id in ids:
            row = rows.get(record_id)
            if row is None:
                continue
            record: Shown = {"id": record_id, "display_name": row[resource.label]}
            for name, kind in resource.columns.items():
                record[name] = bool(row[name]) if kind == "boolean" else row[name]
            record["user"] = _user(store.named["users"].get(row["user_id"]))
            if "stage_id" in resource.columns:
                record["stage"] = _named(store.named["stages"].get(row["stage_id"]))
            for name in STAMPS:
                record[name] = self.moment(row[name])
            record["path"] = f"/{resource.name}/{record_id}"
            if full:
                record["contacts"] = [
                    {"id": other[0], "display_name": other[1]}
                    for other in store.rows(
                        "SELECT contacts.id, first_name FROM contact_links JOIN contacts ON contacts.id = contact_id "
                        "WHERE resource = ? AND other_id = ? AND contacts.deleted_at IS NULL ORDER BY contacts.id",
                        [resource.name, record_id],
                    )
                ]
            if select:
                record = {key: value for key, value in record.items() if key in select or key == "id"}
            shown.append(record)
        return shown


def _wanted(select: frozenset[str]) -> Any:  # noqa: ANN401  a predicate
    return (lambda _name: True) if not select else select.__contains__


def _option(field: CustomField, option_id: int) -> Shown:
    label = next((label for known, label in field.options if known == option_id), str(option_id))
    return {"id": option_id, "name": label, "label": label, "swatch_color": None}


def _named(row: Row | None) -> Shown | None:
    return None if row is None else {"id": row["id"], "name": row["name"]}


def _user(row: Row | None) -> Shown | None:
    return None if row is None else {"id": row["id"], "name": row["name"], "email": row["email"]}


def _country(row: Row | None) -> Shown | None:
    return None if row is None else {"id": row["id"], "name": row["name"], "iso_3166_2": row["code"]}


def _linked_record(name: str, record_id: int, label: str, text: str) -> Shown:
    return {"id": record_id, label: text, "display_name": text, "path": f"/{name}/{record_id}"}


__all__ = ["CONTACTS", "LINKED", "Renderer"]
