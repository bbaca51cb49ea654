"""A host's lease: who may act for its runs and triggers, and until when, by the database's clock (durability, 5).

    register ──► live ──renew every 10 s──► live … ──► drained
                  │  renewal finds no row: declared dead
                  └────────────► drop everything, register a new incarnation

Trust is counted from the *start* of the renewing request and ends one second before the lease: given up too early,
never too late. Heartbeats have a connection of their own, and the loop of the runs they speak for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psutil

from taske_ray.clock import Clock, new_id
from taske_ray.db import hosts
from taske_ray.db.database import DedicatedConnection
from taske_ray.db.hosts import HostRow, LeaseRow
from taske_ray.errors import Unavailable

_beat_s = 10.0
_retry_s = 1.0
_margin_s = 1.0
_say_s = 3.0
_log = logging.getLogger(__name__)


class Lease:
    """The lease of this process. `lost` is awaited when the host was declared dead, before it registers anew."""

    def __init__(
        self,
        connection: DedicatedConnection,
        *,
        kind: str,
        name: str,
        node: str,
        capacity: int,
        clock: Clock,
        lost: Callable[[], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._identity = (kind, name, node, capacity)
        self._clock = clock
        self._lost = lost
        self._begun = 0.0
        self._row = LeaseRow(0.0, 0.0)
        self.host_id: UUID = new_id()

    async def register(self) -> None:
        """Begin a new incarnation, ending those of this machine whose process is gone."""
        await self.bury()
        kind, name, node, capacity = self._identity
        process = psutil.Process()
        self.host_id = new_id()
        row = HostRow(self.host_id, kind, name, node, boot_id(), process.pid, process.create_time(), capacity)
        begun = self._clock.monotonic()
        self._row, self._begun = await hosts.register(self._connection, row), begun

    async def keep(self) -> None:
        """Renew for as long as this process lives."""
        while True:
            await self._clock.sleep(_beat_s if await self._renewed() else _retry_s)

    async def end(self) -> None:
        """Give the lease up: nothing is executing here any more."""
        await hosts.end(self._connection, [self.host_id], state="drained")

    @property
    def is_trusted(self) -> bool:
        """Whether this process may still act for what it holds."""
        return self.now_s() < self.ends_at - _margin_s

    @property
    def ends_at(self) -> float:
        """The lease's end, in seconds of the database's clock since the epoch."""
        return self._row.expires_at

    def now_s(self) -> float:
        """The database's clock as far as we know it; it can only run ahead."""
        return self._row.now + (self._clock.monotonic() - self._begun)

    def now(self) -> datetime:
        """The database's clock as an instant."""
        return datetime.fromtimestamp(self.now_s(), UTC)

    async def _renewed(self) -> bool:
        try:
            await self._renew()
        except Unavailable:
            _log.warning("the lease could not be renewed: the database is away")
        except Exception:  # noqa: BLE001 - logged; without this loop the process would hold nothing and never end
            _log.exception("the lease could not be renewed")
        else:
            return True
        return False

    async def _renew(self) -> None:
        begun = self._clock.monotonic()
        row = await hosts.renew(self._connection, self.host_id)
        if row is not None:
            self._row, self._begun = row, begun
            return
        _log.warning("this host was declared dead; it starts over as a new incarnation")
        await self._lost()
        await self.register()

    async def bury(self) -> None:
        """End the leases of processes of this machine that are known to have exited: their runs go on at once."""
        gone = [
            host.id
            for host in await hosts.live(self._connection)
            if host.boot_id == boot_id() and await asyncio.to_thread(process_of, host.pid, host.pid_started) is None
        ]
        if gone:
            await hosts.end(self._connection, gone, state="crashed")


def boot_id() -> str:
    """This machine since its last boot: process ids mean something only within it."""
    namespace = Path("/proc/self/ns/pid").readlink()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text(encoding='ascii').strip()} {namespace}"


async def recorded_process(database: hosts.Fetches, name: str) -> psutil.Process | None:
    """The living process of this machine that a host of that name registered last; None while the database is away."""
    try:
        found = await hosts.recorded(database, name, boot_id())
    except Unavailable:
        return None
    return None if found is None else await asyncio.to_thread(process_of, *found)


async def condemn(database: hosts.Fetches, *names: str) -> None:
    """Say before we end hosts that it is us, so that no run answers for it; unsaid while the database is away."""
    try:
        async with asyncio.timeout(_say_s):
            await hosts.condemn(database, names)
    except Exception:  # noqa: BLE001 - logged; whoever hangs is ended all the same
        _log.warning("it could not be recorded that %s are ended on purpose", ", ".join(names), exc_info=True)


def process_of(pid: int, started: float) -> psutil.Process | None:
    """The living process of that id and start time, on this machine since its boot."""
    try:
        process = psutil.Process(pid)
        lives = process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if lives else None
