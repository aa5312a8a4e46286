"""The settings that tap and target share, checked before anything is sent."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from appcrm.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SETTINGS_SCHEMA: dict[str, dict[str, Any]] = {
    "api_url": {
        "type": "string",
        "title": "API URL",
        "description": "Address of the API, such as https://acme.appcrm.com.br/api",
    },
    "auth_token": {
        "type": "string",
        "title": "Token",
        "secret": True,
        "writeOnly": True,
        "description": "Personal access token; it acts with its user's permissions",
    },
    "requests_per_minute": {
        "type": ["integer", "null"],
        "minimum": 1,
        "title": "Requests per minute",
        "description": "A ceiling of one's own, below what the server's headers say",
    },
    "concurrency": {
        "type": "integer",
        "minimum": 1,
        "maximum": 64,
        "default": 8,
        "title": "Concurrency",
        "description": "Requests in flight at most",
    },
    "request_timeout": {
        "type": "integer",
        "minimum": 1,
        "default": 60,
        "title": "Request time-out",
        "description": "Seconds to wait for an answer",
    },
    "max_tries": {
        "type": "integer",
        "minimum": 1,
        "default": 8,
        "title": "Tries",
        "description": "Tries per request, for faults that may pass",
    },
    "max_retry_wait": {
        "type": "integer",
        "minimum": 0,
        "default": 120,
        "title": "Longest wait",
        "description": "Seconds, the longest single wait between tries; a longer Retry-After is obeyed",
    },
    "user_agent": {
        "type": ["string", "null"],
        "title": "User agent",
        "description": "User-Agent header; the connector's name and version by default",
    },
}
"""JSON Schema of each shared setting; ``api_url`` and ``auth_token`` are required."""

REQUIRED_SETTINGS = ("api_url", "auth_token")


def account_of(api_url: str) -> str:
    """Return what tells one account from another: the address with its host in lower case, port and path."""
    parts = urlsplit(api_url.strip().rstrip("/"))
    return urlunsplit(parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower()))


@dataclass(frozen=True)
class ApiSettings:
    """Where the API is and how it may be used; times in seconds."""

    api_url: str
    auth_token: str = field(repr=False)
    user_agent: str
    requests_per_minute: int | None = None
    concurrency: int = 8
    request_timeout: float = 60
    max_tries: int = 8
    max_retry_wait: float = 120

    @property
    def account(self) -> str:
        """What tells this CRM from another, in states, plans and runs."""
        return account_of(self.api_url)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, user_agent: str) -> ApiSettings:
        """Read the shared settings from a plugin's configuration.

        Args:
            config: setting name to value.
            user_agent: the connector's name and version, used where no setting says otherwise.

        Raises:
            SettingsError: a setting that cannot work. The message never holds the token.
        """
        numbers = {
            name: schema["default"] if config.get(name) is None else _whole_number(name, config[name])
            for name, schema in SETTINGS_SCHEMA.items()
            if "default" in schema
        }
        per_minute = config.get("requests_per_minute")
        return cls(
            api_url=checked_api_url(config.get("api_url")),
            auth_token=checked_token(config.get("auth_token")),
            user_agent=_checked_header("user_agent", config.get("user_agent") or user_agent),
            requests_per_minute=None
            if per_minute is None
            else _whole_number("requests_per_minute", per_minute),
            **numbers,
        )


def from_environment(
    parse: Callable[[dict[str, Any], str], dict[str, Any]], properties: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """Return the settings that environment variables give.

    Args:
        parse: reads them by a JSON Schema and a prefix, and raises ``ValueError`` without saying of what.
        properties: setting name to JSON Schema.
        prefix: of the variables.

    Raises:
        SettingsError: a variable cannot be read. The message never holds its value.
    """
    try:
        return parse({"properties": dict(properties)}, prefix)
    except ValueError:
        for name, schema in properties.items():
            try:
                parse({"properties": {name: schema}}, prefix)
            except ValueError:  # noqa: PERF203  it happens once, and ends the run
                kinds = schema.get("type", "text")
                kind = kinds if isinstance(kinds, str) else next(each for each in kinds if each != "null")
                raise SettingsError(
                    f"{prefix}{name.upper()} cannot be read: {name} must be of type {kind}"
                ) from None
        raise


def checked_api_url(value: object) -> str:
    """Return the address without a trailing slash, or say why it cannot be used."""
    if value is not None and not isinstance(value, str):
        raise SettingsError("api_url must be text, such as https://acme.appcrm.com.br/api")
    if value is None or not value.strip():
        raise SettingsError("api_url is required, such as https://acme.appcrm.com.br/api")
    text = value.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(
            "api_url is not a URL; expected the form https://acme.appcrm.com.br/api"
        ) from error
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in text):
        raise SettingsError("api_url is not a web address; expected the form https://acme.appcrm.com.br/api")
    if parts.username is not None or parts.password is not None:
        raise SettingsError("api_url must not hold a user name or password; the token goes into auth_token")
    if parts.query or parts.fragment:
        raise SettingsError("api_url must end with its path, without ? or #")
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            "api_url must begin with https://, because http:// would show the token to the network; "
            "http:// is allowed for a loopback host only"
        )
    return text


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_token(value: object) -> str:
    """Return the token without surrounding white space, or say what is wrong, without showing it."""
    if value is not None and not isinstance(value, str):
        raise SettingsError("auth_token must be text: a personal access token of the CRM")
    if value is None or not value.strip():
        raise SettingsError("auth_token is required: a personal access token of the CRM")
    return _checked_header("auth_token", value.strip())


def _checked_header(name: str, value: object) -> str:
    """Return a value that can stand in an HTTP header."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise SettingsError(f"{name} holds characters that cannot stand in an HTTP header; copy it again")
    return value


def _whole_number(name: str, value: object) -> int:
    minimum = SETTINGS_SCHEMA[name].get("minimum", 0)
    maximum = SETTINGS_SCHEMA[name].get("maximum")
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise SettingsError(f"{name} must be a whole number of at least {minimum}")
    if maximum is not None and value > maximum:
        raise SettingsError(f"{name} must be at most {maximum}")
    return value
