"""A Singer tap over tables and views of a DuckDB file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb  # type: ignore[import-not-found]  # it lies in the environment that Meltano makes
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

_SCALARS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint", "hugeint"), {"type": ["integer", "null"]}),
    **dict.fromkeys(("float", "double", "decimal"), {"type": ["number", "null"]}),
    "boolean": {"type": ["boolean", "null"]},
    "date": {"type": ["string", "null"], "format": "date"},
    **dict.fromkeys(
        ("timestamp", "timestamp with time zone"), {"type": ["string", "null"], "format": "date-time"}
    ),
}


def to_json_schema(column: Any) -> dict[str, Any]:  # noqa: ANN401  a DuckDBPyType
    """JSON Schema of a DuckDB type: lists and structs as such, and a string for what is not listed."""
    if column.id == "list":
        return {"type": ["array", "null"], "items": to_json_schema(column.children[0][1])}
    if column.id == "struct":
        members = {name: to_json_schema(member) for name, member in column.children}
        return {"type": ["object", "null"], "properties": members}
    return _SCALARS.get(column.id, {"type": ["string", "null"]})


class DuckDBStream(Stream):
    """One table or view; incremental by `>=` on its replication key, where the settings name one."""

    def __init__(self, tap: Tap, table: str) -> None:
        with duckdb.connect(tap.config["path"], read_only=True) as connection:
            columns = connection.sql(f"FROM {table} LIMIT 0")
            types = zip(columns.columns, columns.types, strict=True)
            schema = {
                "type": "object",
                "properties": {name: to_json_schema(column) for name, column in types},
            }
        super().__init__(tap, schema=schema, name=table)
        self.primary_keys = tap.config["key_properties"].get(table, [])
        self.replication_key = tap.config["replication_keys"].get(table)

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:  # noqa: ANN401  the SDK's
        """Rows at or after the bookmark, the oldest first."""
        start = self.get_starting_replication_key_value(context)
        query, values = f"FROM {self.name}", []
        if start is not None:
            query, values = f"{query} WHERE {self.replication_key} >= ?", [start]
        if self.replication_key:
            query += f" ORDER BY {self.replication_key}"
        with duckdb.connect(self.config["path"], read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            rows = connection.execute(query, values)
            names = [column[0] for column in rows.description]
            while row := rows.fetchone():
                yield dict(zip(names, row, strict=True))


class TapDuckDB(Tap):
    """The tap: a stream for each table that the settings name."""

    name = "tap-duckdb"
    config_jsonschema = th.PropertiesList(
        th.Property("path", th.StringType, required=True, description="The database file"),
        th.Property(
            "tables", th.ArrayType(th.StringType), required=True, description="Tables and views to read"
        ),
        th.Property("key_properties", th.ObjectType(additional_properties=True), default={}),
        th.Property("replication_keys", th.ObjectType(additional_properties=True), default={}),
    ).to_dict()

    def discover_streams(self) -> list[Stream]:
        """One stream a table."""
        return [DuckDBStream(self, table) for table in self.config["tables"]]
