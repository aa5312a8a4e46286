"""What ``--test`` tells of an account: a few requests, nothing written.

``check_account`` asks, ``report_of`` says it in lines for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from appcrm.abilities import Ability
from appcrm.client import ListQuery
from appcrm.contact import as_id
from appcrm.errors import (
    ApiError,
    AppcrmError,
    BadRequest,
    ConnectionFault,
    EndpointRefused,
    Forbidden,
    InvalidRecord,
    MalformedBody,
    NotFound,
    RedirectRefused,
    RetriableError,
    Unauthenticated,
    UnknownHost,
)
from appcrm.fields import read_fields
from appcrm.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appcrm.client import Client
    from appcrm.pages import Page, Row
    from appcrm.settings import ApiSettings

ASSOCIATIONS = ("companies", "deals")
PERMISSIONS = ("view", "update", "delete")
"""Of what a row's ``authorizations`` may say, what the connectors need (source: a contact as it is read)."""
NOBODY = "nobody-has-this@filter.invalid"
NO_ID = 2_000_000_000
TRIES = 2
WRITTEN = 1000
"""Contacts of which it is told how long it takes to write them, one request each at least."""


class AccountRefused(AppcrmError):
    """Address, token or permission is not good: the message says which."""


@dataclass(frozen=True)
class Finding:
    """Whether the CRM can do something.

    Args:
        works: None where it cannot be told.
        detail: what was seen, for people.
    """

    works: bool | None
    detail: str = ""


@dataclass(frozen=True)
class AccountCheck:
    """What was found out about an account.

    Args:
        api_url: as the setting says it.
        app_version: as the CRM tells it.
        contacts: how many the token may see, where the CRM counts them.
        permissions: what the token may do with the newest contact; None where the CRM does not tell.
        requests_per_minute: what the CRM's headers allow.
        own_ceiling: the setting ``requests_per_minute``.
        fields, trash, list_with, search_id_in, search_in: abilities.
    """

    api_url: str
    app_version: str | None
    contacts: int | None
    permissions: dict[str, bool] | None
    requests_per_minute: int | None
    own_ceiling: int | None
    fields: Finding
    trash: Finding
    list_with: Finding
    search_id_in: Finding
    search_in: Finding

    @property
    def limit(self) -> int | None:
        """Requests a minute that a run can send."""
        return min(
            (limit for limit in (self.requests_per_minute, self.own_ceiling) if limit is not None),
            default=None,
        )


def check_account(client: Client, settings: ApiSettings) -> AccountCheck:
    """Find out what an account is and can do, in at most six requests where nothing fails.

    Args:
        client: of the account.
        settings: that it was made of.

    Raises:
        AccountRefused: address, token or permission is not good.
    """
    try:
        page, list_with = _newest(client)
    except ApiError as error:
        raise AccountRefused(f"{what_is_wrong(error)}: {error}") from error
    row = page.rows[0] if page.rows else {}
    fields = _fields(client)
    trash = _trash(client)
    return AccountCheck(
        api_url=settings.api_url,
        contacts=page.total,
        permissions=permissions_of(row),
        own_ceiling=settings.requests_per_minute,
        fields=fields,
        trash=trash,
        list_with=list_with,
        search_id_in=_search_in(client, Ability.SEARCH_ID_IN, "id", row, NO_ID),
        search_in=_search_in(client, Ability.SEARCH_IN, "email", row, NOBODY),
        app_version=client.abilities.app_version,
        requests_per_minute=client.session.limiter.limit,
    )


def _newest(client: Client) -> tuple[Page, Finding]:
    """List the newest contact with its associations; without, where the CRM may not take ``with``."""
    query = ListQuery(order="id|desc", per_page=1)
    try:
        page = client.list_contacts(query.including(ASSOCIATIONS), max_tries=1)
    except UnknownHost:
        raise
    except (RetriableError, BadRequest, InvalidRecord) as error:
        page = client.list_contacts(query, max_tries=TRIES)
        return page, Finding(works=False, detail=_status(error))
    if not page.rows:
        return page, Finding(client.abilities.may(Ability.LIST_WITH), "no contact shows it")
    return page, Finding(all(page.rows[0].get(name) is not None for name in ASSOCIATIONS))


def permissions_of(row: Row) -> dict[str, bool] | None:
    """Return what the token may do with a contact, where the row tells it."""
    told: Any = row.get("authorizations")
    if not isinstance(told, dict):
        return None
    return {name: told[name] for name in PERMISSIONS if isinstance(told.get(name), bool)} or None


def _fields(client: Client) -> Finding:
    try:
        found = read_fields(client)
    except ApiError as error:
        return _refused(error)
    custom = sum(field.is_custom for field in found)
    return Finding(works=True, detail=f"{counted(len(found), 'field')}, {custom} of them custom")


