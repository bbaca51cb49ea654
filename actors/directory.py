"""The live hosts as this process last saw them: a look at the rows once a second, and outboxes to each of them.

Another service may use the same database, with a Ray of its own. Its hosts take runs over as any others do, by the
rows, but nobody here can call them: they are not seen. A call handed to one would count as sent and lost.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Container, Sequence
from typing import Any
from uuid import UUID

from actors import cluster
from actors.outbox import Outbox
from taske_ray.core.reconcile import rendezvous
from taske_ray.db import hosts
from taske_ray.db.hosts import Fetches, HostRow
from taske_ray.errors import Unavailable

_look_s = 1.0
_most_nudges = 1_000
_log = logging.getLogger(__name__)


class Directory:
    """Who is live. `gone` is called with the id of each incarnation that is no longer; `nodes` are those of our Ray."""

    def __init__(
        self,
        database: Fetches,
        *,
        gone: Callable[[UUID], None] = lambda _: None,
        nodes: Callable[[], Awaitable[list[cluster.Node]]] = cluster.nodes,
    ) -> None:
        self._database = database
        self._gone = gone
        self._nodes = nodes
        self._live: dict[UUID, HostRow] = {}
        self._names: dict[str, dict[str, UUID]] = {}
        self._handles: dict[UUID, cluster.Handle] = {}
        self._outboxes: dict[tuple[UUID, str], Outbox[Any]] = {}
        self._looked_at = 0.0
        self._is_ours: dict[str, bool] = {}

    async def keep(self) -> None:
        """Look again and again; a database that is away leaves the last look standing."""
        while True:
            try:
                await self.look()
            except Unavailable:
                _log.warning("the live hosts could not be read: the database is away")
            except Exception:  # noqa: BLE001 - logged; without this loop the process would never learn of a host again
                _log.exception("the live hosts could not be read")
            await asyncio.sleep(_look_s)

    async def look(self) -> None:
        """Read the live hosts now."""
        found = await hosts.live(self._database)
        await self._learn({row.node for row in found})
        rows = {row.id: row for row in found if self._is_ours[row.node]}
        ended = self._live.keys() - rows.keys()
        self._live = rows
        self._names = {}
        for row in rows.values():
            self._names.setdefault(row.kind, {})[row.name] = row.id  # the latest incarnation of a name
        self._looked_at = time.monotonic()
        for host_id in ended:
            self._handles.pop(host_id, None)
            self._outboxes = {key: box for key, box in self._outboxes.items() if key[0] != host_id}
            self._gone(host_id)

    async def _learn(self, nodes: set[str]) -> None:
        """Which nodes belong to our Ray: asked once for each that is new, and what has been is forgotten."""
        self._is_ours = {node: known for node, known in self._is_ours.items() if node in nodes}
        new = nodes - self._is_ours.keys()
        if new:
            ours = {node.id for node in await self._nodes()}
            self._is_ours |= {node: node in ours for node in new}

    def of_kind(self, kind: str) -> Sequence[HostRow]:
        """The live hosts of one kind, one incarnation per name."""
        return [self._live[host_id] for host_id in self._names.get(kind, {}).values()]

    def lease_end(self, host_id: UUID) -> float | None:
        """When the lease of a host ends, as it was read last (seconds of the database's clock); None: not live."""
        row = self._live.get(host_id)
        return None if row is None else row.expires_at

    def pick(self, kind: str, key: bytes, *, without: Container[UUID] = ()) -> UUID | None:
        """The live host that `key` belongs to, `without` some; None when there is none."""
        names = {name: host for name, host in self._names.get(kind, {}).items() if host not in without}
        if not names:
            return None
        return names[rendezvous(key, list(names))] if len(names) > 1 else next(iter(names.values()))

    def taker(self, key: bytes) -> UUID | None:
        """The run host that should take a run as it is born; None when too many wait for it: the run is queued then."""
        host = self.pick("run", key)
        if host is None:
            return None
        waiting = self._outboxes.get((host, "take"))
        return host if waiting is None or len(waiting) < _most_nudges else None

    async def call(self, host_id: UUID, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call a live host; raises ActorLost."""
        return await cluster.call(await self.handle(host_id), method, *args, timeout_s=timeout_s)

    async def handle(self, host_id: UUID) -> cluster.Handle:
        """The actor of a live host; raises ActorLost when it is not live or Ray does not know it."""
        handle = self._handles.get(host_id)
        if handle is None:
            row = self._live.get(host_id)
            handle = await cluster.find(row.name) if row else None
            if handle is None:
                raise cluster.ActorLost(f"host {host_id} is not live")
            self._handles[host_id] = handle
        return handle

    def nudge(self, host_id: UUID, method: str, message: Any) -> bool:
        """Put a message into the outbox of a host's method; False when it is full."""
        outbox = self._outboxes.get((host_id, method))
        if outbox is None:

            async def send(batch: list[Any]) -> None:
                await self.call(host_id, method, batch)

            outbox = self._outboxes[host_id, method] = Outbox(send, turn=_whose)
        return outbox.put(message)


def _whose(message: Any) -> UUID | None:
    """The user whose run it is about; a nudge to look for work is nobody's."""
    user_id: UUID | None = getattr(message, "user_id", None)
    return user_id
