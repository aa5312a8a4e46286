"""dlt with a destination of one's own, one POST a row: as it comes, or in small files, which is how it parallelises."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

address, kind, source = sys.argv[1], sys.argv[2], sys.argv[3]
work = str(Path.cwd())
os.environ.update(
    {
        "DLT_DATA_DIR": f"{work}/data",
        "DLT_PROJECT_DIR": work,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "LOAD__WORKERS": "8",
    }
)
if kind == "parallel":
    os.environ["NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS"] = "100"
    os.environ["NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS"] = "100"

import dlt  # noqa: E402  it reads the environment when it is imported
from dlt.sources.helpers import requests  # noqa: E402  the environment must be set before

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = {"Authorization": "Bearer token", "Accept": "application/json"}


@dlt.destination(
    batch_size=1,
    name="crm",
    naming_convention="direct",
    skip_dlt_columns_and_tables=True,
    max_table_nesting=0,
)
def crm(items: Any, table: Any) -> None:  # noqa: ANN401, ARG001  dlt's own
    """Create each contact."""
    for contact in items:
        response = requests.post(f"{address}/contacts", json=contact, headers=HEADERS)
        response.raise_for_status()
        response.json()["id"]


@dlt.resource(name="contacts")
def contacts() -> Iterator[dict[str, Any]]:
    """Read the Singer input."""
    with Path(source).open() as lines:
        for message in map(json.loads, lines):
            if message["type"] == "RECORD":
                yield message["record"]


dlt.pipeline("write", destination=crm, dataset_name="crm").run(contacts())
