"""Reaper: finds runs whose owner is not live and gives them back to the queue, every host in turn.

After the database was away it lets fifteen seconds pass before it ends a lease that ran out: while nobody could renew,
that says nothing about a host (durability, 5.2). Hosts that are known to have gone are not waited for.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from taske_ray.errors import Unavailable

_pause_s = 15.0
_young_s = 60.0
_slow_s = 3.0


class RescueStore(Protocol):
    """The rows, as the reaper sees them."""

    async def server(self) -> tuple[datetime, float]:
        """When the database's server started, and how many seconds ago. Raises Unavailable."""
        ...

    async def rescue(self, *, lapsed: bool) -> int:
        """Requeue the runs of hosts that are not live; with `lapsed`, first end the leases that ran out."""
        ...


class Reaper:
    """One host's turns. `monotonic` gives seconds that never go back."""

    def __init__(self, store: RescueStore, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._server: datetime | None = None
        self._was_away = False
        self._paused_until = float("-inf")

    async def turn(self) -> int:
        """How many runs were given back to the queue. Raises Unavailable."""
        if await self._was_interrupted():
            self._paused_until = self._monotonic() + _pause_s
        return await self._store.rescue(lapsed=self._monotonic() >= self._paused_until)

    async def _was_interrupted(self) -> bool:
        """Whether hosts may have been unable to renew since the last turn: no answer, a late one, or a new server."""
        began = self._monotonic()
        try:
            started_at, age_s = await self._store.server()
        except Unavailable:
            self._was_away = True
            raise
        late = self._monotonic() - began > _slow_s
        new = started_at != self._server and age_s < _young_s
        interrupted = self._was_away or late or new
        self._server, self._was_away = started_at, False
        return interrupted
