"""Connections to one address: urllib3 with the proxies and certificates that requests would use.

A ``requests.Session`` prepares, merges and copies for every request, which costs more than sending it. It would
also let a netrc entry replace the token, and keep cookies, which turn on Laravel's CSRF checks. So requests is asked
only which proxy to take, and where there can be none it is not even imported: the first request leaves earlier.
"""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import msgspec
from urllib3 import PoolManager
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Timeout
from urllib3.util.ssl_match_hostname import CertificateError

from appcrm.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

SYSTEMS_WITH_PROXIES = ("darwin", "win32")
BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Where requests looks for certificates, before those it brings."""
CERTIFICATE_ADVICE = "set REQUESTS_CA_BUNDLE if the network uses a certificate of its own"


class Broken(Exception):
    """No whole answer came.

    Args:
        what: what happened.
        reached_server: False where it is certain that nothing was sent.
    """

    def __init__(self, what: str, *, reached_server: bool = True) -> None:
        super().__init__(what)
        self.what = what
        self.reached_server = reached_server


class Fault(msgspec.Struct, frozen=True):
    """What a failure of urllib3 means; ``{seconds}`` is the time-out."""

    error: type[HTTPError]
    what: str
    reached_server: bool


FAULTS = (
    Fault(NewConnectionError, "cannot connect", reached_server=False),
    Fault(ConnectTimeoutError, "no connection within {seconds:.0f} s", reached_server=False),
    Fault(ProxyError, "the proxy refused", reached_server=False),
    Fault(ReadTimeoutError, "no answer within {seconds:.0f} s", reached_server=True),
    Fault(SSLError, "the encrypted connection failed", reached_server=True),
    Fault(HTTPError, "the connection broke", reached_server=True),
)
"""The first that fits counts."""

UNVERIFIED = (ssl.SSLCertVerificationError, CertificateError)


class Connections:
    """Connections that are kept open between requests; safe to share between threads.

    Args:
        api_url: everything goes to its origin.
        size: how many are kept.
        timeout_seconds: for connecting, and between bytes.

    Raises:
        SettingsError: the address, a proxy's or the certificates of the environment cannot be used.
    """

    def __init__(self, api_url: str, size: int, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._timeout = Timeout(connect=timeout_seconds, read=timeout_seconds)
        find = proxied_pool if may_need_proxy(os.environ, sys.platform) else direct_pool
        self._pool, self._is_asked_by_url = find(api_url, size)

    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Send a request and return its answer, whose body is still to be read.

        Args:
            method: HTTP method.
            url: whole, of the same origin.
            headers: all but ``Host``.
            body: what is sent behind them.

        Raises:
            Broken: no answer came.
            SettingsError: the server's certificate cannot be verified.
        """
        try:
            response = self._pool.urlopen(
                method,
                url if self._is_asked_by_url else path_of(url),
                body=body,
                headers=headers,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                retries=False,
                timeout=self._timeout,
            )
        except HTTPError as error:
            raise named(error, self._timeout_seconds) from error
        return Answer(response, self._timeout_seconds)


def may_need_proxy(environment: Mapping[str, str], platform: str) -> bool:
    """Whether requests could find a proxy: in a variable, or in the settings of a system that has such."""
    return platform in SYSTEMS_WITH_PROXIES or any(
        name.lower().endswith("_proxy") and value for name, value in environment.items()
    )


def direct_pool(api_url: str, size: int) -> tuple[HTTPConnectionPool, bool]:
    """Return connections to an address, and False: it is asked by paths."""
    trusted = trusted_certificates() if api_url.lower().startswith("https:") else {}
    manager = PoolManager(1, maxsize=size, block=False, **trusted)
    try:
        return manager.connection_from_url(api_url), False
    except LocationValueError as error:
        raise SettingsError("api_url is not a URL that can be requested") from error


def trusted_certificates() -> dict[str, Any]:
    """Return urllib3's settings for the certificates that the environment names, or those of certifi."""
    import certifi  # noqa: PLC0415  an address on loopback does without

    told = next(filter(None, map(os.environ.get, BUNDLE_VARIABLES)), None)
    bundle = Path(told or certifi.where())
    if not bundle.exists():
        raise SettingsError(f"there are no certificates at {bundle}; {CERTIFICATE_ADVICE}")
    return {"cert_reqs": "CERT_REQUIRED", "ca_cert_dir" if bundle.is_dir() else "ca_certs": str(bundle)}


def proxied_pool(api_url: str, size: int) -> tuple[HTTPConnectionPool, bool]:
    """Return connections to an address through a proxy, if there is one, and whether it is asked by whole URLs."""
    import requests  # noqa: PLC0415  where no proxy can be, it is not needed
    from requests.adapters import HTTPAdapter  # noqa: PLC0415  the same

    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=size, pool_block=False)
    environment: Mapping[str, Any] = requests.Session().merge_environment_settings(
        api_url, {}, None, None, None
    )
    verify, cert, proxies = (environment[name] for name in ("verify", "cert", "proxies"))
    try:
        request = requests.Request("GET", api_url).prepare()
        pool = cast(
            "HTTPConnectionPool",
            adapter.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert),
        )
        adapter.cert_verify(pool, api_url, verify, cert)  # type: ignore[no-untyped-call]  # requests' own
        return pool, adapter.request_url(request, proxies).startswith("http")
    except requests.exceptions.InvalidProxyURL as error:
        raise SettingsError("the proxy of the environment is not a URL that can be used") from error
    except requests.RequestException as error:
        raise SettingsError("api_url is not a URL that can be requested") from error
    except OSError as error:
        raise SettingsError(f"{error}; {CERTIFICATE_ADVICE}") from error


class Answer:
    """The head of an answer, and behind it its body."""

    def __init__(self, response: BaseHTTPResponse, timeout_seconds: float) -> None:
        self._response = response
        self._timeout_seconds = timeout_seconds
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    def read(self) -> bytes:
        """Return the whole body, decompressed; the connection is free afterwards.

        Raises:
            Broken: it did not arrive in full.
        """
        try:
            return self._response.read(decode_content=True)
        except HTTPError as error:
            raise named(error, self._timeout_seconds) from error


def named(error: HTTPError, timeout_seconds: float) -> Broken | SettingsError:
    """Say what a failure of urllib3 means, without the URL that its own text holds."""
    if isinstance(error, SSLError) and isinstance(error.args[0], UNVERIFIED):
        return SettingsError(f"api_url: the server's certificate cannot be verified; {CERTIFICATE_ADVICE}")
    fault = next(fault for fault in FAULTS if isinstance(error, fault.error))
    return Broken(fault.what.format(seconds=timeout_seconds), reached_server=fault.reached_server)


def path_of(url: str) -> str:
    """Return what a request line says: path and query."""
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path
