"""A small world in a real database: users with triggers, hosts with leases, and the stores that write runs."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taske_ray.clock import new_id
from taske_ray.core.times import format_time
from taske_ray.db import hosts
from taske_ray.db.audit import Entry
from taske_ray.db.fire_values import Fire
from taske_ray.db.fires import FireStore
from taske_ray.db.hosts import HostRow
from taske_ray.db.runs import RunStore
from taske_ray.db.tasks import TaskRows, TaskText, TriggerRow
from taske_ray.db.triggers import TriggerStore

EVERYTHING = "users, run_ends, runs, steps, attempts, events, skips, hosts, mails, checks, poll_ledger, run_counts"


@dataclass(frozen=True, slots=True)
class Trigger:
    """The ids of a trigger that was made for a test."""

    id: UUID
    user_id: UUID
    task_id: UUID
    version: int = 1


@dataclass(slots=True)
class World:
    """What tests of the hot path need, and nothing more."""

    database: Any
    engine: Any
    fires: FireStore
    triggers: TriggerStore
    _stores: list[RunStore] = field(default_factory=list)

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        return await self.database.fetch(statement, values)

    async def value(self, statement: str, **values: Any) -> Any:
        """The one value that a statement returns."""
        return next(iter((await self.rows(statement, **values))[0].values()))

    async def run(self, run_id: UUID) -> dict[str, Any]:
        """A run's row."""
        return (await self.rows("SELECT * FROM runs WHERE id = %(id)s", id=run_id))[0]

    async def attempts(self, run_id: UUID) -> list[tuple[int, int, str]]:
        """A run's attempts as (step, number, status)."""
        found = await self.rows("SELECT * FROM attempts WHERE run_id = %(id)s ORDER BY step, number", id=run_id)
        return [(row["step"], row["number"], row["status"]) for row in found]

    async def skips(self, trigger: Trigger) -> dict[str, int]:
        """How many occurrences of a trigger were skipped, by reason."""
        found = await self.rows(
            "SELECT reason, sum(count)::int AS n FROM skips WHERE trigger_id = %(id)s GROUP BY reason", id=trigger.id
        )
        return {row["reason"]: row["n"] for row in found}

    async def user(self) -> UUID:
        """A new user."""
        user_id = new_id()
        await self.rows("INSERT INTO users (id, email) VALUES (%(id)s, %(id)s::text)", id=user_id)
        return user_id

    async def trigger(
        self,
        kind: str = "webhook",
        *,
        user_id: UUID | None = None,
        due_in: timedelta | None = None,
        misfire: str = "once",
        overlap: str = "allow",
    ) -> Trigger:
        """A new enabled trigger with its task; `due_in`: when it is due, from now."""
        owner, task_id, trigger_id = user_id or await self.user(), new_id(), new_id()
        spec = {"actions": [{"capability": "http.request", "params": {}}]}
        due_at = None if due_in is None else datetime.now(UTC) + due_in
        row = TriggerRow(kind, f"{kind}.x", 1, None, {}, misfire=misfire, next_fire_at=due_at)
        text = TaskText("t", enabled=True, overlap=overlap, spec=spec, pins={"http.request": 1}, trigger=row)
        tasks = TaskRows(self.database)
        entry = Entry(new_id(), "task.create", owner)
        assert await tasks.create(
            owner=owner, task_id=task_id, trigger_id=trigger_id, task=text, limit=1000, entry=entry
        )
        return Trigger(trigger_id, owner, task_id)

    async def host(self, *, capacity: int = 100, kind: str = "run", lease_s: float = 30) -> UUID:
        """A live host."""
        host_id = new_id()
        await hosts.register(self.database, HostRow(host_id, kind, str(host_id), "n", "boot", 1, 1.0, capacity))
        await self.rows(
            "UPDATE hosts SET expires_at = clock_timestamp() + make_interval(secs => %(s)s) WHERE id = %(id)s",
            s=lease_s,
            id=host_id,
        )
        return host_id

    async def expire(self, host_id: UUID) -> None:
        """From now on the host's lease is over."""
        await self.rows(
            "UPDATE hosts SET expires_at = clock_timestamp() - interval '1 ms' WHERE id = %(id)s", id=host_id
        )

    def store(self, host_id: UUID) -> RunStore:
        """What a host writes its runs with."""
        store = RunStore(self.engine, owner=lambda: host_id, patience_s=0.5)
        self._stores.append(store)
        return store

    def event(self, trigger: Trigger, key: str = "k", **more: Any) -> Fire:
        """An occurrence of a trigger."""
        given = {"run_id": new_id(), "input": {"key": key}, "trigger_version": trigger.version, **more}
        return Fire(
            trigger_id=trigger.id,
            user_id=trigger.user_id,
            task_id=trigger.task_id,
            task_version=trigger.version,
            fire_key=key,
            **given,
        )

    async def queued(self, trigger: Trigger, count: int) -> list[UUID]:
        """So many queued runs of a trigger."""
        fires = [self.event(trigger, f"queued {new_id()}") for _ in range(count)]
        for first in fires:
            await self.fires.fire(first)
        return [one.run_id for one in fires]

    def limit(self, **figures: int | None) -> None:
        """From now on events are recorded within these limits."""
        self.fires._limits = replace(self.fires._limits, **figures)

    async def close(self) -> None:
        """Commit what is under way."""
        await self.fires.close()
        for store in self._stores:
            await store.close()


@pytest.fixture
async def world(database, engine_database):
    """An empty database, with tools to fill it; what hosts and hooks do is done in their role."""
    await database.fetch(f"TRUNCATE {EVERYTHING} CASCADE")
    made = World(database, engine_database, FireStore(engine_database), TriggerStore(engine_database))
    yield made
    await made.close()


@pytest.fixture
async def owned(world):
    """A host's store and a run that it owns."""
    host, trigger = await world.host(), await world.trigger()
    fired = await world.fires.fire(world.event(trigger, "a", host=host))
    return world.store(host), fired.assigned


@pytest.fixture
def instant():
    """Instants as fire keys."""
    return format_time


@pytest.fixture
def changed():
    """The same value with other fields."""
    return replace
