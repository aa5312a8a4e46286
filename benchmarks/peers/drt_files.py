"""Writes what drt needs to post contacts: its project, a profile and a table of bodies in SQLite, into a folder."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

SYNC = """\
name: contacts
model: SELECT body FROM contacts
destination:
  type: rest_api
  url: {address}/contacts
  method: POST
  headers: {{Content-Type: application/json, Accept: application/json, Authorization: Bearer token}}
  body_template: "{{{{ row.body }}}}"
sync:
  mode: full
  batch_size: 1000
  on_error: fail
  rate_limit: {{requests_per_second: 1000000}}
"""


def write(folder: Path, address: str, source: Path) -> None:
    """Write all files; ``folder`` is the project's and serves as home, where drt looks for profiles."""
    (folder / "syncs").mkdir(exist_ok=True)
    (folder / ".drt").mkdir(exist_ok=True)
    (folder / "drt_project.yml").write_text("name: bench\nversion: '0.1'\nprofile: local\n")
    (folder / "syncs" / "contacts.yml").write_text(SYNC.format(address=address))
    database = folder / "contacts.db"
    (folder / ".drt" / "profiles.yml").write_text(f"local:\n  type: sqlite\n  database: {database}\n")
    database.unlink(missing_ok=True)
    with source.open() as lines, sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE contacts (body TEXT)")
        messages = map(json.loads, lines)
        connection.executemany(
            "INSERT INTO contacts VALUES (?)",
            [(json.dumps(message["record"]),) for message in messages if message["type"] == "RECORD"],
        )


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
