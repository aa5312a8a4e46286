"""Who asks: the user behind a token, and what that user may see."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Literal, get_args

from appcrm_sandbox.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from appcrm_sandbox.schema import Resource
    from appcrm_sandbox.store import Row

Sight = Literal["all", "own", "none"]
SIGHTS: tuple[str, ...] = get_args(Sight)
# What a user who sees a record may be kept from; an association is an update of the record that is named in the path.
ACTS = ("create", "update", "delete")
# The zones that a user may have. Fixed offsets, so that no database of zones is needed.
ZONES = {"UTC": 0, "America/Sao_Paulo": -3, "Asia/Tokyo": 9}
# The user behind the token of the command line.
FIRST_USER_ID = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Viewer:
    """A user of the CRM and their rights; what neither `sees` nor `may_not` names is seen whole and allowed."""

    user_id: int
    zone: str = "UTC"
    api_access: bool = True
    super_admin: bool = False
    sees: Mapping[str, str] = dataclasses.field(default_factory=dict)
    may_not: Mapping[str, Collection[str]] = dataclasses.field(default_factory=dict)

    def sight(self, resource_name: str) -> str:
        """How much of a resource this user sees: `all`, `own` or `none`."""
        return self.sees.get(resource_name, "all")

    def where(self, resource: Resource) -> str:
        """The SQL condition of the rows that this user sees; ApiError 403 when none may be."""
        self.check_resource(resource)
        if self.sight(resource.name) == "own":
            return f"hidden = 0 AND {resource.name}.user_id = {self.user_id}"
        return "hidden = 0"

    def check_resource(self, resource: Resource) -> None:
        """ApiError 403 when this user may see nothing of a resource."""
        if self.sight(resource.name) == "none":
            raise forbidden()

    def check_row(self, resource: Resource, row: Row) -> None:
        """ApiError 403 when this user may not see one record."""
        self.check_resource(resource)
        if row["hidden"] or (self.sight(resource.name) == "own" and row["user_id"] != self.user_id):
            raise forbidden()

    def may(self, act: str, resource_name: str) -> bool:
        """Whether this user may create, update or delete records of a resource that they see."""
        return act not in self.may_not.get(resource_name, ())

    def check_may(self, act: str, resource: Resource) -> None:
        """ApiError 403 when this user may not see a resource, or not do that to it."""
        self.check_resource(resource)
        if not self.may(act, resource.name):
            raise forbidden()

    def timezone(self) -> dt.timezone:
        """The zone in which moments without one are meant."""
        return dt.timezone(dt.timedelta(hours=ZONES[self.zone]))


# Who looks at the sandbox's own pages.
EVERYONE = Viewer(FIRST_USER_ID)


def forbidden() -> ApiError:
    """A 403 of one resource or record."""
    return ApiError(403, {"message": "Esta ação não é autorizada."})
