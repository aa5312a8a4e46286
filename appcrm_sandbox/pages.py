"""Pages for people: what the CRM holds, what was asked of it just now, and what the API is."""

from __future__ import annotations

import re
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlencode

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from appcrm_sandbox.openapi import describe
from appcrm_sandbox.schema import LIVE, REMARKS
from appcrm_sandbox.viewer import EVERYONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request

    from appcrm_sandbox.gateway import Sandbox
    from appcrm_sandbox.values import Json

_ROWS = 20
_REQUESTS = 25
_REQUESTS_ON_THEIR_PAGE = 200
_REFRESH_SECONDS = 2
_FAILED = 400
_OPERATIONS_SHOWN = 6
# What is longer stands in the log in full.
_ADDRESS_SHOWN = 200
_KEYS_SHOWN = 8
_LONGEST_NUMBER = 16


class Pages:
    """Plain HTML without scripts and without anything from the network."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        """Every path for people, and the OpenAPI document."""
        return [
            Route("/", self.home),
            Route("/requests", self.requests),
            Route("/contacts/{contact_id:int}", self.contact),
            Route("/docs", self.docs),
            Route("/openapi.json", self.openapi),
            Route("/style.css", self.style),
        ]

    async def home(self, request: Request) -> Response:
        """Figures, the last requests, and the contacts that changed last; renews itself."""
        text = request.query_params.get("q", "").strip()
        still = request.query_params.get("refresh") == "off"
        query = urlencode({"q": text} | ({} if still else {"refresh": "off"}))
        toggle = f'<a href="/?{escape(query)}">{"Renew every 2 s" if still else "Stop renewing"}</a>'
        log = self._sandbox.log
        rows, total = log.last(_REQUESTS), log.counts()["total"]
        more = '<a href="/requests">All requests</a>' if total > len(rows) else ""
        title = f"Requests, the last first: {len(rows)} of {total}"
        body = self._figures() + _section(title, _requests(rows), more) + self._contacts(text)
        toggle = f'<a href="#contacts">Contacts</a>{toggle}'
        return _page("Contacts and requests", body, toggle, refresh=not still)

    async def requests(self, request: Request) -> Response:
        """Every request that is kept, in pages; stands still, so that it can be read."""
        log = self._sandbox.log
        asked = request.query_params.get("before", "")
        before = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < _LONGEST_NUMBER else None
        rows = log.last(_REQUESTS_ON_THEIR_PAGE, before)
        links = [] if before is None else ['<a href="/requests">Newest</a>']
        if rows and log.last(1, rows[-1]["n"]):
            links.append(f'<a href="/requests?before={rows[-1]["n"]}">Older</a>')
        range_shown = f"{rows[0]['n']} to {rows[-1]['n']}" if rows else "none"
        title = f"Requests, the last first: {range_shown} of {log.counts()['total']}"
        return _page("Requests", _section(title, _requests(rows), " ".join(links)))

    async def contact(self, request: Request) -> Response:
        """One contact in full."""
        sandbox = self._sandbox
        contact_id = request.path_params["contact_id"]
        if (
            contact_id >= 2**63
            or sandbox.store.one("SELECT 1 FROM contacts WHERE id = ?", [contact_id]) is None
        ):
            return _page("No such contact", '<p class="empty">There is no such contact.</p>', status=404)
        shown = sandbox.api.renderer.contact(contact_id, EVERYONE, links=["activities", *REMARKS])
        names = dict.fromkeys((*_FIRST, *shown))
        rows = [(f"<code>{escape(name)}</code>", _plain(shown[name])) for name in names if name not in _NOISE]
        body = _section(str(shown["display_name"]), _table(("Field", "Value"), rows))
        return _page(str(shown["display_name"]), body)

    async def docs(self, request: Request) -> Response:
        """The API, from the same document that /openapi.json serves."""
        document = self._document(request)
        sections = []
        for path, item in document["paths"].items():
            rows = [
                (
                    f'<span class="method">{method.upper()}</span>',
                    f"{escape(operation['summary'])}{_inputs(operation)}",
                    " ".join(f'<span class="tag">{status}</span>' for status in operation["responses"]),
                )
                for method, operation in item.items()
                if method != "parameters"
            ]
            sections.append(
                _section(f"/api{path}", _table(("Method", "What it does", "Answers"), rows, kind="calls"))
            )
        return _page("The API", "".join(sections))

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document, with this CRM's custom fields."""
        return JSONResponse(self._document(request))

    async def style(self, _request: Request) -> Response:
        """The one style sheet."""
        text = resources.files("appcrm_sandbox").joinpath("pages.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css")

    def _document(self, request: Request) -> dict[str, Any]:
        return describe(self._sandbox.store.fields, f"{request.url.scheme}://{request.url.netloc}/api")

    def _figures(self) -> str:
        counts, store = self._sandbox.log.counts(), self._sandbox.store
        figures = [
            ("contacts", store.value(f"SELECT count(*) FROM contacts WHERE {LIVE}")),
            ("in the trash", store.value("SELECT count(*) FROM contacts WHERE deleted_at IS NOT NULL")),
            ("requests", counts["total"]),
            ("most at once", counts["max_in_flight"]),
        ]
        busiest = sorted(counts["operations"].items(), key=lambda item: -item[1])[:_OPERATIONS_SHOWN]
        boxes = [
            f'<div class="figure"><b>{number}</b>{escape(name)}{_explained(name)}</div>'
            for name, number in (*figures, *busiest)
        ]
        return f'<div class="figures">{"".join(boxes)}</div>'

    def _contacts(self, text: str) -> str:
        sandbox = self._sandbox
        page = sandbox.api.lister.page_for_people(text, _ROWS)
        rows = [
            (
                str(contact["id"]),
                f'<a href="/contacts/{contact["id"]}">{escape(contact["display_name"])}</a>',
                escape(contact["email"] or ""),
                "<br>".join(_fixed(phone["number"]) for phone in contact["phones"]),
                _tags(tag if isinstance(tag, str) else tag["name"] for tag in contact["tags"]),
                _linked(contact["companies"]),
                _linked(contact["deals"]),
                _fixed(str(contact["updated_at"] or "")[:19].replace("T", " ")),
            )
            for contact in sandbox.api.renderer.contacts(page.ids, EVERYONE, links=["companies", "deals"])
        ]
        headings = ("Id", "Name", "E-mail", "Phones", "Tags", "Companies", "Deals", "Updated (UTC)")
        field = f'<input name="q" value="{escape(text)}" placeholder="Search">'
        form = f"<form>{field}<button>Search</button></form>"
        table = _table(headings, rows, numbers=(0,), empty="No contact to show.", kind="contacts")
        title = f"Contacts, the last changed first: {len(rows)} of {page.total}"
        return f'<div id="contacts">{_section(title, form + table)}</div>'


