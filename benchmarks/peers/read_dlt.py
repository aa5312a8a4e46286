"""dlt reading contacts into JSON lines.

``declared``: ``rest_api`` as documented. ``parallel``: pages through a parallelized transformer. ``incremental``: newest
first, ending at the last run's newest contact, which dlt keeps in its own state.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

address, kind = sys.argv[1], sys.argv[2]
work = str(Path.cwd())
os.environ.update(
    {
        "DLT_DATA_DIR": f"{work}/data",
        "DLT_PROJECT_DIR": work,
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
        "DESTINATION__FILESYSTEM__BUCKET_URL": f"file://{work}/files",
        "EXTRACT__WORKERS": "8",
    }
)

import dlt  # noqa: E402  it reads the environment when it is imported
from dlt.sources.helpers import requests  # noqa: E402  the environment must be set before
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator  # noqa: E402  the environment must be set before
from dlt.sources.rest_api import rest_api_source  # noqa: E402  the environment must be set before

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETERS = {"order": "id", "per_page": 100}


def declared(parameters: dict[str, Any], **endpoint: Any) -> Any:  # noqa: ANN401  dlt's source
    """Return the source as dlt's documentation shows it."""
    return rest_api_source(
        {
            "client": {
                "base_url": f"{address}/",
                "auth": {"type": "bearer", "token": "token"},
                "paginator": PageNumberPaginator(base_page=1, page_param="page", total_path="meta.last_page"),
            },
            "resources": [
                {
                    "name": "contacts",
                    "endpoint": {
                        "path": "contacts",
                        "params": parameters,
                        "data_selector": "data",
                        **endpoint,
                    },
                }
            ],
        },
        max_table_nesting=0,
    )


@dlt.source(max_table_nesting=0)
def by_pages() -> Any:  # noqa: ANN401  dlt's resources
    """Read pages in parallel: the one way dlt has, in code of one's own."""

    def get(page: int) -> dict[str, Any]:
        headers = {"Authorization": "Bearer token"}
        content: dict[str, Any] = requests.get(
            f"{address}/contacts", params={**PARAMETERS, "page": page}, headers=headers
        ).json()
        return content

    @dlt.resource(selected=False)
    def pages() -> Iterator[int]:
        yield from range(1, get(1)["meta"]["last_page"] + 1)

    @dlt.transformer(data_from=pages, name="contacts", parallelized=True)
    def contacts(page: int) -> Any:  # noqa: ANN401  dlt's items
        return get(page)["data"]

    return pages, contacts


source = by_pages() if kind == "parallel" else declared(PARAMETERS)
if kind == "incremental":
    since = {"cursor_path": "updated_at", "initial_value": "2000-01-01T00:00:00.000000Z", "row_order": "desc"}
    source = declared({**PARAMETERS, "order": "updated_at|desc"}, incremental=since)
pipeline = dlt.pipeline("read", destination="filesystem", dataset_name="crm")
pipeline.run(source, loader_file_format="jsonl")
print("COUNT", pipeline.last_trace.last_normalize_info.row_counts.get("contacts", 0))
