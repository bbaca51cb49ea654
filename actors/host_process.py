"""What every host process has: its settings, the database, the catalog, a lease, the live hosts, and its loops."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from actors.directory import Directory
from actors.lease import Lease
from taske_ray import logs
from taske_ray.clock import SystemClock
from taske_ray.db.database import Database, engine_role
from taske_ray.db.embedded import database_url
from taske_ray.errors import Unavailable
from taske_ray.hardening import harden
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.settings import Settings

drain_s = 20.0
"""So long a host that stops lets calls in flight end (durability, 10.1)."""
_log = logging.getLogger(__name__)


class HostProcess:
    """Opened once by a host's `start`; `lost` is awaited when its lease was taken away."""

    def __init__(self, kind: str, name: str, node: str) -> None:
        logs.configure()
        harden()  # on a node of a cluster nobody else has
        self.settings = Settings.from_env()
        self.clock = SystemClock()
        self.name = name
        self._identity = (kind, name, node)
        self._loops: set[asyncio.Task[None]] = set()
        self.database = Database(database_url(self.settings), row_connections=2, hot_connections=4, role=engine_role)
        self.capabilities = CapabilityCache(self.database)
        self.directory: Directory
        self.lease: Lease

    async def open(self, *, capacity: int, lost: Callable[[], Awaitable[None]], directory: Directory) -> None:
        """Connect, register and begin to renew the lease."""
        await self.database.open()
        self.directory = directory
        kind, name, node = self._identity
        self.lease = Lease(
            await self.database.dedicated(),
            kind=kind,
            name=name,
            node=node,
            capacity=capacity,
            clock=self.clock,
            lost=lost,
        )
        await self.lease.register()
        await self.directory.look()
        self.run(self.lease.keep())
        self.run(self.directory.keep())

    def run(self, loop: Coroutine[Any, Any, None]) -> None:
        """Keep a background loop of this host alive until `close`."""
        task = asyncio.get_running_loop().create_task(loop)
        self._loops.add(task)
        task.add_done_callback(self._ended)

    def every(self, seconds: Callable[[], float], act: Callable[[], Awaitable[object]]) -> None:
        """Do `act` again and again, `seconds()` apart; a failure is logged and the next round comes all the same."""

        async def rounds() -> None:
            while True:
                try:
                    await act()
                except Unavailable as error:
                    _log.warning("%s: %s", act.__qualname__, error)
                except Exception:  # noqa: BLE001 - logged, and the next round comes all the same
                    _log.exception("%s failed", act.__qualname__)
                await self.clock.sleep(seconds())

        self.run(rounds())

    async def close(self) -> None:
        """Stop the loops, give the lease up and hang up."""
        for task in list(self._loops):
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        try:
            await self.lease.end()
        finally:
            await self.database.close()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._loops.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a loop of %s ended", self.name, exc_info=task.exception())