# What people look for on a contact's page stands above its many other fields.
_FIRST = (
    "id", "display_name", "first_name", "last_name", "email", "phones", "tags", "companies", "deals", "activities",
    "notes", "calls",
)  # fmt: skip
_NOISE = frozenset({"actions", "authorizations", "media", "avatar", "uploaded_avatar_url"})


def _page(
    title: str, body: str, extra: str = "", *, refresh: bool = False, status: int = 200
) -> HTMLResponse:
    renew = f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">' if refresh else ""
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{renew}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · AppCRM sandbox</title><link rel="stylesheet" href="/style.css"></head>'
        f'<body><header><h1><a href="/">AppCRM sandbox</a></h1><span class="soft">{escape(title)}</span>'
        f'<nav>{extra}<a href="/docs">API</a>'
        f'<a href="/openapi.json">OpenAPI</a><a href="/__log">Log</a></nav>'
        "</header>"
        f"<main>{body}</main></body></html>",
        status_code=status,
    )


def _section(title: str, content: str, links: str = "") -> str:
    beside = f'<span class="links">{links}</span>' if links else ""
    return f"<section><h2>{escape(title)}{beside}</h2>{content}</section>"


def _requests(entries: Sequence[dict[str, Any]]) -> str:
    rows = [
        (
            str(entry["n"]),
            _fixed(entry["at"][11:19]),
            f'<span class="method">{escape(entry["method"])}</span>',
            f'<span class="mono">{_breakable(_address(entry))}</span>',
            escape(_first_of(entry["keys"])),
            _status(entry["status"], entry["duration_ms"]),
            "" if entry["duration_ms"] is None else f"{entry['duration_ms']:.1f} ms",
            f'<span class="warn">{escape(entry["fault"])}</span>' if entry["fault"] else "",
        )
        for entry in entries
    ]
    headings = ("No.", "Time (UTC)", "Method", "Path", "Keys sent", "Status", "Took", "Fault")
    return _table(headings, rows, numbers=(0, 6), empty="Nothing was asked yet.", kind="requests")


