"""Files that the command line names: settings, state and catalog."""

from __future__ import annotations

import json
from typing import IO, Any, NoReturn

from singer_sdk.singerlib import Catalog
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL

from appcrm.text import printable
from tap_appcrm.command import InputError

METHODS = (None, REPLICATION_INCREMENTAL, REPLICATION_FULL_TABLE)


def read_json(file: IO[Any], what: str) -> dict[str, Any]:
    """Read a JSON object from a file of the command line.

    Raises:
        InputError: it holds something else; the message says what to do.
    """
    name = getattr(file, "name", "the file")
    raw = getattr(file, "buffer", file).read()
    try:
        text = raw.decode("utf-8-sig").strip() if isinstance(raw, bytes) else raw.lstrip("\ufeff").strip()
    except UnicodeDecodeError:
        _refuse(what, name)
    if not text:
        remedy = " Leave out --state to read everything" if what == "state" else ""
        raise InputError(f"--{what}: {name} is empty.{remedy}")
    try:
        content = json.loads(text)
    except RecursionError:
        _refuse(what, name)
    except ValueError:
        if what == "state" and _is_object(text.splitlines()[-1]):
            raise InputError(
                f"--state: {name} holds several lines; a state is one: take the last line (tail -n 1)"
            ) from None
        _refuse(what, name)
    if not isinstance(content, dict):
        _refuse(what, name)
    return content


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def read_catalog(file: IO[str]) -> dict[str, Any]:
    """Read a catalog from a file of the command line.

    Raises:
        InputError: it is none.
    """
    content = read_json(file, "catalog")
    try:
        if not isinstance(content.get("streams"), list):
            _refuse("catalog", getattr(file, "name", "the file"))
        Catalog.from_dict(content)
        are_objects = all(
            isinstance(given.get("properties", {}), dict) for given in schemas_of(content).values()
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        are_objects = False
    if not are_objects:
        _refuse("catalog", getattr(file, "name", "the file"))
    for entry in content["streams"]:
        if entry.get("replication_method") not in METHODS:
            raise InputError(
                f"--catalog: the replication_method of {printable(entry['tap_stream_id'])} must be "
                f"{REPLICATION_INCREMENTAL} or {REPLICATION_FULL_TABLE}"
            )
    return content


def schemas_of(catalog: object) -> dict[str, dict[str, Any]]:
    """Return the schema of each stream of a catalog that was given as plain data."""
    entries = catalog.get("streams") if isinstance(catalog, dict) else None
    return {
        str(entry.get("tap_stream_id") or entry.get("stream")): {"properties": {}} | entry["schema"]
        for entry in entries or []
        if isinstance(entry, dict) and isinstance(entry.get("schema"), dict)
    }


def _refuse(what: str, name: str) -> NoReturn:
    raise InputError(f"--{what}: {name} is not a {what} in JSON")
