"""Whether the service as a whole can do its work, and how much of it there is."""

import asyncio
import time

from taske_ray.db.database import Database
from taske_ray.errors import TaskeError
from taske_ray.services.ports import Readiness

_patience_s = 4.0
_fresh_s = 0.5
_rest = 20
"""So many times as long as the runs took to count they are not counted again: a million that sleep take 250 ms."""


class Health:
    """Looks at the database and at the parts behind the API, twice a second at most."""

    def __init__(self, database: Database, readiness: Readiness) -> None:
        self._database = database
        self._readiness = readiness
        self._turn = asyncio.Lock()
        self._looked_at = float("-inf")
        self._ready = False
        self._counts: dict[str, int] = {}
        self._count_again_at = float("-inf")

    async def is_ready(self) -> bool:
        """Whether the database and every part answer."""
        async with self._turn:
            if time.monotonic() - self._looked_at > _fresh_s:
                self._ready = await self._look()
                self._looked_at = time.monotonic()
        return self._ready

    async def figures(self) -> tuple[dict[str, object], dict[str, int]]:
        """(live figures by host, unfinished runs by status). Raises Unavailable."""
        async with self._turn:
            if time.monotonic() > self._count_again_at:
                await self._count()
        return await self._readiness.figures(), self._counts

    async def _count(self) -> None:
        began = time.monotonic()
        rows = await self._database.fetch(
            "SELECT status, count(*) AS runs FROM runs"
            " WHERE status IN ('queued', 'waiting', 'running', 'needs_attention') GROUP BY status"
        )
        self._counts = {row["status"]: row["runs"] for row in rows}
        now = time.monotonic()
        self._count_again_at = now + _rest * (now - began)

    async def _look(self) -> bool:
        try:
            async with asyncio.timeout(_patience_s):
                await self._database.fetch("SELECT 1")
                return all((await self._readiness.parts()).values())
        except (TaskeError, TimeoutError):
            return False
