"""A tap as the Singer SDK's template makes it: RESTStream, page numbers, nothing tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contact_schema import SCHEMA
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.pagination import PageNumberPaginator

if TYPE_CHECKING:
    import requests


class Pages(PageNumberPaginator):
    """Goes on until the last page that the API names."""

    def has_more(self, response: requests.Response) -> bool:
        """Tell whether another page follows."""
        meta = response.json()["meta"]
        return bool(meta["current_page"] < meta["last_page"])


class Contacts(RESTStream):
    """All contacts."""

    name = "contacts"
    path = "/contacts"
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    schema = SCHEMA

    @property
    def url_base(self) -> str:
        """The API's address."""
        return str(self.config["api_url"])

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        """The token."""
        return BearerTokenAuthenticator(token=self.config["auth_token"])

    def get_new_paginator(self) -> Pages:
        """Begin with page 1."""
        return Pages(start_value=1)

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002  the SDK's
        """Ask for pages of 100 in the order of ids."""
        return {"per_page": 100, "page": next_page_token or 1, "order": "id"}


class NaiveTap(Tap):
    """The tap."""

    name = "tap-naive"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("auth_token", th.StringType, required=True, secret=True),
    ).to_dict()

    def discover_streams(self) -> list[Contacts]:
        """Return the one stream."""
        return [Contacts(self)]


if __name__ == "__main__":
    NaiveTap.cli()
