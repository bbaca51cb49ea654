"""The hosts of every living node, kept at their number: spawned, looked after, ended; the supervisor's port to Ray."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import psutil

from actors import cluster
from actors.cluster import ActorEnded, Blueprint, HostRef
from actors.pulse import Pulse

_start_s: Final = 90.0


async def _nothing(_: str) -> None:
    return None


@dataclass(slots=True)
class Hosts:
    """So many hosts of each kind on every living node.

    `recorded` finds the living process that a host of that name registered last, if it is one of this machine: by it a
    new supervisor can end a host that hung before its time. `condemn` says of a host that it is about to be ended here.
    """

    blueprints: Mapping[str, Blueprint]
    recorded: Callable[[str], Awaitable[psutil.Process | None]] = _nothing
    condemn: Callable[[str], Awaitable[None]] = _nothing
    _known: dict[str, tuple[HostRef, Pulse]] = field(default_factory=dict)

    async def ensure_hosts(self, kind: str, count_per_node: int) -> list[HostRef]:
        """Spawn what is missing, end what stood on vanished nodes, and return the hosts that answer.

        Call it again and again: a host that Ray is starting is absent from the answer and there in a later one.
        """
        living = await cluster.nodes()
        wanted = {f"{kind}-{node.id[:16]}-{number}": node.id for node in living for number in range(count_per_node)}
        present = [name for name in await cluster.names() if name.startswith(f"{kind}-")]
        await asyncio.gather(*(self._end(name) for name in present if name not in wanted))
        found = await asyncio.gather(*(self._ensure(kind, name, node) for name, node in wanted.items()))
        return [host for host in found if host is not None]

    async def start_anew(self, host: HostRef) -> None:
        """End the process of a host that has stopped; return when another one answers. Raises TimeoutError."""
        before = await cluster.ping(host.handle)
        await self.condemn(host.name)
        await cluster.restart(host.handle)
        async with asyncio.timeout(_start_s):
            while await cluster.ping(host.handle) in (None, before):  # noqa: ASYNC110 - Ray tells nobody
                await asyncio.sleep(0.1)

    async def _ensure(self, kind: str, name: str, node: str) -> HostRef | None:
        if name not in self._known:
            handle = cluster.spawn_host(name, node, self.blueprints[kind])
            here = node == cluster.this_node()
            pulse = Pulse(handle, here=here, recorded=partial(self.recorded, name), condemn=partial(self.condemn, name))
            self._known[name] = HostRef(name, node, handle), pulse
        host, pulse = self._known[name]
        try:
            return host if await pulse.beats() else None
        except ActorEnded:
            del self._known[name]  # by somebody who meant it: the next round spawns another
            return None

    async def _end(self, name: str) -> None:
        self._known.pop(name, None)
        await self.condemn(name)
        await cluster.kill(name)
