"""HTTP to one address with one token: send, wait one's turn, try again, and name what went wrong."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from appcrm.errors import ApiError, ConnectionFault, RedirectRefused, SettingsError, error_for_status
from appcrm.limiter import Limiter, read_rate_headers
from appcrm.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appcrm.limiter import RateHeaders
    from appcrm.settings import ApiSettings

MAX_REDIRECTS = 3
LONGEST_DETAIL_CHARS = 500
DEFAULT_PORTS = {"http": 80, "https": 443}
ENCODER = msgspec.json.Encoder(decimal_format="number")
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)
"""What decoding a body raises: a byte that is no UTF-8 is an error of Python's own."""


@dataclass(frozen=True)
class Response:
    """A success: its status, headers and undecoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class SentRequest:
    """One try, for those who count: never its query, body or token."""

    operation: str
    status: int | None
    seconds: float


class Session:
    """Requests to the API under one limiter and one retry policy; safe to share between threads.

    Args:
        settings: address, token and limits.
        on_request: called after each try, from the thread that made it.
        transport: sends a prepared request; a ``requests`` adapter by default.
        clock: monotonic seconds.
        sleep: waits for seconds; it may raise to end a wait early.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        on_request: Callable[[SentRequest], None] | None = None,
        transport: requests.adapters.BaseAdapter | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._on_request = on_request
        self._clock = clock
        self.limiter = Limiter(settings.requests_per_minute, clock=clock, sleep=sleep)
        self._retry = RetryPolicy(settings.max_tries, settings.max_retry_wait, sleep)
        self._transport = transport or HTTPAdapter(
            pool_connections=1, pool_maxsize=settings.concurrency, pool_block=False
        )
        # A requests.Session would merge these for every request, which costs more than sending it. It would
        # also let a netrc entry replace the token and keep cookies, which turn on Laravel's CSRF checks.
        environment: Mapping[str, Any] = requests.Session().merge_environment_settings(
            settings.api_url, {}, None, None, None
        )
        self._send_options: dict[str, Any] = {key: environment[key] for key in ("proxies", "verify", "cert")}
        if not settings.api_url.startswith("https:"):
            # Where nothing is to be verified, a path of certificates would still be looked at for each request.
            self._send_options["verify"] = True
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Authorization": f"Bearer {settings.auth_token}",
            "Connection": "keep-alive",
            "User-Agent": settings.user_agent,
        }
        self._count_lock = threading.Lock()
        self._has_answered = False
        self.requests_sent = 0
        """Tries so far, over all threads."""

    def request(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object = None,
        idempotent: bool = True,
        max_tries: int | None = None,
        decode: Callable[[Response], Any] = lambda response: response,
    ) -> Any:  # noqa: ANN401  whatever decode returns
        """Send a request until it succeeds, and return its decoded response.

        Args:
            operation: the call's name, for messages and counts.
            method: HTTP method.
            path: below ``api_url``, beginning with a slash.
            query: query parameters.
            body: sent as JSON where it is not None.
            idempotent: whether it may be sent again when it is unknown whether it was carried out.
            max_tries: fewer tries than the setting says.
            decode: makes the result of a 2xx; a ``MalformedBody`` from it is a fault of the try.

        Raises:
            ApiError: after the last try.
        """
        url = self._settings.api_url + path
        if query:
            url = f"{url}?{urlencode(query, safe=':;|,')}"
        payload = None if body is None else ENCODER.encode(body)

        def try_once() -> Any:  # noqa: ANN401  whatever decode returns
            return decode(self._send(operation, method, url, path, payload))

        retry = self._retry
        if max_tries is not None and max_tries < retry.max_tries:
            retry = RetryPolicy(max_tries, retry.max_wait_seconds, retry.sleep, retry.jitter)
        return retry.call(try_once, idempotent=idempotent, has_answered=lambda: self._has_answered)

    def _send(self, operation: str, method: str, url: str, path: str, payload: bytes | None) -> Response:
        """Send one try, following redirects of a GET within the same address."""
        for _ in range(MAX_REDIRECTS + 1):
            status, headers, body, rates = self._exchange(operation, method, url, path, payload)
            if 200 <= status < 300:
                return Response(status, headers, body)
            location = headers.get("Location")
            if not (300 <= status < 400 and location):
                raise _refusal(operation, path, status=status, headers=headers, body=body, rates=rates)
            target = urljoin(url, location)
            if method != "GET" or _origin(target) != _origin(url):
                raise RedirectRefused(
                    f"status {status} redirects to {_shown_origin(target)}",
                    operation=operation,
                    path=path,
                    status=status,
                )
            url = target
        raise RedirectRefused("redirects without end", operation=operation, path=path, status=status)

    def _exchange(
        self, operation: str, method: str, url: str, path: str, payload: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes, RateHeaders]:
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = url
        headers = dict(self._headers)
        if payload is not None:
            headers["Content-Type"] = "application/json"
        if method != "GET":
            headers["Content-Length"] = str(len(payload or b""))
        prepared.headers = CaseInsensitiveDict(headers)
        prepared.body = payload
        prepared.hooks = {"response": []}
        sent_at = self.limiter.acquire()
        status = None
        rates = None
        try:
            response = self._transport.send(
                prepared, stream=False, timeout=self._settings.request_timeout, **self._send_options
            )
            status = response.status_code
            rates = read_rate_headers(response.headers, now_unix=time.time())
            body = response.content
        except requests.RequestException as error:
            raise _connection_error(error, operation, path, self._settings.request_timeout) from error
        finally:
            self.limiter.release(sent_at, rates, rate_limited=status == 429)
            with self._count_lock:
                self.requests_sent += 1
                self._has_answered = self._has_answered or status is not None
            if self._on_request is not None:
                self._on_request(SentRequest(operation, status, self._clock() - sent_at))
        return status, response.headers, body, rates


