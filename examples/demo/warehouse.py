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


def keep_company_ids(connection: Connection, ids: dict[str, int]) -> None:
    """Remember which id each company has in the CRM."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO shop.crm_companies (company, company_id) VALUES (%s, %s)", list(ids.items())
        )


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


def last_load(connection: Connection) -> Any:  # noqa: ANN401  a timestamp or None
    """When target-postgres last took a contact in, or None before the first."""
    if connection.execute("SELECT to_regclass('appcrm.contacts')").fetchone() == (None,):
        return None
    return cast(
        "tuple[Any]", connection.execute("SELECT max(_sdc_received_at) FROM appcrm.contacts").fetchone()
    )[0]


def loaded_since(connection: Connection, moment: Any) -> int:  # noqa: ANN401  a timestamp or None
    """Rows of contacts that target-postgres wrote after a moment; all of them with None."""
    return count(
        connection, "appcrm.contacts", "_sdc_received_at > coalesce(%s, '-infinity'::timestamp)", moment
    )


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


def receipts(connection: Connection) -> list[tuple[Any, ...]]:
    """Rows of the example query over the receipts that were loaded."""
    return connection.execute(
        (HERE.parent / "receipts" / "receipts.sql").read_text(encoding="utf-8")
    ).fetchall()


def _script(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
