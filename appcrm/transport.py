"""One request to one address and its whole answer, over requests: bounded in time and size, and named when it fails."""

from __future__ import annotations

import http.client
import os
import ssl
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import requests
import urllib3.exceptions as urllib3_errors
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.utils import select_proxy
from urllib3.util.ssl_match_hostname import CertificateError

from appcrm.deadline import Watchdog, WatchedConnection, watched
from appcrm.errors import SettingsError
from appcrm.logs import hush_libraries
from appcrm.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from requests import PreparedRequest
    from urllib3 import HTTPConnectionPool

    from appcrm.deadline import Exchange
    from appcrm.settings import ApiSettings

MOST_BODY_BYTES = 64 * 1024 * 1024
"""Unpacked; a page of a hundred contacts has some 300 KB."""
MOST_ERROR_BYTES = 1024 * 1024
CHUNK_BYTES = 64 * 1024
CERTIFICATE_ADVICE = "set REQUESTS_CA_BUNDLE if the network uses a certificate of its own"


class Broken(Exception):
    """No whole answer came.

    Args:
        what: what happened.
        reached_server: False where it is certain that nothing was sent.
        is_unknown_host: whether the name of the host was not found.
        is_called_off: whether it was ended because the run ends.
    """

    def __init__(
        self,
        what: str,
        *,
        reached_server: bool = True,
        is_unknown_host: bool = False,
        is_called_off: bool = False,
    ) -> None:
        super().__init__(what)
        self.is_called_off = is_called_off
        self.what = what
        self.reached_server = reached_server
        self.is_unknown_host = is_unknown_host


class TooLarge(Exception):
    """A success whose body is larger than any that was asked for."""


@dataclass(frozen=True)
class Fault:
    """What a failure means; ``{seconds}`` is the time-out, ``{host}`` the host's name."""

    error: type[BaseException]
    what: str
    reached_server: bool = True


FAULTS = (
    Fault(
        urllib3_errors.ProxyError,
        "the proxy of the environment refused or cannot be reached",
        reached_server=False,
    ),
    Fault(urllib3_errors.NameResolutionError, "the name {host} is not known", reached_server=False),
    Fault(urllib3_errors.NewConnectionError, "cannot connect to {host}", reached_server=False),
    Fault(urllib3_errors.ConnectTimeoutError, "no connection within {seconds:.0f} s", reached_server=False),
    Fault(urllib3_errors.ReadTimeoutError, "no answer within {seconds:.0f} s"),
    Fault(urllib3_errors.SSLError, "the encrypted connection failed"),
    Fault(urllib3_errors.DecodeError, "the body is not compressed as it says"),
    Fault(urllib3_errors.InvalidHeader, "a header of the answer cannot be read"),
    Fault(http.client.LineTooLong, "a header of the answer is too long"),
    Fault(ValueError, "the answer cannot be read"),
    Fault(OverflowError, "the answer cannot be read"),
    Fault(Exception, "the connection broke"),
)
"""The first that fits any of the causes counts."""

BREAKS = (
    requests.RequestException,
    urllib3_errors.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
    OverflowError,
)
"""What requests, urllib3 and http.client raise, by design or not, for what a server or the network does."""
UNVERIFIED = (ssl.SSLCertVerificationError, CertificateError)