def _refusal(
    operation: str, path: str, *, status: int, headers: Mapping[str, str], body: bytes, rates: RateHeaders
) -> ApiError:
    detail, field_errors = read_error_body(body)
    told_seconds = rates.retry_after_seconds
    if told_seconds is None and status == 429:
        told_seconds = rates.reset_seconds
    message = f"status {status}"
    if field_errors:
        message += f" on {', '.join(sorted(field_errors))}"
    elif status >= 500 and "html" in headers.get("Content-Type", ""):
        message += " with an HTML page"
    return error_for_status(status)(
        message,
        operation=operation,
        path=path,
        status=status,
        detail=detail,
        field_errors=field_errors,
        retry_after_seconds=told_seconds,
    )


def read_error_body(body: bytes) -> tuple[str, dict[str, list[str]]]:
    """Read an error body: the server's message, and its texts by field; both empty where it has none."""
    try:
        content = msgspec.json.decode(body)
    except UNREADABLE:
        return "", {}
    if not isinstance(content, dict):
        return "", {}
    message = content.get("message") or content.get("error") or ""
    errors = content.get("errors")
    by_field = {
        str(name): [str(text) for text in (texts if isinstance(texts, list) else [texts])]
        for name, texts in (errors.items() if isinstance(errors, dict) else ())
    }
    return str(message)[:LONGEST_DETAIL_CHARS], by_field


def _connection_error(
    error: requests.RequestException, operation: str, path: str, timeout_seconds: float
) -> Exception:
    """Name a failure of the line; the original text holds the whole URL, so it is not repeated."""
    reached = True
    if isinstance(error, requests.exceptions.SSLError):
        return SettingsError(
            "api_url: the server's certificate cannot be verified; "
            "set REQUESTS_CA_BUNDLE if the network uses a certificate of its own"
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        what, reached = f"no connection within {timeout_seconds:.0f} s", False
    elif isinstance(error, requests.exceptions.ProxyError):
        what, reached = "the proxy refused", False
    elif isinstance(error, requests.exceptions.Timeout):
        what = f"no answer within {timeout_seconds:.0f} s"
    elif isinstance(error, requests.exceptions.ConnectionError) and _never_connected(error):
        what, reached = "cannot connect", False
    elif isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return SettingsError("api_url is not a URL that can be requested")
    else:
        what = "the connection broke"
    return ConnectionFault(what, operation=operation, path=path, reached_server=reached)


def _never_connected(error: BaseException) -> bool:
    """Whether the failure came before any byte was sent: the name did not resolve, or nothing listened."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _shown_origin(url: str) -> str:
    scheme, host, port = _origin(url)
    return f"{scheme}://{host}" if port == DEFAULT_PORTS.get(scheme) else f"{scheme}://{host}:{port}"