def _explained(name: str) -> str:
    """What a figure's name does not say by itself."""
    return '<small class="soft">no such path or method</small>' if name == "unknown" else ""


def _table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    empty: str = "",
    kind: str = "rows",
) -> str:
    """A table of cells that are HTML already."""
    if not rows:
        return f'<p class="empty">{escape(empty)}</p>'
    attributes = [' class="number"' if position in numbers else "" for position in range(len(headings))]
    head = "".join(
        f"<th{attribute}>{escape(text)}</th>" for attribute, text in zip(attributes, headings, strict=True)
    )
    lines = (
        "<tr>"
        + "".join(
            f'<td{attribute} data-label="{escape(heading)}">{cell}</td>'
            for heading, attribute, cell in zip(headings, attributes, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table class={kind}><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _status(status: int | None, duration_ms: float | None) -> str:
    if status is None:
        return (
            '<span class="soft">running</span>' if duration_ms is None else '<span class="bad">reset</span>'
        )
    return f'<span class="{"bad" if status >= _FAILED else "good"}">{status}</span>'


def _fixed(text: str) -> str:
    return f'<span class="fixed">{escape(text)}</span>'


def _address(entry: dict[str, Any]) -> str:
    """Path and query as people read them; one look-up of a hundred e-mails must not fill the page."""
    query = f"?{unquote_plus(entry['query'])}" if entry["query"] else ""
    address = f"{entry['path']}{query}"
    if len(address) <= _ADDRESS_SHOWN:
        return address
    return f"{address[:_ADDRESS_SHOWN]}… ({len(address)} characters)"


def _first_of(keys: Sequence[str]) -> str:
    more = len(keys) - _KEYS_SHOWN
    return ", ".join(keys[:_KEYS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _breakable(address: str) -> str:
    """A long address breaks behind a parameter or a list's item, not in the middle of a word."""
    return "<wbr>".join(escape(piece) for piece in re.split(r"(?<=[&;,])", address))


def _tags(names: Iterable[str]) -> str:
    return "".join(f'<span class="tag">{escape(name)}</span>' for name in names)


def _linked(records: Sequence[Any]) -> str:
    return _tags(str(record["display_name"] if isinstance(record, dict) else record) for record in records)


def _plain(value: Json) -> str:
    if value is None:
        return '<span class="soft">none</span>'
    if isinstance(value, list):
        return _tags(_label(item) for item in value) or '<span class="soft">none</span>'
    return escape(_label(value))


def _label(value: Json) -> str:
    if isinstance(value, dict):
        known = value.get("display_name") or value.get("name") or value.get("number")
        return f"{known} ({value['id']})" if known else str(value)
    return str(value)


def _code(text: str) -> str:
    """A text with what stands between backticks shown as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if odd % 2 else piece for odd, piece in enumerate(pieces))


def _inputs(operation: dict[str, Any]) -> str:
    lines = [
        f"<br><code>{parameter['name']}</code> <span class='soft'>{_code(parameter['description'])}</span>"
        for parameter in operation.get("parameters", ())
    ]
    if "requestBody" in operation:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        lines.append(
            f"<br><span class='soft'>body:</span> <code>{escape(reference.rpartition('/')[2])}</code>"
        )
    return "".join(lines)
