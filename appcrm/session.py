"""HTTP to one address with one token: send, wait one's turn, try again, and name what went wrong."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from appcrm.connections import Broken, Connections
from appcrm.errors import ApiError, ConnectionFault, RedirectRefused, error_for_status
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


class Response(msgspec.Struct, frozen=True):
    """A success: its status, headers and undecoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class SentRequest(msgspec.Struct, frozen=True):
    """One try, for those who count: never its query, body or token."""

    operation: str
    status: int | None
    seconds: float


class Session:
    """Requests to the API under one limiter and one retry policy; safe to share between threads.

    Args:
        settings: address, token and limits.
        on_request: called after each try, from the thread that made it.
        connections: to the address; made by default.
        clock: monotonic seconds.
        sleep: waits for seconds; it may raise to end a wait early.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        on_request: Callable[[SentRequest], None] | None = None,
        connections: Connections | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._on_request = on_request
        self._clock = clock
        self.limiter = Limiter(settings.requests_per_minute, clock=clock, sleep=sleep)
        self._retry = RetryPolicy(settings.max_tries, settings.max_retry_wait, sleep)
        self._connections = connections or Connections(
            settings.api_url, settings.concurrency, settings.request_timeout
        )
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
        headers = self._headers
        if method != "GET":
            headers = headers | {"Content-Length": str(len(payload or b""))}
        if payload is not None:
            headers = headers | {"Content-Type": "application/json"}
        sent_at = self.limiter.acquire()
        status = None
        rates = None
        try:
            answer = self._connections.exchange(method, url, headers, payload)
            status = answer.status
            rates = read_rate_headers(answer.headers, now_unix=time.time())
            body = answer.read()
        except Broken as error:
            raise ConnectionFault(
                error.what, operation=operation, path=path, reached_server=error.reached_server
            ) from error
        finally:
            self.limiter.release(sent_at, rates, rate_limited=status == 429)
            with self._count_lock:
                self.requests_sent += 1
                self._has_answered = self._has_answered or status is not None
            if self._on_request is not None:
                self._on_request(SentRequest(operation, status, self._clock() - sent_at))
        return status, answer.headers, body, rates


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


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _shown_origin(url: str) -> str:
    scheme, host, port = _origin(url)
    return f"{scheme}://{host}" if port == DEFAULT_PORTS.get(scheme) else f"{scheme}://{host}:{port}"
