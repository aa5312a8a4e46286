"""HTTP to one address with one token: send, wait one's turn, try again, and name what went wrong."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from appcrm.abilities import Abilities
from appcrm.error_body import read_error_body, shown_fields
from appcrm.errors import (
    AnswerTooLarge,
    ApiError,
    ConnectionFault,
    RedirectRefused,
    UnknownHost,
    WaitTooLong,
    error_for_status,
)
from appcrm.rate_headers import read_rate_headers
from appcrm.rate_limiter import Limiter
from appcrm.retry import RetryPolicy
from appcrm.text import printable
from appcrm.transport import MOST_BODY_BYTES, Broken, TooLarge, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from appcrm.abilities import Ability
    from appcrm.rate_headers import RateHeaders
    from appcrm.settings import ApiSettings
    from appcrm.transport import Answer

ApiErrorT = TypeVar("ApiErrorT", bound=ApiError)

MAX_REDIRECTS = 3
LONGEST_RETRY_AFTER_SECONDS = 3600.0
"""A server that asks for more ends the run, which says until when."""
FURTHEST_SHOWN_SECONDS = 10 * 365 * 86400.0
DEFAULT_PORTS = {"http": 80, "https": 443}
ENCODER = msgspec.json.Encoder(decimal_format="number")

logger = logging.getLogger("appcrm")


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


@dataclass(frozen=True)
class Call:
    """What is asked for, by name and address."""

    operation: str
    method: str
    path: str
    url: str
    payload: bytes | None = None
    body_fields: frozenset[str] = frozenset()


class Session:
    """Requests to the API under one limiter and one retry policy; safe to share between threads.

    Args:
        settings: address, token and limits.
        on_request: called after each try, from the thread that made it.
        transport: to the address; made by default.
        clock: monotonic seconds.
        sleep: waits for seconds; it may raise to end a wait early.
    """

    def __init__(
        self,
        settings: ApiSettings,
        *,
        on_request: Callable[[SentRequest], None] | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._on_request = on_request
        self._clock = clock
        self._sleep = sleep
        self.limiter = Limiter(settings.requests_per_minute, clock=clock, sleep=sleep)
        self._retry = RetryPolicy(settings.max_tries, settings.max_retry_wait, sleep)
        self._transport = transport or Transport(settings)
        self._lock = threading.Lock()
        self._has_answered = False
        self._ended_by: WaitTooLong | None = None
        self.abilities = Abilities()
        """What is known of the CRM so far."""
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
        call = Call(
            operation,
            method,
            path,
            url,
            None if body is None else ENCODER.encode(body),
            frozenset(body) if isinstance(body, dict) else frozenset(),
        )
        retry = self._retry
        if max_tries is not None and max_tries < retry.max_tries:
            retry = replace(retry, max_tries=max_tries)
        return retry.call(
            lambda: decode(self._send(call)), idempotent=idempotent, has_answered=lambda: self._has_answered
        )

    def note_ability(self, ability: Ability, *, works: bool) -> None:
        """Remember what an answer showed that the CRM can do, or cannot."""
        with self._lock:
            self.abilities = self.abilities.with_seen(ability, works=works)

    def break_off_reads(self) -> None:
        """End every GET at once, those in flight and those to come: for a run that ends."""
        self._transport.break_off_reads()

    def _send(self, call: Call) -> Response:
        """Send one try, following redirects of a GET within the same address."""
        url = call.url
        for _ in range(MAX_REDIRECTS + 1):
            answer, rates = self._exchange(call, url)
            if 200 <= answer.status < 300:
                return Response(answer.status, answer.headers, answer.body)
            location = answer.headers.get("Location")
            if url != call.url and 400 <= answer.status < 500 and answer.status not in {401, 429}:
                # A sign-in page's 404 is not the contact's: nothing may be taken for deleted on its word.
                where = f"redirects to a page that answers {answer.status}"
                raise self._error(RedirectRefused, call, where, status=answer.status)
            if not (300 <= answer.status < 400 and location):
                raise self._refusal(call, answer, rates)
            url = self._redirected(call, answer.status, url, location)
        raise self._error(RedirectRefused, call, "redirects without end", status=answer.status)

    def _redirected(self, call: Call, status: int, url: str, location: str) -> str:
        """Return where a redirect leads, if the token may go there."""
        try:
            target = urljoin(url, location)
            origin = _origin(target)
        except ValueError:
            raise self._error(
                RedirectRefused, call, f"status {status} redirects to what is no address", status=status
            ) from None
        if call.method == "GET" and origin == _origin(url):
            return target
        where = "another path" if origin == _origin(url) else printable(_shown(origin))
        raise self._error(RedirectRefused, call, f"status {status} redirects to {where}", status=status)

    def _exchange(self, call: Call, url: str) -> tuple[Answer, RateHeaders]:
        if self._ended_by is not None:
            raise self._ended_by
        ticket = self.limiter.acquire()
        status = rates = None
        try:
            answer = self._transport.exchange(call.method, url, call.payload)
            status = answer.status
            rates = read_rate_headers(answer.headers, now_unix=time.time())
            self._learn(answer.headers)
        except Broken as error:
            if error.is_called_off:
                self._sleep(0.0)  # where the run is ending, this says so
            raise self._broken(call, error) from error
        except TooLarge as error:
            status = 200
            what = f"a body of more than {MOST_BODY_BYTES // 2**20} MB"
            raise self._error(AnswerTooLarge, call, what, status=status) from error
        finally:
            self.limiter.release(ticket, _within_an_hour(rates), rate_limited=status == 429)
            with self._lock:
                self.requests_sent += 1
                self._has_answered = self._has_answered or status is not None
            if self._on_request is not None:
                self._on_request(SentRequest(call.operation, status, self._clock() - ticket.sent_at))
        return answer, rates

    def _learn(self, headers: Mapping[str, str]) -> None:
        """Take the CRM's version from the first answer that says it, and tell it once."""
        told = headers.get("X-App-Version")
        if told is None or self.abilities.app_version is not None:
            return
        with self._lock:
            if self.abilities.app_version is not None:
                return
            self.abilities = replace(self.abilities, app_version=printable(told, 30))
        logger.info("The CRM is AppCRM %s", self.abilities.app_version)

    def _broken(self, call: Call, error: Broken) -> ApiError:
        if error.is_unknown_host and not self._has_answered:
            return self._error(UnknownHost, call, error.what, reached_server=False)
        return self._error(ConnectionFault, call, error.what, reached_server=error.reached_server)

    def _refusal(self, call: Call, answer: Answer, rates: RateHeaders) -> ApiError:
        detail, field_errors = read_error_body(answer.body)
        is_html = _is_html(answer)
        told_seconds = rates.retry_after_seconds
        if told_seconds is None and answer.status == 429:
            told_seconds = rates.reset_seconds
        if told_seconds is not None and told_seconds > LONGEST_RETRY_AFTER_SECONDS and answer.status >= 429:
            self._ended_by = self._error(
                WaitTooLong,
                call,
                f"status {answer.status} asks to wait {_until(told_seconds)}",
                status=answer.status,
                retry_after_seconds=told_seconds,
            )
            return self._ended_by
        message = f"status {answer.status}"
        if field_errors:
            message += f" on {', '.join(shown_fields(field_errors, call.body_fields))}"
        elif is_html:
            message += " with an HTML page"
        return self._error(
            error_for_status(answer.status, is_html=is_html),
            call,
            message,
            status=answer.status,
            detail=detail,
            field_errors=field_errors,
            retry_after_seconds=told_seconds,
        )

    def _error(self, kind: type[ApiErrorT], call: Call, message: str, **facts: Any) -> ApiErrorT:  # noqa: ANN401  the error's own
        version = self.abilities.app_version
        text = message if version is None else f"{message} (AppCRM {version})"
        return kind(text, operation=call.operation, path=call.path, **facts)


def _within_an_hour(rates: RateHeaders | None) -> RateHeaders | None:
    """Return headers that hold nobody for longer than a run may wait: beyond that, the run ends."""
    if rates is None or (rates.retry_after_seconds or 0.0) <= LONGEST_RETRY_AFTER_SECONDS:
        return rates
    return replace(rates, retry_after_seconds=LONGEST_RETRY_AFTER_SECONDS)


def _until(seconds: float) -> str:
    if seconds > FURTHEST_SHOWN_SECONDS:
        return "for more than ten years"
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return f"until {moment:%Y-%m-%d %H:%M} UTC"


def _is_html(answer: Answer) -> bool:
    beginning = answer.body[:200].lstrip()[:1]
    return "html" in answer.headers.get("Content-Type", "").lower() or beginning == b"<"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _shown(origin: tuple[str, str | None, int | None]) -> str:
    scheme, host, port = origin
    return f"{scheme}://{host}" if port == DEFAULT_PORTS.get(scheme) else f"{scheme}://{host}:{port}"
