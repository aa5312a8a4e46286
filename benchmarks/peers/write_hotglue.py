"""A target on Hotglue's SDK, in the form of the targets that Hotglue publishes."""

from __future__ import annotations

from typing import Any

from hotglue_singer_sdk import typing as th
from hotglue_singer_sdk.target_sdk.client import HotglueSink
from hotglue_singer_sdk.target_sdk.target import TargetHotglue


class Contacts(HotglueSink):
    """Writes one contact at a time."""

    name = "contacts"
    endpoint = "/contacts"
    unified_schema = None

    @property
    def base_url(self) -> str:
        """The API's address."""
        return str(self.config["api_url"])

    @property
    def http_headers(self) -> dict[str, str]:
        """The token."""
        return {"Authorization": f"Bearer {self.config['auth_token']}", "Accept": "application/json"}

    def preprocess_record(self, record: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  the SDK's form
        """Send the record as it is."""
        return record

    def upsert_record(
        self,
        record: dict[str, Any],
        context: dict[str, Any],  # noqa: ARG002  the SDK's form
    ) -> tuple[int, bool, dict[str, Any]]:
        """Create the contact."""
        response = self.request_api("POST", request_data=record)
        return response.json()["id"], response.ok, {}


class HotglueTarget(TargetHotglue):
    """The target."""

    name = "target-hotglue"
    SINK_TYPES = (Contacts,)
    default_sink_class = Contacts
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("auth_token", th.StringType, required=True),
    ).to_dict()


if __name__ == "__main__":
    HotglueTarget.cli()
