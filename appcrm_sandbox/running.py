"""Putting a sandbox together and keeping it running."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING

from appcrm_sandbox import fault_rules
from appcrm_sandbox.app import App
from appcrm_sandbox.clock import Clock
from appcrm_sandbox.custom_fields import FieldRequest
from appcrm_sandbox.errors import SandboxError
from appcrm_sandbox.faults import Faults
from appcrm_sandbox.gateway import Sandbox
from appcrm_sandbox.seed import seed
from appcrm_sandbox.server import bind, make_server
from appcrm_sandbox.store import Store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from appcrm_sandbox.settings import Settings


def open_store(path: Path, contacts: int, seed_number: int, fields: Sequence[str] = ()) -> tuple[Store, bool]:
    """The store of a file, filled when it is new; also says whether it was."""
    requests = tuple(FieldRequest.parse(text) for text in fields)
    store = Store(path, Clock())
    try:
        fresh = store.get_meta("seeded") is None
        if fresh:
            seed(store, contacts, seed_number, requests)
        else:
            store.declare(requests)
    except sqlite3.Error as error:
        store.close()
        raise SandboxError(
            f"{path} cannot be filled ({error}); check the disk, or name another file."
        ) from error
    except BaseException:
        store.close()
        raise
    return store, fresh


def serve(given: argparse.Namespace, settings: Settings) -> None:
    """Serve until a signal ends it; SandboxError when it cannot begin."""
    faults = Faults()
    if given.faults is not None:
        faults.add(*fault_rules.load(given.faults))
    listener = bind(given.host, given.port)
    try:
        store, fresh = open_store(given.database, given.contacts, given.seed, given.custom_field)
    except BaseException:
        listener.close()
        raise
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    count = store.value("SELECT count(*) FROM contacts WHERE deleted_at IS NULL")
    origin = f"seed {given.seed}" if fresh else "as they were; --contacts and --seed are for a new file"

    def say_ready() -> None:
        sys.stderr.write(
            f"appcrm-sandbox: serving http://{shown}:{port}/api "
            f"({count} contacts from {given.database}, {origin}).\n",
        )
        sys.stderr.flush()

    try:
        make_server(App(Sandbox(store, settings, faults)), say_ready).run(sockets=[listener])
    finally:
        store.close()
