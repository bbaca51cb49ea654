"""The rows of triggers, as watchers and the supervisor read them. They serve the machine; no route reaches them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from taske_ray.db import queries
from taske_ray.db.database import Database


@dataclass(frozen=True, slots=True)
class WatchedTrigger:
    """All that a watcher lives from."""

    id: UUID
    user_id: UUID
    task_id: UUID
    version: int
    kind: str
    capability: str
    capability_version: int
    connection_id: UUID | None
    spec: dict[str, Any]
    misfire: str
    overlap: str
    anchor_at: datetime | None
    next_fire_at: datetime | None
    cursor: dict[str, Any] | None
    cursor_version: int
    consecutive_errors: int


@dataclass(frozen=True, slots=True)
class TriggerChange:
    """A trigger that was created or changed; a deleted one shows only in the full list."""

    id: UUID
    version: int
    enabled: bool
    change: int


class TriggerStore:
    """What should be watched."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def desired(self) -> dict[UUID, int]:
        """Every enabled trigger's version."""
        return {row["id"]: row["version"] for row in await self._database.fetch(queries.desired_triggers)}

    async def changes(self, since: int) -> list[TriggerChange]:
        """Triggers that changed after `since`."""
        return [TriggerChange(**r) for r in await self._database.fetch(queries.trigger_changes, {"since": since})]

    async def load(self, ids: Sequence[UUID]) -> list[WatchedTrigger]:
        """These triggers, as far as they are enabled."""
        rows = await self._database.fetch(queries.load_triggers, {"ids": list(ids)})
        return [WatchedTrigger(**row) for row in rows]

    async def overdue(self) -> list[WatchedTrigger]:
        """Schedules that nobody fired in time."""
        return [WatchedTrigger(**row) for row in await self._database.fetch(queries.overdue_triggers)]

    async def zones(self) -> dict[str, bytes | None]:
        """The time zones of enabled schedules, each with the digest of the rules their instants were computed by."""
        rows = await self._database.fetch(queries.schedule_zones)
        return {row["zone"]: row["digest"] for row in rows}

    async def scheduled_in(self, zone: str, after: UUID | None, limit: int) -> list[WatchedTrigger]:
        """A page of the enabled schedules of a zone whose next instant is still to come, by id."""
        values = {"zone": zone, "after": after, "limit": limit}
        return [WatchedTrigger(**row) for row in await self._database.fetch(queries.scheduled_in_zone, values)]

    async def move_instants(self, moves: Sequence[tuple[UUID, datetime | None, datetime | None]]) -> None:
        """Set the next instants of (trigger, from, to), where nobody else has moved them since."""
        values = {
            "ids": [trigger_id for trigger_id, _, _ in moves],
            "expected": [expected for _, expected, _ in moves],
            "next_fire_ats": [instant for _, _, instant in moves],
        }
        await self._database.fetch(queries.move_instants, values)

    async def keep_zone(self, zone: str, digest: bytes) -> None:
        """Remember which rules the instants of a zone were computed by."""
        await self._database.fetch(queries.keep_zone, {"zone": zone, "digest": digest})

    async def release_held(self) -> int:
        """Let runs start that waited for another run of their task to end; how many."""
        return len(await self._database.fetch(queries.release_held))

    async def poll_failed(self, trigger_id: UUID, result: dict[str, Any]) -> None:
        """Record a check that failed."""
        await self._database.fetch(queries.poll_failed, {"id": trigger_id, "result": orjson.dumps(result).decode()})

    async def known_items(self, trigger_id: UUID, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (key, version key) the trigger's ledger has."""
        parameters = {"id": trigger_id, "keys": [k for k, _ in keys], "version_keys": [v for _, v in keys]}
        return {(r["key"], r["version_key"]) for r in await self._database.fetch(queries.known_items, parameters)}
