"""Users and their tokens: read for every request, changed through the control plane."""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING, Any

from appcrm_sandbox.errors import SandboxError
from appcrm_sandbox.schema import RESOURCES
from appcrm_sandbox.viewer import ACTS, FIRST_USER_ID, SIGHTS, ZONES, Viewer

if TYPE_CHECKING:
    from appcrm_sandbox.store import Store
    from appcrm_sandbox.values import Json

# Kept as JSON: resource → what the user sees of it, or may not do.
_BY_RESOURCE = ("sees", "may_not")
_USER_KEYS = frozenset({"id", "name", "email", "zone", "api_access", "super_admin", *_BY_RESOURCE})


def viewer_of(store: Store, user_id: int) -> Viewer:
    """A user with their rights."""
    row = store.named["users"][user_id]
    return Viewer(
        user_id,
        row["zone"],
        bool(row["api_access"]),
        bool(row["super_admin"]),
        **{name: json.loads(row[name]) for name in _BY_RESOURCE},
    )


def viewer_of_token(store: Store, main_token: str, given: bytes) -> Viewer | None:
    """The user behind a token; the main one is the first user's. None for a token that there is not."""
    if hmac.compare_digest(given, main_token.encode()):
        return viewer_of(store, FIRST_USER_ID)
    user_id = store.value("SELECT user_id FROM tokens WHERE token = ?", [given.decode("latin-1")])
    return None if user_id is None else viewer_of(store, user_id)


def shown_users(store: Store) -> list[dict[str, Any]]:
    """Every user with their rights, as the control plane shows them."""
    return [
        {
            **{name: row[name] for name in ("id", "name", "email", "zone")},
            "api_access": bool(row["api_access"]),
            "super_admin": bool(row["super_admin"]),
            **{name: json.loads(row[name]) for name in _BY_RESOURCE},
        }
        for row in store.named["users"].values()
    ]


def change_user(store: Store, wanted: Json) -> None:
    """Change a user, or make one with an id that is new; SandboxError on what is no user."""
    if not isinstance(wanted, dict) or set(wanted) - _USER_KEYS or not _is_id(wanted.get("id")):
        raise SandboxError(f"a user is a mapping of id and any of {', '.join(sorted(_USER_KEYS - {'id'}))}.")
    _check_rights(wanted)
    row = store.named["users"].get(wanted["id"])
    user = (
        dict(row)
        if row
        else {
            "id": wanted["id"],
            "name": f"User {wanted['id']}",
            "email": f"user{wanted['id']}@appcrm.example",
            "zone": "UTC",
            "api_access": True,
            "super_admin": False,
            **dict.fromkeys(_BY_RESOURCE, "{}"),
        }
    )
    user |= wanted
    user |= {name: json.dumps(wanted[name]) for name in _BY_RESOURCE if name in wanted}
    with store.transaction() as connection:
        connection.execute(
            f"INSERT OR REPLACE INTO users ({', '.join(user)}) VALUES ({', '.join('?' * len(user))})",
            list(user.values()),
        )
    store.reload()


def _check_rights(wanted: dict[str, Json]) -> None:
    for name in ("name", "email"):
        if name in wanted and (not isinstance(wanted[name], str) or not wanted[name]):
            raise SandboxError(f"the {name} of a user is a text that is not empty.")
    for name in ("api_access", "super_admin"):
        if name in wanted and not isinstance(wanted[name], bool):
            raise SandboxError(f"{name} of a user is true or false.")
    if "zone" in wanted and wanted["zone"] not in ZONES:
        raise SandboxError(f"the zone of a user is one of {', '.join(ZONES)}.")
    sees = wanted.get("sees", {})
    if (
        not isinstance(sees, dict)
        or set(sees) - set(RESOURCES)
        or not all(s in SIGHTS for s in sees.values())
    ):
        raise SandboxError(f"sees of a user is a mapping of {', '.join(RESOURCES)} to {', '.join(SIGHTS)}.")
    may_not = wanted.get("may_not", {})
    if (
        not isinstance(may_not, dict)
        or set(may_not) - set(RESOURCES)
        or not all(isinstance(acts, list) and all(act in ACTS for act in acts) for acts in may_not.values())
    ):
        raise SandboxError(
            f"may_not of a user is a mapping of {', '.join(RESOURCES)} to lists of {', '.join(ACTS)}."
        )


def add_token(store: Store, wanted: Json) -> None:
    """Give a user one more token; SandboxError where there is no such user or no token."""
    if not isinstance(wanted, dict) or set(wanted) != {"token", "user_id"}:
        raise SandboxError("a token is a mapping of token and user_id.")
    token, user_id = wanted["token"], wanted["user_id"]
    if not isinstance(token, str) or not token or not token.isascii():
        raise SandboxError("a token is a text of ASCII signs that is not empty.")
    if not _is_id(user_id) or user_id not in store.named["users"]:
        raise SandboxError(f"there is no user {user_id!r} to give a token to.")
    with store.transaction() as connection:
        connection.execute("INSERT OR REPLACE INTO tokens VALUES (?, ?)", [token, user_id])


def _is_id(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