def _trash(client: Client) -> Finding:
    try:
        page = client.list_trashed_contacts(ListQuery(order="id|desc", per_page=1), max_tries=TRIES)
    except ApiError as error:
        return _refused(error)
    return Finding(works=True, detail="" if page.total is None else f"{counted(page.total, 'contact')} in it")


def _search_in(client: Client, ability: Ability, field: str, row: Row, other: object) -> Finding:
    """Search for a value that is there beside one that is not; what the version rules out is not asked for."""
    may = client.abilities.may(ability)
    contact_id, value = as_id(row.get("id")), row.get(field)
    if may is False or contact_id is None or not value or any(mark in str(value) for mark in ",:"):
        return Finding(may, "by its version" if may is not None else "no contact shows it")
    try:
        rows = client.search_contacts(
            f"{value},{other}", search_fields=f"{field}:in", take=2, select=(), max_tries=TRIES
        )
    except ApiError as error:
        return _refused(error)
    return Finding(works=any(as_id(found.get("id")) == contact_id for found in rows))


def _refused(error: ApiError) -> Finding:
    # A bad line is no answer: whether the CRM can do it stays open.
    return Finding(None if isinstance(error, ConnectionFault) else False, _status(error))


def _status(error: ApiError) -> str:
    return "no answer" if error.status is None else f"status {error.status}"


def what_is_wrong(error: ApiError) -> str:
    """Name the part of the connection that an error points at."""
    if isinstance(error, Unauthenticated):
        return "The address is good, the token is not"
    if isinstance(error, Forbidden):
        return "The address and the token are good, but the token's user may not list contacts"
    if isinstance(
        error, (NotFound, MalformedBody, ConnectionFault, UnknownHost, RedirectRefused, EndpointRefused)
    ):
        return "The address does not lead to the API"
    return "The API could not be tried"


# In words


def report_of(check: AccountCheck, *, page_size: int) -> Iterator[str]:
    """Yield what was found out, a line each; the last line is the verdict.

    Args:
        check: of the account.
        page_size: contacts a request, for the length of a first load.
    """
    version = "of a version that it does not tell" if check.app_version is None else check.app_version
    yield f"Address: {check.api_url} is AppCRM {version}"
    yield f"Token: good; {_permissions(check.permissions)}"
    yield f"Rate limit: {_limit(check)}"
    yield _ability("Fields list", check.fields, "types of custom fields are sampled")
    yield _ability("Trash", check.trash, "deletes are found by ids alone")
    yield _ability(
        "with on lists",
        check.list_with,
        "the associations of a contact cost a request of its own",
    )
    yield _ability("in for ids", check.search_id_in, "contacts are looked up one by one")
    yield _ability(
        "in for addresses", check.search_in, "many addresses are looked up by filters or one by one"
    )
    yield from _loads(check, page_size)
    seen = "an unknown number of contacts" if check.contacts is None else counted(check.contacts, "contact")
    yield f"The address, the token and its permission are good: it may see {seen}"


def _permissions(permissions: dict[str, bool] | None) -> str:
    if permissions is None:
        return "the CRM does not tell what it may do with a contact"
    may = [name for name, is_allowed in permissions.items() if is_allowed]
    lacks = [name for name, is_allowed in permissions.items() if not is_allowed]
    told = f"with the newest contact it may {', '.join(may) or 'do nothing'}"
    return f"{told}, and not {', '.join(lacks)}" if lacks else told


def _limit(check: AccountCheck) -> str:
    told = (
        "the CRM tells none"
        if check.requests_per_minute is None
        else f"{counted(check.requests_per_minute, 'request')} a minute, shared with its user's own screen"
    )
    if check.own_ceiling is None or check.limit != check.own_ceiling:
        return told
    return f"{told}; requests_per_minute lowers it to {check.own_ceiling}"


def _ability(name: str, finding: Finding, otherwise: str) -> str:
    told = {True: "yes", False: "no", None: "cannot be told"}[finding.works]
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"{name}: {told}{detail}{'' if finding.works else f', so {otherwise}'}"


def _loads(check: AccountCheck, page_size: int) -> Iterator[str]:
    if check.contacts is None:
        return
    requests = first_load_requests(check.contacts, page_size)
    contacts = counted(check.contacts, "contact")
    yield f"Reading all {contacts}: {counted(requests, 'request')}, {_time(requests, check.limit)}"
    yield f"Writing {WRITTEN} contacts: at least {WRITTEN} requests, {_time(WRITTEN, check.limit)}"


def first_load_requests(contacts: int, page_size: int) -> int:
    """Return how many requests a first load takes: its pages, and four around them."""
    return -(-contacts // page_size) + 4


def _time(requests: int, per_minute: int | None) -> str:
    if per_minute is None:
        return "as fast as the CRM answers"
    minutes = (requests - 1) // per_minute
    told = f"about {counted(minutes, 'minute')}" if minutes else "less than a minute"
    return f"{told} at {per_minute} a minute"
