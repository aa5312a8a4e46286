"""The API under /api: which call a request is, and what each call answers."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from appcrm_sandbox.errors import ApiError, not_found
from appcrm_sandbox.listing import Lister, Page
from appcrm_sandbox.neighbours import show_neighbours
from appcrm_sandbox.render import LINKED, Renderer, Shown
from appcrm_sandbox.schema import CONTACTS, RESOURCES, Resource
from appcrm_sandbox.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.validate import Body
    from appcrm_sandbox.values import Json

_NAMES = "|".join(RESOURCES)
_ID = r"(?P<id>[0-9]{1,18})"
# Path → method → operation. The first path that fits decides.
ROUTES: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = (
    (re.compile(f"/(?P<resource>{_NAMES})/search"), {"GET": "search"}),
    (re.compile(f"/(?P<resource>{_NAMES})"), {"GET": "list", "POST": "create"}),
    (re.compile(f"/(?P<resource>{_NAMES})/{_ID}"), {"GET": "retrieve", "PUT": "update", "DELETE": "delete"}),
    (
        re.compile(f"/associations/(?P<resource>{_NAMES})/{_ID}"),
        {"PUT": "attach", "DELETE": "detach", "POST": "sync"},
    ),
    (re.compile(f"/trashed/(?P<resource>{_NAMES})"), {"GET": "trash"}),
    (re.compile(f"/trashed/(?P<resource>{_NAMES})/{_ID}"), {"POST": "restore", "DELETE": "purge"}),
    (re.compile(r"/(?P<resource>users|sources|countries|stages)"), {"GET": "lookup"}),
)
_BIGGEST_ID = 2**63 - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request, understood: what is asked of which resource."""

    operation: str
    resource: str
    record_id: int
    allowed: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True)
class Request:
    """What a handler needs of one request."""

    call: Call
    query: dict[str, str]
    body: Body
    base_url: str
    envelope: str
    per_page: int | None = None


@dataclasses.dataclass(slots=True)
class Reply:
    """What is sent back."""

    status: int
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def json(cls, status: int, payload: Json, headers: dict[str, str] | None = None) -> Reply:
        """A reply that carries JSON."""
        return cls(
            status, msgspec.json.encode(payload), {"Content-Type": "application/json", **(headers or {})}
        )


def understand(method: str, path: str) -> Call:
    """Which call a method and a path below /api are; `unknown` when none, with the methods allowed."""
    for pattern, methods in ROUTES:
        match = pattern.fullmatch(path.removesuffix("/"))
        if match:
            parts = match.groupdict()
            record_id = int(parts.get("id") or 0)
            operation = methods.get("GET" if method == "HEAD" else method, "unknown")
            return Call(operation, parts["resource"], record_id, tuple(methods))
    return Call("unknown", "", 0)


