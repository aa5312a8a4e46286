"""Writes what Airbyte's declarative source needs: manifest, catalog and config, into a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from contact_schema import SCHEMA


def manifest(address: str, pages: int, in_flight: int) -> dict[str, Any]:
    """Return a source of contacts; with pages given, one partition for each, which is how it reads several at once."""
    requester: dict[str, Any] = {
        "type": "HttpRequester",
        "url_base": address,
        "path": "/contacts",
        "http_method": "GET",
        "authenticator": {"type": "BearerAuthenticator", "api_token": "{{ config['token'] }}"},
        "request_parameters": {"order": "id", "per_page": "100"},
    }
    retriever: dict[str, Any] = {
        "type": "SimpleRetriever",
        "requester": requester,
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
        },
    }
    page_number = {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "page"}
    if pages:
        retriever["partition_router"] = {
            "type": "ListPartitionRouter",
            "values": [str(number) for number in range(1, pages + 1)],
            "cursor_field": "page",
            "request_option": page_number,
        }
    else:
        retriever["paginator"] = {
            "type": "DefaultPaginator",
            "page_token_option": page_number,
            "pagination_strategy": {
                "type": "PageIncrement",
                "page_size": 100,
                "start_from_page": 1,
                "inject_on_first_request": True,
            },
        }
    stream = {
        "type": "DeclarativeStream",
        "name": "contacts",
        "primary_key": ["id"],
        "retriever": retriever,
        "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
    }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["contacts"]},
        "streams": [stream],
        "concurrency_level": {
            "type": "ConcurrencyLevel",
            "default_concurrency": in_flight,
            "max_concurrency": in_flight,
        },
        "spec": {
            "type": "Spec",
            "connection_specification": {"type": "object", "properties": {"token": {"type": "string"}}},
        },
    }


def write(folder: Path, address: str, contacts: int) -> None:
    """Write all files."""
    catalog = {
        "streams": [
            {
                "stream": {
                    "name": "contacts",
                    "json_schema": SCHEMA,
                    "supported_sync_modes": ["full_refresh"],
                },
                "sync_mode": "full_refresh",
                "destination_sync_mode": "overwrite",
            }
        ]
    }
    pages = -(-contacts // 100)
    for name, content in {
        "airbyte.yaml": manifest(address, 0, 8),
        "airbyte-pages.yaml": manifest(address, pages, 8),
        "airbyte-catalog.json": catalog,
        "airbyte-config.json": {"token": "token"},
    }.items():
        (folder / name).write_text(json.dumps(content))


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
