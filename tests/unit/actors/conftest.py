"""What a watcher has around it, in memory: a recorder that behaves like the rows, hosts and clients."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import pytest

from actors.watchers.ports import Ports
from taske_ray.clock import new_id
from taske_ray.core.outcome import Outcome
from taske_ray.db.fire_values import AssignedRun, Fired, PollFired
from taske_ray.db.triggers import WatchedTrigger
from taske_ray.testing import ManualClock


@dataclass
class World:
    """One trigger's row, and everything that its watcher reaches; it is its own port."""

    clock: ManualClock = field(default_factory=ManualClock)
    host: UUID | None = field(default_factory=new_id)
    row: WatchedTrigger | None = None
    ledger: set[tuple[str, str]] = field(default_factory=set)
    fired: list = field(default_factory=list)
    skips: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    begun: list = field(default_factory=list)
    status: str = "created"
    full: bool = False
    host_id: UUID = field(default_factory=new_id)
    ends_at: float = 0.0

    def __post_init__(self):
        """Its lease is long."""
        self.ends_at = self.now().timestamp() + 1_000_000

    @property
    def ports(self) -> Ports:
        """What the watcher is given."""
        return Ports(self, self, self, self)

    def trigger(self, kind, **more) -> WatchedTrigger:
        """Make the row."""
        empty = dict.fromkeys(("connection_id", "anchor_at", "next_fire_at", "cursor"))
        given = {"misfire": "once", "overlap": "allow", "spec": {}, "version": 1, "cursor_version": 0} | empty | more
        self.row = WatchedTrigger(
            id=new_id(),
            user_id=new_id(),
            task_id=new_id(),
            kind=kind,
            capability="http.poll",
            capability_version=1,
            consecutive_errors=0,
            **given,
        )
        return self.row

    @property
    def is_trusted(self) -> bool:
        """Whether the lease still holds."""
        return self.now().timestamp() < self.ends_at

    def now(self) -> datetime:
        """The database's clock."""
        return self.clock.now()

    def pick(self, _key):
        """The one host."""
        return self.host

    def begin(self, fired):
        """Nudge."""
        self.begun += fired

    async def perform(self, call):
        """Answer a call with what is lined up."""
        self.calls.append(call)
        outcome = self.outcomes.pop(0)
        return outcome() if callable(outcome) else outcome

    async def reload(self):
        """The row as it is now."""
        return self.row

    async def fire_schedule(self, fire):
        """Move the row on if it is where it is expected."""
        if self.row is None or self.row.next_fire_at != fire.expected or self.row.version != fire.version:
            return None
        self.row = replace(self.row, next_fire_at=fire.next_fire_at)
        self.skips += fire.skips
        return tuple(self._fire(one) for one in fire.fires)

    async def fire_poll(self, fire):
        """Ledger and cursor together."""
        if self.row is None or self.row.cursor_version != fire.cursor_version:
            return PollFired(lost=True)
        if self.full:
            return PollFired(full=True)
        new = [(key, version, one) for key, version, one in fire.candidates if (key, version) not in self.ledger]
        self.ledger |= {(key, version) for key, version, _ in fire.candidates} | set(fire.seed)
        self.row = replace(self.row, cursor=fire.cursor, cursor_version=fire.cursor_version + 1, consecutive_errors=0)
        return PollFired(tuple(self._fire(one) for *_, one in new), len(fire.candidates) - len(new))

    async def poll_failed(self, _trigger_id, result):
        """Count."""
        self.failures.append(result)
        self.row = replace(self.row, consecutive_errors=self.row.consecutive_errors + 1)

    async def known_items(self, _trigger_id, keys):
        """What the ledger has."""
        return self.ledger & set(keys)

    def _fire(self, fire):
        self.fired.append(fire)
        assigned = AssignedRun(fire.run_id, fire.host, 1, fire.user_id, fire.task_id, 1, fire.trigger_id, fire.input)
        return Fired(fire.run_id, self.status, assigned if fire.host else None)


@pytest.fixture
async def world():
    return World()
