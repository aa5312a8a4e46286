"""The warehouse of the demo: Chinook's rows in PostgreSQL, the model over them, and the proof at the end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from typing_extensions import LiteralString

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
_TABLES = {"customers": "chinook_customers.csv", "invoices": "chinook_invoices.csv"}

STREAMS = ("contacts", "contact_associations", "companies", "deals", "users")
_SHOWN_CHANGES, _SHOWN_SIGNS = 8, 24

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """How many people each side holds, and where they differ: (e-mail, field, the three values)."""

    model: int
    crm: int
    loaded: int
    differences: list[tuple[str, str, str]]

    @property
    def holds(self) -> bool:
        """Whether all sides hold the same people, and any at all."""
        return not self.differences and 0 < self.model == self.crm == self.loaded


def load_shop(connection: Connection) -> dict[str, int]:
    """Make the tables and the model and load Chinook's files; returns rows by table."""
    connection.execute(_script("model.sql"))
    for table, name in _TABLES.items():
        text = (DATA / name).read_text(encoding="utf-8")
        columns = sql.SQL(", ").join(map(sql.Identifier, text.splitlines()[0].split(",")))
        statement = sql.SQL("COPY shop.{} ({}) FROM STDIN (FORMAT csv, HEADER)").format(
            sql.Identifier(table), columns
        )
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(text)
    return {table: count(connection, f"shop.{table}") for table in _TABLES}


def companies(connection: Connection) -> list[str]:
    """Names of the companies that customers work for."""
    rows = connection.execute(
        "SELECT DISTINCT company FROM shop.customers WHERE company IS NOT NULL ORDER BY company"
    )
    return [str(name) for (name,) in rows]


def keep_support_reps(connection: Connection, users: dict[int, str]) -> int:
    """The customers' support reps are users of the CRM, known by their addresses; returns how many there are."""
    numbers = connection.execute("SELECT DISTINCT support_rep_id FROM shop.customers ORDER BY 1").fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO shop.support_reps VALUES (%s, %s)",
            [(number, email) for (number,), email in zip(numbers, users.values(), strict=False)],
        )
    return len(numbers)


def change_two_customers(connection: Connection) -> list[str]:
    """One customer moves, another buys; returns what happened, for people."""
    connection.execute(
        "UPDATE shop.customers SET address = '111 Eighth Avenue', city = 'New York', state = 'NY',"
        " postal_code = '10011', phone = '+1 (212) 565-0000', updated_at = clock_timestamp() WHERE customer_id = 16"
    )
    connection.execute(
        "INSERT INTO shop.invoices (invoice_id, customer_id, invoice_date, total, billing_country)"
        " VALUES (413, 13, '2012-01-05T00:00:00Z', 12.34, 'Brazil')"
    )
    return ["Frank Harris moved to New York and has a new phone", "Fernanda Ramos bought for 12.34"]


def make_mistake(connection: Connection) -> str:
    """Five French customers get a wrong city; returns what happened, for people."""
    connection.execute(
        "CREATE TABLE shop.before_the_mistake AS SELECT * FROM shop.customers WHERE country = 'France';"
        "UPDATE shop.customers SET city = 'Nowhere', updated_at = clock_timestamp() WHERE country = 'France'"
    )
    return f"by mistake, {count(connection, 'shop.before_the_mistake')} French customers moved to Nowhere"


def mend_mistake(connection: Connection) -> str:
    """They get their cities back; returns what happened, for people."""
    connection.execute(
        "UPDATE shop.customers SET city = before.city, updated_at = clock_timestamp()"
        " FROM shop.before_the_mistake AS before WHERE before.customer_id = customers.customer_id"
    )
    return "the French customers have their cities back"


def last_load(connection: Connection) -> Any:  # noqa: ANN401  a timestamp or None
    """When target-postgres last took a row of the CRM in, or None before the first."""
    moments = [
        cast(
            "tuple[Any]",
            connection.execute(
                sql.SQL("SELECT max(_sdc_received_at) FROM {}").format(sql.Identifier("appcrm", table))
            ).fetchone(),
        )[0]
        for table in _loaded_tables(connection)
    ]
    return max((moment for moment in moments if moment), default=None)


def loaded_since(connection: Connection, moment: Any) -> dict[str, int]:  # noqa: ANN401  a timestamp or None
    """Rows that target-postgres wrote after a moment, by table; all of them with None."""
    where: LiteralString = "_sdc_received_at > coalesce(%s, '-infinity'::timestamp)"
    return {
        table: count(connection, f"appcrm.{table}", where, moment) for table in _loaded_tables(connection)
    }


def _loaded_tables(connection: Connection) -> list[str]:
    """The tables of the tap's streams that exist; associations come with their contacts."""
    exists = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'appcrm'"
    )
    names = {name for (name,) in exists}
    return [stream for stream in STREAMS if stream in names and stream != "contact_associations"]


def count(connection: Connection, table: str, where: LiteralString = "true", *values: Any) -> int:  # noqa: ANN401  parameters
    """Rows of a table."""
    statement = sql.SQL("SELECT count(*) FROM {} WHERE ").format(sql.Identifier(*table.split(".")))
    row = connection.execute(statement + sql.SQL(where), values).fetchone()
    return int(cast("tuple[Any]", row)[0])


def prove(connection: Connection, crm_contacts: list[dict[str, Any]]) -> Proof:
    """Compare model, CRM and the table that was loaded back, person by person and field by field."""
    connection.execute("CREATE SCHEMA proof; CREATE TABLE proof.crm_answers (contact jsonb)")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO proof.crm_answers VALUES (%s)", [(json.dumps(contact),) for contact in crm_contacts]
        )
    connection.execute(_script("proof.sql"))
    differences = connection.execute(
        "SELECT email, field, sides FROM proof.differences ORDER BY email, field"
    )
    return Proof(
        model=count(connection, "proof.model"),
        crm=count(connection, "proof.crm"),
        loaded=count(connection, "proof.loaded"),
        differences=[cast("tuple[str, str, str]", row) for row in differences],
    )


def last_changes(connection: Connection) -> list[tuple[str, ...]]:
    """The example query over the receipts that were loaded: the newest changes of fields, under their headings."""
    query = (HERE.parent / "receipts" / "receipts.sql").read_text(encoding="utf-8")
    rows = [row for row in connection.execute(query).fetchall() if row[4]]
    changes = [(f"{row[0]:%H:%M:%S}", row[1], row[2], row[4], *map(_shown, row[5:7])) for row in rows]
    return [("at", "operation", "email", "field", "old", "new"), *changes[:_SHOWN_CHANGES]]


def joined(connection: Connection) -> list[tuple[str, ...]]:
    """The contacts who have a company or a deal, with both and their owners, under their headings."""
    cursor = connection.execute(_script("join.sql"))
    headings = tuple(column.name for column in cursor.description or ())
    return [headings, *(tuple(map(_shown, row)) for row in cursor.fetchall())]


def _shown(value: Any) -> str:  # noqa: ANN401  any value of PostgreSQL
    if isinstance(value, list):
        value = ", ".join(str(one["number"]) if isinstance(one, dict) else str(one) for one in value)
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN_SIGNS else f"{text[: _SHOWN_SIGNS - 1]}…"


def _script(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
