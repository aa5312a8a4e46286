"""A sandbox served from a thread, beside whatever else the process does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from appcrm_sandbox.app import App
from appcrm_sandbox.faults import Faults
from appcrm_sandbox.gateway import Sandbox
from appcrm_sandbox.running import open_store
from appcrm_sandbox.server import Server, bind, make_server
from appcrm_sandbox.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from appcrm_sandbox.values import Json

_PATIENCE_SECONDS = 30
_TICK_SECONDS = 0.01


def serve_in_background(
    database: Path,
    contacts: int,
    seed: int,
    custom_fields: Sequence[str],
    switches: dict[str, Json],
) -> tuple[int, Callable[[], None]]:
    """Start a server on a free port; returns it and what stops it. SandboxError when it cannot begin."""
    settings = Settings(**switches)
    store, _fresh = open_store(database, contacts, seed, custom_fields)
    listener = bind("127.0.0.1", 0)
    server = make_server(App(Sandbox(store, settings, Faults())))
    thread = threading.Thread(target=server.run, args=([listener],), name="appcrm-sandbox", daemon=True)
    thread.start()
    _wait(server, thread)

    def stop() -> None:
        server.should_exit = True
        server.force_exit = True
        thread.join(_PATIENCE_SECONDS)
        store.close()

    return listener.getsockname()[1], stop


def _wait(server: Server, thread: threading.Thread) -> None:
    pause = threading.Event()
    for _ in range(int(_PATIENCE_SECONDS / _TICK_SECONDS)):
        if server.started:
            return
        if not thread.is_alive():
            break
        pause.wait(_TICK_SECONDS)
    raise RuntimeError("the sandbox did not start")
