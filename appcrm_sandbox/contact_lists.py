"""The phones and tags of a contact: prefixes put in front, doubles found, lists replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appcrm_sandbox.phone_numbers import Phone
    from appcrm_sandbox.store import Row, Store
    from appcrm_sandbox.validate import Checker


class PhoneBook:
    """Phones inside the caller's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def with_prefixes(
        self, phones: Sequence[Phone], countries: Sequence[int | None], checker: Checker
    ) -> list[Phone]:
        """The phones with the calling code of the first country that there is; refused where there is none."""
        country = next((country for country in countries if country is not None), None)
        complete = []
        for phone in phones:
            if phone.has_prefix:
                complete.append(phone)
            elif country is not None:
                complete.append(phone.with_prefix(self._store.named["countries"][country]["calling_code"]))
            else:
                checker.refuse(
                    f"phones.{phone.position}.number", "O número de telefone deve ter o código do país."
                )
        return complete

    def countries(
        self, before: Row | None, country_id: int | None, companies: Sequence[int]
    ) -> list[int | None]:
        """Where a missing prefix may come from: the contact's country, the body's, those of the companies."""
        held = [] if before is None else self._countries_of_companies_held(before["id"])
        return [
            None if before is None else before["country_id"],
            country_id,
            *self._countries_of_companies(companies),
            *held,
        ]

    def _countries_of_companies(self, ids: Sequence[int]) -> list[int | None]:
        rows = self._store.among("SELECT id, country_id FROM companies WHERE id IN ({marks})", ids)
        countries = {row["id"]: row["country_id"] for row in rows}
        return [countries[company] for company in ids]

    def _countries_of_companies_held(self, contact_id: int) -> list[int | None]:
        sql = (
            "SELECT country_id FROM companies JOIN contact_links ON other_id = companies.id "
            "WHERE resource = 'companies' AND contact_id = ? AND deleted_at IS NULL ORDER BY companies.id"
        )
        return [row["country_id"] for row in self._store.rows(sql, [contact_id])]

    def refuse_taken(self, phones: Sequence[Phone], contact_id: int, checker: Checker) -> None:
        """Refuse the numbers that another contact has, in the trash or not."""
        for phone in phones:
            sql = "SELECT 1 FROM phones WHERE number = ? AND contact_id != ?"
            if self._store.value(sql, [phone.number, contact_id]):
                checker.refuse(
                    f"phones.{phone.position}.number", "O número de telefone já está sendo utilizado."
                )

    def replace(self, contact_id: int, phones: Sequence[Phone]) -> bool:
        """Make these the contact's phones; a number that stays keeps its id. True when something changed."""
        connection = self._store.connection
        sql = "SELECT id, number, type FROM phones WHERE contact_id = ? ORDER BY id"
        held = {row["number"]: row for row in self._store.rows(sql, [contact_id])}
        wanted = {phone.number: phone.kind for phone in phones}
        gone = [(row["id"],) for number, row in held.items() if number not in wanted]
        connection.executemany("DELETE FROM phones WHERE id = ?", gone)
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


def replace_tags(store: Store, contact_id: int, names: Sequence[str]) -> bool:
    """Make these the contact's tags, new ones made; True when something changed."""
    connection = store.connection
    sql = "SELECT tag_id FROM contact_tags WHERE contact_id = ?"
    held = {row["tag_id"] for row in store.rows(sql, [contact_id])}
    wanted = set()
    for name in names:
        tag_id = store.value("SELECT id FROM tags WHERE name = ?", [name])
        if tag_id is None:
            tag_id = connection.execute("INSERT INTO tags (name) VALUES (?)", [name]).lastrowid
        wanted.add(tag_id)
    connection.executemany(
        "DELETE FROM contact_tags WHERE contact_id = ? AND tag_id = ?",
        [(contact_id, tag_id) for tag_id in held - wanted],
    )
    connection.executemany(
        "INSERT INTO contact_tags VALUES (?, ?)", [(contact_id, tag_id) for tag_id in sorted(wanted - held)]
    )
    return wanted != held
