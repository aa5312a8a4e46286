"""The first content of a sandbox: the same seed gives the same rows."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import TYPE_CHECKING, Any

from appcrm_sandbox import people, schema
from appcrm_sandbox.clock import stamp
from appcrm_sandbox.custom_fields import DEFAULT_FIELDS, FieldRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appcrm_sandbox.store import Store

EPOCH = dt.datetime(2025, 1, 6, 12, 0, 0, tzinfo=dt.timezone.utc)
_USERS = 5
_IMPORT_SHARE = 0.4
_IMPORT_SIZE = 5_000
_SPAN_SECONDS = 330 * 86_400
_TEN_THOUSAND = 10_000
# A number that is prime to a hundred million: it scatters phone numbers without ever giving one twice.
_SCATTER = 61_803_399
_HUNDRED_MILLION = 100_000_000


def seed(store: Store, contacts: int, seed_number: int, fields: tuple[FieldRequest, ...] = ()) -> None:
    """Fill an empty store, all of it or nothing."""
    store.declare([*DEFAULT_FIELDS, *fields])
    chance = random.Random(seed_number)
    with store.transaction() as connection:
        if store.get_meta("seeded") is not None:
            # Another process was faster.
            return
        _small_tables(store)
        companies = max(3, min(contacts // 10, 20_000))
        deals = max(3, min(contacts // 8, 20_000))
        _neighbours(store, chance, companies, deals)
        maker = _People(store, chance, contacts, companies, deals)
        names = ", ".join(maker.columns)
        marks = ", ".join("?" * len(maker.columns))
        connection.executemany(f"INSERT INTO contacts ({names}) VALUES ({marks})", maker.rows())
        for statement in schema.index_statements():
            connection.execute(statement)
        store.set_meta("seeded", {"contacts": contacts, "seed": seed_number})
    store.connection.execute("ANALYZE")
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.reload()


def _small_tables(store: Store) -> None:
    connection = store.connection
    named = ("Ana Souza", "Bruno Lima", "Carla Dias", "Diego Rocha", "Elisa Prado")
    users = [
        (number, name, f"{people.ascii_of(name)}@appcrm.example", people.ZONE)
        for number, name in enumerate(named, 1)
    ]
    connection.executemany("INSERT INTO users (id, name, email, zone) VALUES (?, ?, ?, ?)", users[:_USERS])
    connection.executemany("INSERT INTO sources VALUES (?, ?)", enumerate(people.SOURCES, 1))
    connection.executemany("INSERT INTO pipelines VALUES (?, ?)", enumerate(people.PIPELINES, 1))
    connection.executemany(
        "INSERT INTO stages VALUES (?, ?, 1)",
        [(number, name) for number, name in enumerate(people.STAGES, 1)],
    )
    connection.executemany("INSERT INTO tags VALUES (?, ?)", enumerate(people.TAGS, 1))
    connection.executemany(
        "INSERT INTO countries VALUES (?, ?, ?, ?)",
        [(number, *country) for number, country in enumerate(people.COUNTRIES, 1)],
    )


def company_domain(number: int) -> str:
    """The e-mail domain of a seeded company."""
    return f"empresa{number}.example"


def _neighbours(store: Store, chance: random.Random, companies: int, deals: int) -> None:
    connection = store.connection
    names = [name for pool in people.pools() for name in pool.companies]
    moment = stamp(EPOCH)
    connection.executemany(
        "INSERT INTO companies (name, domain, user_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
        [
            (names[number % len(names)], company_domain(number), chance.randint(1, _USERS), moment, moment)
            for number in range(1, companies + 1)
        ],
    )
    connection.executemany(
        "INSERT INTO deals (name, stage_id, amount, user_id, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                f"{chance.choice(people.DEAL_NAMES)} {number}",
                chance.randint(1, len(people.STAGES)),
                chance.randint(1, 5_000) * 10.0,
                chance.randint(1, _USERS),
                moment,
                moment,
            )
            for number in range(1, deals + 1)
        ],
    )
    connection.executemany(
        "INSERT INTO activities (title, due_date, is_completed, user_id, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                f"{chance.choice(people.ACTIVITY_TITLES)} {number}",
                stamp(EPOCH + dt.timedelta(days=chance.randint(0, 400)))[:10] + "T00:00:00.000000Z",
                chance.randint(0, 1),
                chance.randint(1, _USERS),
                moment,
                moment,
            )
            for number in range(1, deals + 1)
        ],
    )


class _People:
    """Makes contacts one after another, and writes what hangs on them in passing."""

    def __init__(self, store: Store, chance: random.Random, count: int, companies: int, deals: int) -> None:
        self._store = store
        self._chance = chance
        self._count = count
        self._companies = companies
        self._deals = deals
        self._options = {
            name: [number for number, _ in field.options] for name, field in store.fields.items()
        }
        makers = self._custom_makers()
        self._custom = {name: makers[name] for name in store.fields if name in makers}
        self.columns = (
            *schema.CONTACT_COLUMNS,
            "created_at",
            "updated_at",
            "owner_assigned_date",
            *self._custom,
        )

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple for each contact, in the order of `columns`."""
        pools = people.pools()
        weights = [weight for _locale, weight, _country in people.LOCALES]
        codes = {code: number for number, (_name, code, _calling) in enumerate(people.COUNTRIES, 1)}
        imported = int(self._count * _IMPORT_SHARE)
        for contact_id in range(1, self._count + 1):
            chance = self._chance
            pool = chance.choices(pools, weights)[0]
            first = chance.choice(pool.first_names)
            last = chance.choice(pool.last_names) if chance.random() < 0.97 else None
            city, state, postcode = chance.choice(pool.places)
            street = (
                f"{chance.choice(pool.streets)}, {chance.randint(1, 2_000)}"
                if chance.random() < 0.8
                else None
            )
            company = self._link(contact_id)
            self._phone_and_tags(contact_id, pool)
            created, updated = self._stamps(contact_id, imported)
            user = chance.randint(1, _USERS) if chance.random() < 0.8 else None
            yield (
                first,
                last,
                self._email(contact_id, first, last, company),
                chance.choice(pool.jobs) if chance.random() < 0.7 else None,
                street,
                city,
                state,
                postcode,
                user,
                chance.randint(1, len(people.SOURCES)) if chance.random() < 0.6 else None,
                codes[pool.country],
                created,
                updated,
                created if user else None,
                *(make() if chance.random() < 0.5 else None for make in self._custom.values()),
            )

    def _stamps(self, contact_id: int, imported: int) -> tuple[str, str]:
        """An import stamps thousands of rows with one second; the others came one by one."""
        if contact_id <= imported:
            moment = stamp(EPOCH + dt.timedelta(hours=(contact_id - 1) // _IMPORT_SIZE))
            return moment, moment
        share = (contact_id - imported) / max(1, self._count - imported)
        created = EPOCH + dt.timedelta(days=7, seconds=int(share * _SPAN_SECONDS))
        later = self._chance.randint(0, 40 * 86_400) if self._chance.random() < 0.7 else 0
        return stamp(created), stamp(created + dt.timedelta(seconds=later))

    def _email(self, contact_id: int, first: str, last: str | None, company: int | None) -> str | None:
        chance = self._chance.random()
        if chance < 0.05:
            return None
        domain = (
            company_domain(company)
            if company and chance < 0.4
            else ("exemplo.com.br", "example.com", "example.org")[contact_id % 3]
        )
        local = (
            ".".join(part for part in (people.ascii_of(first), people.ascii_of(last or "")) if part)
            or "contato"
        )
        if chance > 0.97:
            local = local.title()
        return f"{local}{contact_id}@{domain}"

    def _link(self, contact_id: int) -> int | None:
        chance = self._chance
        pairs = []
        company = chance.randint(1, self._companies) if chance.random() < 0.6 else None
        if company:
            pairs.append(("companies", company))
            if chance.random() < 0.1:
                pairs.append(("companies", company % self._companies + 1))
        if chance.random() < 0.25:
            pairs.append(("deals", chance.randint(1, self._deals)))
        if chance.random() < 0.15:
            pairs.append(("activities", chance.randint(1, self._deals)))
        if pairs:
            self._store.connection.executemany(
                "INSERT INTO contact_links VALUES (?, ?, ?)",
                [(contact_id, name, other) for name, other in pairs],
            )
        return company

    def _phone_and_tags(self, contact_id: int, pool: people.Pool) -> None:
        chance = self._chance
        connection = self._store.connection
        for turn in range(chance.choices((0, 1, 2), (10, 75, 15))[0]):
            digits = (contact_id * 2 + turn) * _SCATTER % _HUNDRED_MILLION
            number = pool.phone.format(digits // _TEN_THOUSAND, digits % _TEN_THOUSAND)
            kind = ("mobile", "work", "other")[turn if chance.random() < 0.8 else 2]
            connection.execute(
                "INSERT INTO phones (contact_id, number, type) VALUES (?, ?, ?)",
                [contact_id, number, kind],
            )
        if chance.random() < 0.3:
            for tag_id in sorted(chance.sample(range(1, len(people.TAGS) + 1), chance.randint(1, 3))):
                connection.execute("INSERT INTO contact_tags VALUES (?, ?)", [contact_id, tag_id])

    def _custom_makers(self) -> dict[str, Callable[[], Any]]:
        chance = self._chance

        def day(span: int) -> dt.datetime:
            return EPOCH - dt.timedelta(days=chance.randint(0, span))

        nicknames = [name for pool in people.pools() for name in pool.first_names]
        return {
            "cf_nickname": lambda: chance.choice(nicknames),
            "cf_notes": lambda: (
                f"Prefere contato à tarde.\nÚltima conversa: {chance.choice(people.ACTIVITY_TITLES)}"
            ),
            "cf_loyalty_points": lambda: chance.randint(0, 9_999),
            "cf_credit_limit": lambda: chance.randint(0, 2_000_000) / 100,
            "cf_newsletter": lambda: chance.randint(0, 1),
            "cf_birthday": lambda: stamp(day(28_000).replace(hour=0)),
            "cf_last_visit_at": lambda: stamp(day(700) - dt.timedelta(seconds=chance.randint(0, 80_000))),
            "cf_segment": lambda: chance.choice(self._options["cf_segment"]),
            "cf_interests": lambda: json.dumps(
                sorted(chance.sample(self._options["cf_interests"], chance.randint(1, 3))),
            ),
            "cf_billing_email": lambda: f"financeiro{chance.randint(1, 999)}@example.com",
            "cf_website": lambda: f"https://www.example.com/{chance.randint(1, 99_999)}",
        }
