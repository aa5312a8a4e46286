"""Runs SQL files in the warehouse, all in one transaction: either every table is new or every table is as it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psycopg


def main(files: list[str]) -> None:
    """Connect as target-postgres does and run each file."""
    warehouse = {
        keyword: os.environ[f"TARGET_POSTGRES_{name}"]
        for keyword, name in (
            ("host", "HOST"),
            ("port", "PORT"),
            ("user", "USER"),
            ("password", "PASSWORD"),
            ("dbname", "DATABASE"),
        )
        if os.environ.get(f"TARGET_POSTGRES_{name}")
    }
    with psycopg.connect(**warehouse) as connection:  # type: ignore[arg-type]  # keywords of libpq
        for name in files:
            connection.execute(Path(name).read_bytes())
            sys.stderr.write(f"{name} done\n")


if __name__ == "__main__":
    main(sys.argv[1:])
