"""The API under /api: what each call answers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from appcrm_sandbox.errors import ApiError, not_found, server_error
from appcrm_sandbox.field_lists import custom_fields_of, fields_of, shown_rules
from appcrm_sandbox.listing import Lister, Page
from appcrm_sandbox.lookups import BARE, lookup_page, lookup_rows
from appcrm_sandbox.neighbours import linked_names, show_neighbours, shown_unasked
from appcrm_sandbox.projection import EVERYTHING, Projection, projection_of
from appcrm_sandbox.pruning import Pruner
from appcrm_sandbox.render import LINKED, WITH, Renderer, Shown
from appcrm_sandbox.replies import Reply, paged
from appcrm_sandbox.schema import CONTACTS, RESOURCES, Resource
from appcrm_sandbox.viewer import forbidden
from appcrm_sandbox.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appcrm_sandbox.query import Query
    from appcrm_sandbox.routes import Call
    from appcrm_sandbox.settings import Settings
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.validate import Body
    from appcrm_sandbox.viewer import Viewer

_BIGGEST_ID = 2**63 - 1


@dataclasses.dataclass(slots=True)
class Request:
    """What a handler needs of one request."""

    call: Call
    query: Query
    viewer: Viewer
    body: Body
    base_url: str
    envelope: str
    per_page: int | None = None


class Api:
    """Answers calls; every answer is one Reply or one ApiError."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.lister = Lister(store, settings)
        self.renderer = Renderer(store, settings)
        self.writer = Writer(store, settings)
        self._pruner = Pruner(store, self.writer)
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
            "trash_search": self._trash_search,
            "trash_retrieve": self._trash_retrieve,
            "fields": self._fields,
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
        self._pruner.prune_if_due()
        return handler(request)

    def _list(self, request: Request) -> Reply:
        return self._listed(request, trashed=False)

    def _trash(self, request: Request) -> Reply:
        return self._listed(request, trashed=True)

    def _listed(self, request: Request, *, trashed: bool) -> Reply:
        resource = RESOURCES[request.call.resource]
        links = self._with(request) if self.settings.list_associations else []
        projection = projection_of(resource, self.store.fields, request.query)
        page = self.lister.page(
            resource, request.query, request.viewer, trashed=trashed, per_page=request.per_page
        )
        return self._paged(request, page, self._shown(request, page.ids, links, projection))

    def _search(self, request: Request) -> Reply:
        return self._searched(request, trashed=False)

    def _trash_search(self, request: Request) -> Reply:
        return self._searched(request, trashed=True)

    def _searched(self, request: Request, *, trashed: bool) -> Reply:
        resource = RESOURCES[request.call.resource]
        links = [*self._shown_unasked(resource), *self._with(request)]
        projection = projection_of(resource, self.store.fields, request.query)
        ids = self.lister.search(resource, request.query, request.viewer, trashed=trashed)
        shown = self._shown(request, ids, links, projection)
        return Reply.json(200, {"data": shown} if request.envelope == "wrapped" else shown)

    def _shown(
        self,
        request: Request,
        ids: Sequence[int],
        links: Sequence[str],
        projection: Projection = EVERYTHING,
    ) -> list[Shown]:
        resource, viewer = RESOURCES[request.call.resource], request.viewer
        if resource is CONTACTS:
            return self.renderer.contacts(ids, viewer, projection=projection, links=links)
        return show_neighbours(
            self.store, self.renderer, resource, ids, viewer, projection=projection, links=links
        )

    @staticmethod
    def _shown_unasked(resource: Resource) -> tuple[str, ...]:
        """The associations that one record and the rows of a search carry."""
        return LINKED[:2] if resource is CONTACTS else shown_unasked(resource)

    @staticmethod
    def _with(request: Request) -> list[str]:
        """The associations that `with` asks for; ApiError 500 on one that there is not."""
        resource = RESOURCES[request.call.resource]
        known = WITH if resource is CONTACTS else linked_names(resource)
        asked = request.query.parts("with")
        unknown = [name for name in asked if name not in known]
        if unknown:
            raise server_error(f"Call to undefined relationship [{unknown[0]}]")
        return asked

    def _retrieve(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        request.viewer.check_row(resource, self.writer.live(resource, request.call.record_id))
        return self._record(request, 200, resource, request.call.record_id, links=self._with(request))

    def _trash_retrieve(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        request.viewer.check_row(resource, self.writer.trashed(resource, request.call.record_id))
        return self._record(request, 200, resource, request.call.record_id, links=self._with(request))

    def _fields(self, request: Request) -> Reply:
        resource, name = RESOURCES[request.call.resource], request.call.field_list
        if name == "custom-fields":
            if not request.viewer.super_admin:
                raise forbidden()
            return Reply.json(200, custom_fields_of(self.store.fields))
        version = self.settings.version
        if not (version.has_filters if name == "rules" else version.has_field_lists):
            raise not_found()
        if name == "rules":
            return Reply.json(200, shown_rules(resource, self.store.fields))
        written = name in {"create-fields", "update"}
        return Reply.json(200, fields_of(resource, self.store.fields, written=written))

    def _create(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        request.viewer.check_may("create", resource)
        record_id = self.writer.create(resource, request.body, request.viewer)
        return self._record(request, 201, resource, record_id, created=True)

    def _update(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        self._check_may(request, "update")
        self.writer.update(resource, request.call.record_id, request.body, request.viewer)
        return self._record(request, 200, resource, request.call.record_id)

    def _delete(self, request: Request) -> Reply:
        self._check_may(request, "delete")
        self.writer.delete(RESOURCES[request.call.resource], request.call.record_id)
        return Reply(204, b"")

    def _restore(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        request.viewer.check_row(resource, self.writer.trashed(resource, request.call.record_id))
        request.viewer.check_may("delete", resource)
        self.writer.restore(resource, request.call.record_id)
        return self._record(request, 200, resource, request.call.record_id)

    def _purge(self, request: Request) -> Reply:
        resource = RESOURCES[request.call.resource]
        request.viewer.check_row(resource, self.writer.trashed(resource, request.call.record_id))
        request.viewer.check_may("delete", resource)
        self.writer.purge(resource, request.call.record_id)
        return Reply(204, b"")

    def _associate(self, method: str) -> Callable[[Request], Reply]:
        def handle(request: Request) -> Reply:
            resource = RESOURCES[request.call.resource]
            self._check_may(request, "update")
            names = [*request.query.texts, *request.query.trees]
            self.writer.associate(
                resource, request.call.record_id, request.body, method, viewer=request.viewer, asked=names
            )
            return self._record(request, 200, resource, request.call.record_id)

        return handle

    def _check_may(self, request: Request, act: str) -> None:
        """ApiError 403 when the viewer may not see the record, or not do this to it."""
        resource, record_id = RESOURCES[request.call.resource], request.call.record_id
        request.viewer.check_row(resource, self.writer.live(resource, record_id))
        request.viewer.check_may(act, resource)

    def _lookup(self, request: Request) -> Reply:
        name = request.call.resource
        if name in BARE:
            return Reply.json(200, lookup_rows(self.store, name))
        return self._paged(request, *lookup_page(self.store, self.settings, name, request.query))

    def _record(
        self,
        request: Request,
        status: int,
        resource: Resource,
        record_id: int,
        *,
        created: bool = False,
        links: Sequence[str] = (),
    ) -> Reply:
        if resource is CONTACTS:
            shown = self.renderer.contact(record_id, request.viewer, created=created, links=links)
        else:
            links = [*self._shown_unasked(resource), *links]
            shown = self._shown(request, [record_id], links)[0]
        return Reply.json(status, {"data": shown} if request.envelope == "wrapped" else shown)

    @staticmethod
    def _paged(request: Request, page: Page, shown: Sequence[Shown | None]) -> Reply:
        return paged(page, shown, request.envelope, request.base_url)
