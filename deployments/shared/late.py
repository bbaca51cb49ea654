"""An app that is put together when its process starts serving: pools and ports need the loop they will live on."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from starlette.types import ASGIApp, Receive, Scope, Send

from taske_ray.hardening import harden

_log = logging.getLogger(__name__)
Open = Callable[[AsyncExitStack], Awaitable[ASGIApp]]


class LateApp:
    """Opens the real app at the lifespan's start; what it pushed on the stack is closed at its end."""

    def __init__(self, open_app: Open) -> None:
        self._open = open_app
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or live through the lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._app is not None, "no request comes before the start"
        await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        harden()  # on a node of a cluster nobody else has
        async with AsyncExitStack() as stack:
            try:
                self._app = await self._open(stack)
            except Exception as error:  # noqa: BLE001 - told to the server, which ends this process
                _log.exception("the app cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
