"""The rows of hosts: one per incarnation, live while its lease is renewed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from uuid import UUID

from taske_ray.db import queries

lease_s = 30.0
"""How long a lease lasts from the database's clock (durability, 5)."""


@dataclass(frozen=True, slots=True)
class HostRow:
    """One incarnation of a host: `boot_id`, `pid` and `pid_started` name its process beyond doubt.

    `expires_at` is the end of its lease as it was read, in seconds of the database's clock since the epoch.
    """

    id: UUID
    kind: str
    name: str
    node: str
    boot_id: str
    pid: int
    pid_started: float
    capacity: int
    expires_at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """What the database's clock said, in seconds since the epoch, and until when the lease lasts."""

    now: float
    expires_at: float


class Fetches(Protocol):
    """Something that runs one statement: a Database, or a connection of its own."""

    async def fetch(self, statement: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Run it and return its rows."""
        ...


async def register(database: Fetches, host: HostRow) -> LeaseRow:
    """Begin an incarnation."""
    rows = await database.fetch(queries.register_host, {**asdict(host), "lease_s": lease_s})
    return LeaseRow(**rows[0])


async def renew(database: Fetches, host_id: UUID) -> LeaseRow | None:
    """Renew the lease; None when the host was declared dead."""
    rows = await database.fetch(queries.renew_host, {"id": host_id, "lease_s": lease_s})
    return LeaseRow(**rows[0]) if rows else None


async def end(database: Fetches, host_ids: Sequence[UUID], *, state: str) -> None:
    """End leases at once: `drained` by themselves, `crashed` when their process is known to have exited."""
    await database.fetch(queries.end_hosts, {"ids": list(host_ids), "state": state})


async def condemn(database: Fetches, names: Sequence[str]) -> None:
    """These hosts are about to be ended on purpose: their runs go on elsewhere, and it counts against none of them."""
    await database.fetch(queries.condemn_hosts, {"names": list(names)})


async def live(database: Fetches) -> list[HostRow]:
    """The hosts that are live now."""
    return [HostRow(**row) for row in await database.fetch(queries.live_hosts, {})]


async def recorded(database: Fetches, name: str, boot_id: str) -> tuple[int, float] | None:
    """Process id and start time of the latest incarnation of a host on that machine, live or not."""
    rows = await database.fetch(queries.recorded_host, {"name": name, "boot_id": boot_id})
    return (rows[0]["pid"], rows[0]["pid_started"]) if rows else None
