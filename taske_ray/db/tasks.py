"""Rows of tasks, their versions and their triggers: each write is one statement, so they cannot disagree."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from taske_ray.db import queries
from taske_ray.db.audit import Entry
from taske_ray.db.database import Database

_lock_tasks = "SELECT pg_advisory_xact_lock(hashtextextended('tasks:' || %(user_id)s::uuid, 0))"


@dataclass(frozen=True, slots=True)
class HookRow:
    """The hook of a webhook trigger: the digest of its token, and the sealed token (with its literal secrets)."""

    hook_hash: bytes | None = None
    hook_data_key: UUID | None = None
    hook_sealed: bytes | None = None


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """What a task's trigger is from now on. `reset`: it watches something else than before."""

    kind: str
    capability: str
    capability_version: int
    connection_id: UUID | None
    spec: dict[str, Any]
    misfire: str = "once"
    anchor_at: datetime | None = None
    next_fire_at: datetime | None = None
    hook: HookRow = HookRow()
    hook_mode: str | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True)
class TaskText:
    """What a task is from now on."""

    name: str
    enabled: bool
    overlap: str
    spec: dict[str, Any]
    pins: dict[str, int]
    trigger: TriggerRow


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task as it stands, with its trigger; `read_at` is the database's clock."""

    id: UUID
    user_id: UUID
    version: int
    name: str
    enabled: bool
    overlap: str
    created_at: datetime
    updated_at: datetime
    spec: dict[str, Any]
    pins: dict[str, int]
    trigger_id: UUID
    kind: str
    capability: str
    capability_version: int
    connection_id: UUID | None
    trigger_spec: dict[str, Any]
    misfire: str
    anchor_at: datetime | None
    next_fire_at: datetime | None
    paused_reason: str | None
    hook_hash: bytes | None
    hook_data_key: UUID | None
    hook_sealed: bytes | None
    read_at: datetime


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A saved version of a task."""

    version: int
    spec: dict[str, Any]
    pins: dict[str, int]
    created_at: datetime


class TaskRows:
    """The tasks of users; every method names the owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """The database's clock."""
        rows = await self._database.fetch("SELECT clock_timestamp() AS now")
        now: datetime = rows[0]["now"]
        return now

    async def create(
        self, *, owner: UUID, task_id: UUID, trigger_id: UUID, task: TaskText, limit: int, entry: Entry
    ) -> bool:
        """Insert a task; False when the user has `limit` tasks already. `entry`, here as below: for the audit trail."""
        values = _columns(task) | {"user_id": owner, "task_id": task_id, "trigger_id": trigger_id, "task_limit": limit}
        values |= {"act": entry.as_json()}
        async with self._database.hot_transaction(owner=owner) as connection:
            await connection.execute(_lock_tasks, {"user_id": owner})
            created = await connection.execute(queries.create_task, values)
            return await created.fetchone() is not None

    async def replace(
        self, *, owner: UUID, task_id: UUID, trigger_id: UUID, expected: int, task: TaskText, entry: Entry
    ) -> int | None:
        """Save the next version; its number, or None when `expected` is no longer the newest."""
        values = _columns(task) | {"user_id": owner, "task_id": task_id, "trigger_id": trigger_id}
        values |= {"expected": expected, "reset": task.trigger.reset, "act": entry.as_json()}
        rows = await self._database.fetch(queries.replace_task, values, owner=owner)
        return rows[0]["version"] if rows else None

    async def switch(
        self,
        *,
        owner: UUID,
        task_id: UUID,
        expected: int,
        enabled: bool,
        anchor_at: datetime | None,
        next_fire_at: datetime | None,
        entry: Entry,
    ) -> bool:
        """Enable or disable; False when `expected` is no longer the newest version."""
        values = {"user_id": owner, "task_id": task_id, "expected": expected, "enabled": enabled}
        values |= {"anchor_at": anchor_at, "next_fire_at": next_fire_at, "act": entry.as_json()}
        return bool(await self._database.fetch(queries.switch_task, values, owner=owner))

    async def rotate_hook(self, *, owner: UUID, task_id: UUID, expected: int, hook: HookRow, entry: Entry) -> bool:
        """Another hook for a task; False when `expected` is no longer the newest version."""
        values = {"user_id": owner, "task_id": task_id, "expected": expected, **asdict(hook), "act": entry.as_json()}
        return bool(await self._database.fetch(queries.rotate_hook, values, owner=owner))

    async def get(self, *, owner: UUID, task_id: UUID) -> StoredTask | None:
        """One task of a user."""
        rows = await self._database.fetch(queries.read_task, {"user_id": owner, "task_id": task_id}, owner=owner)
        return StoredTask(**rows[0]) if rows else None

    async def list(
        self, *, owner: UUID, after: UUID | None = None, limit: int = 50, name: str | None = None
    ) -> Sequence[StoredTask]:
        """A page of a user's tasks, newest first, beginning behind `after`."""
        values = {"user_id": owner, "after": after, "limit": limit, "name": name}
        statement = queries.list_tasks if name is None else queries.list_tasks_named
        return [StoredTask(**row) for row in await self._database.fetch(statement, values, owner=owner)]

    async def delete(self, *, owner: UUID, task_id: UUID, expected: int | None, entry: Entry) -> bool:
        """Delete a task (of this version, if one is named); False if there is none."""
        values = {"user_id": owner, "task_id": task_id, "expected": expected, "act": entry.as_json()}
        return bool(await self._database.fetch(queries.delete_task, values, owner=owner))

    async def versions(
        self, *, owner: UUID, task_id: UUID, before: int | None = None, limit: int = 50
    ) -> Sequence[StoredVersion]:
        """A page of a task's versions, newest first."""
        rows = await self._database.fetch(
            "SELECT version, spec, pins, created_at FROM task_versions WHERE task_id = %(task_id)s"
            " AND user_id = %(user_id)s AND (%(before)s::int IS NULL OR version < %(before)s)"
            " ORDER BY version DESC LIMIT %(limit)s",
            {"task_id": task_id, "user_id": owner, "before": before, "limit": limit},
            owner=owner,
        )
        return [StoredVersion(**row) for row in rows]


async def find_hook(database: Database, *, digest: bytes) -> dict[str, Any] | None:
    """The webhook trigger behind a token's digest, with the data key that sealed it."""
    rows = await database.fetch(queries.find_hook, {"digest": digest})
    return rows[0] if rows else None


def _columns(task: TaskText) -> dict[str, Any]:
    trigger = task.trigger
    return {
        "name": task.name,
        "enabled": task.enabled,
        "overlap": task.overlap,
        "spec": orjson.dumps(task.spec).decode(),
        "pins": orjson.dumps(task.pins).decode(),
        "kind": trigger.kind,
        "capability": trigger.capability,
        "capability_version": trigger.capability_version,
        "connection_id": trigger.connection_id,
        "trigger_spec": orjson.dumps(trigger.spec).decode(),
        "misfire": trigger.misfire,
        "anchor_at": trigger.anchor_at,
        "next_fire_at": trigger.next_fire_at,
        "hook_mode": trigger.hook_mode,
        "hook_hash": trigger.hook.hook_hash,
        "hook_data_key": trigger.hook.hook_data_key,
        "hook_sealed": trigger.hook.hook_sealed,
    }
