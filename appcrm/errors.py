"""What can go wrong between a connector and AppCRM.

    AppcrmError
    ├── SettingsError             a setting that cannot work; nothing was sent
    └── ApiError                  one request, after its tries
        ├── RetriableError        the same request may succeed later
        │   ├── RateLimited       429
        │   ├── ServerFault       5xx, 408, 425
        │   ├── MalformedBody     2xx whose body is not the JSON that was asked for
        │   └── ConnectionFault   no whole answer: refused, reset, timed out
        └── FatalError            the same request would fail again
            ├── NoRecordsFault    and so would any other: the run ends
            │   ├── Unauthenticated  401
            │   ├── CsrfRejected     419
            │   ├── RedirectRefused  3xx that leads elsewhere, or in answer to a write
            │   ├── EndpointRefused  402, 405 and other 4xx that no record causes; an HTML page with any 4xx
            │   ├── UnknownHost      the name of api_url is not known
            │   └── WaitTooLong      the server asks to wait for more than an hour
            ├── Forbidden         403
            ├── NotFound          404
            ├── Conflict          409
            ├── InvalidRecord     422
            ├── AnswerTooLarge    more than 64 MB unpacked
            └── BadRequest        400, 413, 414

The table at the end maps a status to its class; its sources are the vendor page and Laravel's conventions.
"""

from __future__ import annotations

from traceback import walk_tb

from appcrm.text import printable

LONGEST_SENTENCE_CHARS = 1200
OWN_MODULES = ("appcrm", "tap_appcrm", "target_appcrm")

COLLECTION_CALLS = frozenset({"list", "search", "create", "trash", "fields"})
"""Calls whose path names no contact."""


class AppcrmError(Exception):
    """The root of all errors that these packages raise on purpose."""


class SettingsError(AppcrmError):
    """A setting that cannot work: the message names it and says what would."""


class ApiError(AppcrmError):
    """A request that failed: ``operation`` and ``path`` say which, without its query or body."""

    hint = ""

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        path: str,
        status: int | None = None,
        detail: str = "",
        field_errors: dict[str, list[str]] | None = None,
        retry_after_seconds: float | None = None,
        reached_server: bool = True,
    ) -> None:
        self.operation = operation
        self.path = path
        self.status = status
        self.detail = detail
        """The server's own words. They may name a person, so they belong in files, not in logs."""
        self.field_errors = field_errors or {}
        self.retry_after_seconds = retry_after_seconds
        self.reached_server = reached_server
        text = f"{operation} {path}: {message}"
        hint = self.hint_for(operation)
        super().__init__(f"{text}. {hint}" if hint else text)

    def hint_for(self, operation: str) -> str:  # noqa: ARG002  for those that say more of some calls
        """Return what to do about it; empty where that depends."""
        return self.hint

    @property
    def outcome_unknown(self) -> bool:
        """Whether a write may have been carried out although this error came back."""
        return False


class RetriableError(ApiError):
    """A fault that may pass."""


class RateLimited(RetriableError):
    """429: refused before it was carried out."""

    hint = "Lower requests_per_minute, or run fewer pipelines on this account at once"


class ServerFault(RetriableError):
    """5xx, or a status that means the server gave up waiting."""

    hint = "If it lasts, tell the CRM's administrator; max_tries and max_retry_wait say how long to insist"

    @property
    def outcome_unknown(self) -> bool:
        """A server that failed may have failed after it wrote."""
        return True


class MalformedBody(RetriableError):
    """A success whose body cannot be read as the JSON that was asked for."""

    hint = "Check that api_url is the API's address, such as https://acme.appcrm.com.br/api"

    @property
    def outcome_unknown(self) -> bool:
        """The status said success, but what came of it cannot be read."""
        return True


class ConnectionFault(RetriableError):
    """No answer: the name did not resolve, nothing listened, the line broke, or time ran out."""

    hint = "Check api_url and the network; request_timeout says how long to wait for an answer"

    @property
    def outcome_unknown(self) -> bool:
        """A request that left may have been carried out; one that never left was not."""
        return self.reached_server


class FatalError(ApiError):
    """A refusal that a retry cannot change."""


class NoRecordsFault(FatalError):
    """A refusal that has nothing to do with what was sent: any other request would meet it, so the run ends."""


