"""A target as the Singer SDK's template makes it: RecordSink, one session, one record at a time.

With UPSERT=1 it looks each record up by its e-mail first and updates what it finds: what the same outcome as
target-appcrm's costs.
"""

from __future__ import annotations

import decimal
import json
import os
from typing import Any

import requests
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.sinks import RecordSink


def plain(value: object) -> object:
    """Encode what the SDK made of numbers and dates."""
    return float(value) if isinstance(value, decimal.Decimal) else str(value)


class Contacts(RecordSink):
    """Writes one contact at a time."""

    def setup(self) -> None:
        """Open the session."""
        super().setup()
        self.session = requests.Session()
        self.session.headers.update(
            {
                "Authorization": f"Bearer {self.config['auth_token']}",
                "Accept": "application/json",
                "Content-Type": "application/json",
            }
        )

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002  the SDK's form
        """Create the contact, or update the one with its e-mail."""
        url = f"{self.config['api_url']}/contacts"
        found: list[dict[str, Any]] = []
        if os.environ.get("UPSERT"):
            query = {"q": record["email"], "search_fields": "email:="}
            response = self.session.get(f"{url}/search", params=query, timeout=60)
            response.raise_for_status()
            found = response.json()
        body = json.dumps(record, default=plain)
        if found:
            response = self.session.put(f"{url}/{found[0]['id']}", data=body, timeout=60)
        else:
            response = self.session.post(url, data=body, timeout=60)
        response.raise_for_status()
        self.logger.debug("contact %s", response.json()["id"])


class NaiveTarget(Target):
    """The target."""

    name = "target-naive"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("auth_token", th.StringType, required=True, secret=True),
    ).to_dict()
    default_sink_class = Contacts


if __name__ == "__main__":
    NaiveTarget.cli()
