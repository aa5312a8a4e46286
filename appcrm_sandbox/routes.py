"""Which call a request is: its path and method read."""

from __future__ import annotations

import dataclasses
import re

from appcrm_sandbox.field_lists import FIELD_LISTS
from appcrm_sandbox.lookups import LOOKUPS
from appcrm_sandbox.schema import CONTACTS, RESOURCES

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
    (re.compile(f"/trashed/(?P<resource>{_NAMES})/search"), {"GET": "trash_search"}),
    (re.compile(f"/trashed/(?P<resource>{_NAMES})"), {"GET": "trash"}),
    (
        re.compile(f"/trashed/(?P<resource>{_NAMES})/{_ID}"),
        {"GET": "trash_retrieve", "POST": "restore", "DELETE": "purge"},
    ),
    (re.compile(f"/(?P<resource>{_NAMES})/(?P<list>{'|'.join(FIELD_LISTS)}|rules)"), {"GET": "fields"}),
    (re.compile(f"/fields/(?P<resource>{_NAMES})/(?P<list>update)"), {"GET": "fields"}),
    (re.compile(r"/(?P<list>custom-fields)"), {"GET": "fields"}),
    (re.compile(f"/(?P<resource>{'|'.join(LOOKUPS)})"), {"GET": "lookup"}),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request, understood: what is asked of which resource."""

    operation: str
    resource: str
    record_id: int
    allowed: tuple[str, ...] = ()
    # Which list of fields: `index-fields`, `rules` and so on.
    field_list: str = ""


def understand(method: str, path: str) -> Call:
    """Which call a method and a path below /api are; `unknown` when none, with the methods allowed."""
    for pattern, methods in ROUTES:
        match = pattern.fullmatch(path.removesuffix("/"))
        if match:
            parts = match.groupdict()
            record_id = int(parts.get("id") or 0)
            operation = methods.get("GET" if method == "HEAD" else method, "unknown")
            resource = parts.get("resource") or CONTACTS.name
            return Call(operation, resource, record_id, tuple(methods), parts.get("list") or "")
    return Call("unknown", "", 0)