class Api:
    """Answers calls; every answer is one Reply or one ApiError."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.lister = Lister(store, settings)
        self.renderer = Renderer(store, settings)
        self.writer = Writer(store, settings)
        self._handlers: dict[str, Callable[[Request], Reply]] = {
            "list": self._list,
            "search": self._search,
            "retrieve": self._retrieve,
            "create": self._create,
            "update": self._update,
            "delete": self._delete,
            "attach": self._associate("PUT"),
            "detach": self._associate("DELETE"),
            "sync": self._associate("POST"),
            "trash": self._trash,
            "restore": self._restore,
            "purge": self._purge,
            "lookup": self._lookup,
        }

    def answer(self, request: Request) -> Reply:
        """Carry out one call; ApiError is the answer where it cannot be done."""
        handler = self._handlers.get(request.call.operation)
        if handler is None:
            if request.call.allowed:
                allowed = ", ".join(request.call.allowed)
                raise ApiError(
                    405, {"message": f"Método não suportado. Suportados: {allowed}."}, {"Allow": allowed}
                )
            raise not_found()
        if request.call.record_id > _BIGGEST_ID:
            raise not_found()
        return handler(request)

    def _list(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        page = self.lister.page(resource, request.query, per_page=request.per_page)
        return self._paged(request, page, self._shown(resource, page.ids, request))

    def _trash(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        page = self.lister.page(resource, request.query, trashed=True, per_page=request.per_page)
        return self._paged(request, page, self._shown(resource, page.ids, request))

    def _search(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        shown = self._shown(resource, self.lister.search(resource, request.query), request)
        return Reply.json(200, {"data": shown} if request.envelope == "wrapped" else shown)

    def _shown(self, resource: Resource, ids: Sequence[int], request: Request) -> list[Shown]:
        select = frozenset(_parts(request.query.get("select", "")))
        if resource is not CONTACTS:
            return show_neighbours(self.store, self.renderer, resource, ids, select=select)
        return self.renderer.contacts(ids, select=select, links=self._with(request))

    def _with(self, request: Request) -> list[str]:
        if not self.settings.list_associations:
            return []
        asked = _parts(request.query.get("with", ""))
        return [name for name in LINKED if name in asked]

    def _retrieve(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        self.writer.live(resource, request.call.record_id)
        return self._record(request, 200, resource, request.call.record_id)

    def _create(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        record_id = self.writer.create(resource, request.body)
        return self._record(request, 201, resource, record_id, created=True)

    def _update(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        self.writer.update(resource, request.call.record_id, request.body)
        return self._record(request, 200, resource, request.call.record_id)

    def _delete(self, request: Request) -> Reply:
        self.writer.delete(RESOURCES[request.call.resource], request.call.record_id)
        return Reply(204, b"")

    def _restore(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        self.writer.restore(resource, request.call.record_id)
        return self._record(request, 200, resource, request.call.record_id)

    def _purge(self, request: Request) -> Reply:
        self.writer.purge(RESOURCES[request.call.resource], request.call.record_id)
        return Reply(204, b"")

    def _associate(self, method: str) -> Callable[[Request], Reply]:
        def handle(request: Request) -> Reply:
            resource = RESOURCES[request.call.resource]
            self.writer.associate(resource, request.call.record_id, request.body, method, request.query)
            return self._record(request, 200, resource, request.call.record_id)

        return handle

    def _lookup(self, request: Request) -> Reply:
        rows = self.store.named[request.call.resource].values()
        return Reply.json(200, [dict(row) for row in rows])

    def _record(
        self,
        request: Request,
        status: int,
        resource: Resource,
        record_id: int,
        *,
        created: bool = False,
    ) -> Reply:
        if resource is CONTACTS:
            shown = self.renderer.contact(record_id, created=created, links=self._with(request))
        else:
            shown = show_neighbours(self.store, self.renderer, resource, [record_id], full=True)[0]
        return Reply.json(status, {"data": shown} if request.envelope == "wrapped" else shown)

    def _paged(self, request: Request, page: Page, shown: list[Shown]) -> Reply:
        if request.envelope == "bare":
            return Reply.json(200, shown)
        if request.envelope == "unpaged":
            return Reply.json(200, {"data": shown})
        path = request.base_url
        last = max(1, -(-page.total // page.per_page))
        first_row = (page.page - 1) * page.per_page + 1 if shown else None

        def link(number: int) -> str:
            return f"{path}?{urlencode({**request.query, 'page': number})}"

        links = {
            "first": link(1),
            "last": link(last),
            "prev": link(page.page - 1) if page.page > 1 else None,
            "next": link(page.page + 1) if page.page < last else None,
        }
        meta = {
            "current_page": page.page,
            "from": first_row,
            "last_page": last,
            "path": path,
            "per_page": page.per_page,
            "to": first_row + len(shown) - 1 if first_row else None,
            "total": page.total,
        }
        if request.envelope == "flat":
            urls = {f"{name}_page_url": url for name, url in links.items()}
            return Reply.json(200, {"data": shown, **meta, **urls})
        return Reply.json(200, {"data": shown, "links": links, "meta": meta})


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
