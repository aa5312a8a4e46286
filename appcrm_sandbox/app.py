"""The whole ASGI application: the API, the control plane, the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette

from appcrm_sandbox.control import Control
from appcrm_sandbox.gateway import PREFIX, Gateway
from appcrm_sandbox.pages import Pages

if TYPE_CHECKING:
    from appcrm_sandbox.delivery import Receive, Scope, Send
    from appcrm_sandbox.gateway import Sandbox


class App:
    """Sends /api straight to the gateway, everything else through Starlette."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._gateway = Gateway(sandbox)
        self._rest = Starlette(routes=[*Control(sandbox).routes(), *Pages(sandbox).routes()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "http" and (scope["path"] + "/").startswith(f"{PREFIX}/"):
            await self._gateway(scope, receive, send)
        else:
            await self._rest(scope, receive, send)