class Unauthenticated(NoRecordsFault):
    """401."""

    hint = "Check auth_token: it is missing, mistyped, expired or revoked"


class CsrfRejected(NoRecordsFault):
    """419: the server took the request for a browser's."""

    hint = "Check api_url, and that no proxy adds a Referer or Origin header"


class RedirectRefused(NoRecordsFault):
    """3xx to another address, to which the token is not carried, or in answer to a write."""

    hint = "Check api_url: set it to the address that it redirects to, if you trust it"


class EndpointRefused(NoRecordsFault):
    """402, 405 and their like, or a page for people: it was not the API that answered, or it is closed."""

    hint = (
        "Check that api_url is the API's address, such as https://acme.appcrm.com.br/api, that the CRM's account is "
        "paid and not under maintenance, and that no proxy or firewall stands between"
    )


class UnknownHost(NoRecordsFault):
    """The name of the host cannot be resolved, and it never answered in this run."""

    hint = "Check the spelling of api_url and this machine's network"


class WaitTooLong(NoRecordsFault):
    """The server asks to wait for longer than a run may."""

    hint = "Run again then; if this lasts, lower requests_per_minute or give the connectors a CRM user of their own"


class AnswerTooLarge(FatalError):
    """A success whose body is larger than anything that was asked for."""

    hint = "Lower page_size, or check that api_url is the API's address"

    @property
    def outcome_unknown(self) -> bool:
        """The status said success, but what came of it was not read."""
        return True


class Forbidden(FatalError):
    """403."""

    hint = "The token's user lacks the permission"


class NotFound(FatalError):
    """404: of one contact, that it is gone; of all of them, that this is not the API."""

    def hint_for(self, operation: str) -> str:
        """Return what to do about it."""
        if operation in COLLECTION_CALLS:
            return "Check api_url: it must end where the API begins, such as https://acme.appcrm.com.br/api"
        return ""


class Conflict(FatalError):
    """409."""


class InvalidRecord(FatalError):
    """422: ``field_errors`` holds the fields and the server's texts, which may be localised."""


class BadRequest(FatalError):
    """A request that the server cannot take as it is."""


STATUS_ERRORS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    408: ServerFault,
    409: Conflict,
    413: BadRequest,
    414: BadRequest,
    419: CsrfRejected,
    422: InvalidRecord,
    425: ServerFault,
    429: RateLimited,
}


OWN_MEANING_WITH_HTML = frozenset({401, 408, 419, 425, 429})
"""Statuses below 500 that a page for people does not change: what stands between may send them so."""


def error_for_status(status: int, *, is_html: bool = False) -> type[ApiError]:
    """Return the error class for an HTTP status that is no success.

    Args:
        status: below 200, or 300 and more.
        is_html: whether the body is a page for people, which the API never sends below 500.
    """
    if status < 200 or status >= 500:
        return ServerFault
    if status < 400:
        return RedirectRefused
    if is_html and status not in OWN_MEANING_WITH_HTML:
        return EndpointRefused
    return STATUS_ERRORS.get(status, EndpointRefused)


REPORT_TO = "please send this line, with the command and its version, to the maintainers of appcrm-connectors"


def one_sentence(error: BaseException) -> str:
    """Return any exception as one sentence for people, without what a server or a record said.

    What was not foreseen is told by its kind and place alone, because its own text may hold anything.
    """
    if isinstance(error, AppcrmError):
        return printable(error, LONGEST_SENTENCE_CHARS)
    if isinstance(error, KeyboardInterrupt):
        return "Stopped by you"
    if isinstance(error, MemoryError):
        return "There is no memory left; lower concurrency or page_size, or give the process more"
    if isinstance(error, OSError) and error.strerror:
        place = f": {printable(error.filename)}" if isinstance(error.filename, (str, bytes)) else ""
        return f"The system refused ({printable(error.strerror)}){place}"
    return f"Unforeseen {type(error).__name__} at {_place_of(error)}; {REPORT_TO}"


def _place_of(error: BaseException) -> str:
    """Return the innermost place in these packages that an exception came through, else its innermost place."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    own = [frame for frame in frames if frame.f_globals.get("__name__", "").startswith(OWN_MODULES)]
    found = (own or frames)[-1:]
    if not found:
        return "an unknown place"
    return f"{found[0].f_globals.get('__name__', 'unknown')} line {found[0].f_lineno}"