@dataclass(frozen=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TokenAuth(AuthBase):
    """The token on every request: a session with auth of its own never looks into a netrc file."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class WatchedAdapter(HTTPAdapter):
    """Connections that can be shut down when their time is over."""

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> HTTPConnectionPool:  # noqa: ANN401  requests' own
        """Return the connections to one address."""
        pool = cast("HTTPConnectionPool", super().get_connection_with_tls_context(*arguments, **options))
        if not issubclass(pool.ConnectionCls, WatchedConnection):
            pool.ConnectionCls = watched(pool.ConnectionCls)
        return pool


class Transport:
    """Sends requests to one address; safe to share between threads.

    Args:
        settings: address, token and limits.

    Raises:
        SettingsError: the address, a proxy or the certificates of the environment cannot be used.
    """

    def __init__(self, settings: ApiSettings) -> None:
        hush_libraries()
        self._timeout_seconds = settings.request_timeout
        self._host = urlsplit(settings.api_url).hostname or ""
        self._watchdog = Watchdog()
        self._session = requests.Session()
        self._session.auth = TokenAuth(settings.auth_token)
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers.update(
            {
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
                "Connection": "keep-alive",
                "User-Agent": settings.user_agent,
            }
        )
        adapter = WatchedAdapter(pool_connections=1, pool_maxsize=settings.concurrency)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._options = self._from_environment(settings.api_url, adapter)

    def _from_environment(self, api_url: str, adapter: WatchedAdapter) -> dict[str, Any]:
        """Return proxies and certificates as requests finds them, and see that they can be used."""
        found: Mapping[str, Any] = self._session.merge_environment_settings(api_url, {}, None, None, None)
        # What goes to this machine stays on it: a proxy would read the token on the way.
        proxies = {} if is_loopback(self._host) else found["proxies"]
        options = {"proxies": proxies, "verify": found["verify"], "cert": found["cert"]}
        if isinstance(found["verify"], (str, Path)) and api_url.startswith("https:"):
            _check_certificates(str(found["verify"]))
        try:
            request = self._session.prepare_request(requests.Request("GET", api_url))
        except (requests.RequestException, ValueError) as error:
            raise SettingsError("api_url is not a URL that can be requested") from error
        proxy = select_proxy(api_url, proxies) or ""
        try:
            adapter.get_connection_with_tls_context(
                request, found["verify"], proxies=proxies, cert=found["cert"]
            )
        except requests.exceptions.InvalidSchema as error:
            raise SettingsError(
                "the proxy of the environment (such as ALL_PROXY) speaks SOCKS, which needs an extra: install "
                "requests[socks] beside the connector, or name it in NO_PROXY"
                if proxy.lower().startswith("socks")
                else "the proxy of the environment is not one that can be used"
            ) from error
        except (requests.RequestException, urllib3_errors.HTTPError, ValueError) as error:
            raise SettingsError("the proxy of the environment is not a URL that can be used") from error
        return options

    def exchange(self, method: str, url: str, payload: bytes | None) -> Answer:
        """Send a request once and return its whole answer; redirects are not followed.

        Args:
            method: HTTP method.
            url: whole, of the same origin.
            payload: JSON, or None for no body.

        Raises:
            Broken: no whole answer came in time.
            TooLarge: a success larger than ``MOST_BODY_BYTES``.
            SettingsError: the server's certificate cannot be verified.
        """
        headers = {} if payload is None else {"Content-Type": "application/json"}
        with self._watchdog.watching(self._timeout_seconds, is_read=method == "GET") as watch:
            try:
                request = self._session.prepare_request(
                    requests.Request(method, url, headers=headers, data=payload)
                )
                response = self._session.send(
                    request,
                    stream=True,
                    allow_redirects=False,
                    timeout=self._timeout_seconds,
                    **self._options,
                )
                with response:
                    body = _read(response)
                    if watch.is_broken_off:
                        # Where the length is not told, a cut body looks like a whole one.
                        raise self._ended(watch)
                    return Answer(response.status_code, response.headers, body)
            except BREAKS as error:
                if watch.is_broken_off:
                    raise self._ended(watch) from error
                raise self._named(error) from error

    def break_off_reads(self) -> None:
        """End every GET at once, those in flight and those to come."""
        self._watchdog.break_off_reads()

    def _ended(self, watch: Exchange) -> Broken:
        if watch.is_called_off:
            return Broken("broken off, because the run ends", is_called_off=True)
        return Broken(f"no whole answer within {self._timeout_seconds:.0f} s")

    def _named(self, error: BaseException) -> Broken | SettingsError:
        """Say what a failure means, without the URL that its own text holds."""
        causes = list(_causes(error))
        if any(isinstance(cause, UNVERIFIED) for cause in causes):
            return SettingsError(
                f"api_url: the certificate of {self._host} cannot be verified; {CERTIFICATE_ADVICE}"
            )
        fault = next(each for each in FAULTS if any(isinstance(cause, each.error) for cause in causes))
        return Broken(
            fault.what.format(seconds=self._timeout_seconds, host=self._host),
            reached_server=fault.reached_server,
            is_unknown_host=fault.error is urllib3_errors.NameResolutionError,
        )


def _check_certificates(path: str) -> None:
    """See that the certificates that the environment names are there."""
    if not os.path.exists(path):  # noqa: PTH110  shown as it was given
        raise SettingsError(f"there are no certificates at {path}; {CERTIFICATE_ADVICE}")
    try:
        if Path(path).is_dir():
            ssl.create_default_context(capath=path)
        else:
            ssl.create_default_context(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"the certificates at {path} cannot be read; {CERTIFICATE_ADVICE}") from error


def _read(response: requests.Response) -> bytes:
    """Return the body, unpacked piece by piece; of an error no more than its beginning."""
    is_success = 200 <= response.status_code < 300
    most = MOST_BODY_BYTES if is_success else MOST_ERROR_BYTES
    pieces: list[bytes] = []
    size = 0
    for piece in response.raw.stream(CHUNK_BYTES, decode_content=True):
        size += len(piece)
        pieces.append(piece)
        if size > most:
            if is_success:
                raise TooLarge
            # The rest would have to be read before the connection is of use again.
            response.raw.close()
            break
    return b"".join(pieces)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps, from the outermost on."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]
        waiting.extend(each for each in inner if isinstance(each, BaseException))
