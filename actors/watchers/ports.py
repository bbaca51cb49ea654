"""What a watcher needs from its host."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from taske_ray.core.call import Call
from taske_ray.core.outcome import Outcome
from taske_ray.db.fire_values import Fired, PollFire, PollFired, ScheduleFire


class Time(Protocol):
    """The database's clock as the host knows it, and its lease, by that clock."""

    @property
    def host_id(self) -> UUID:
        """Whose lease it is."""
        ...

    @property
    def ends_at(self) -> float:
        """The lease's end, in seconds since the epoch."""
        ...

    @property
    def is_trusted(self) -> bool:
        """Whether this process may still act."""
        ...

    def now(self) -> datetime:
        """The current instant."""
        ...


class Recorder(Protocol):
    """Where events are recorded, each with its run."""

    async def fire_schedule(self, fire: ScheduleFire) -> tuple[Fired, ...] | None:
        """Move a schedule on; None when somebody else already had."""
        ...

    async def fire_poll(self, fire: PollFire) -> PollFired:
        """Record a page of a poll."""
        ...

    async def poll_failed(self, trigger_id: UUID, result: dict[str, object]) -> None:
        """Record a check that failed."""
        ...

    async def known_items(self, trigger_id: UUID, keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these items the ledger has."""
        ...


class Runs(Protocol):
    """Who executes the runs."""

    def pick(self, key: bytes) -> UUID | None:
        """The host that should take a run."""
        ...

    def begin(self, fired: tuple[Fired, ...]) -> None:
        """Nudge the hosts of runs that were just recorded."""
        ...


class Calls(Protocol):
    """Who makes the requests."""

    async def perform(self, call: Call) -> Outcome:
        """Make it and return its outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them."""

    time: Time
    recorder: Recorder
    runs: Runs
    calls: Calls
