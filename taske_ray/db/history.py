"""Runs as their owners read them: lists and details, never written here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.db import queries
from taske_ray.db.database import Database


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs of a user: by task, by status, created in a range."""

    task_id: UUID | None = None
    status: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in the history."""

    id: UUID
    user_id: UUID
    task_id: UUID
    task_version: int
    trigger_id: UUID | None
    status: str
    input: Any
    error: Any
    scheduled_at: datetime | None
    replay_of: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A step in the history, with its attempts as `{number, status, http_status, started_at, finished_at, …}`."""

    step: int
    key: str
    capability: str
    status: str
    input: Any
    output: Any
    error: Any
    started_at: datetime
    finished_at: datetime | None
    attempts: list[dict[str, Any]]


class History:
    """The runs of users; every method names the owner."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, *, owner: UUID, only: RunFilter = RunFilter(), after: UUID | None = None, limit: int = 50
    ) -> Sequence[StoredRun]:
        """A page of runs, newest first, beginning behind `after`."""
        values = {
            "user_id": owner,
            "task_id": only.task_id,
            "status": only.status,
            "created_after": only.created_after,
            "created_before": only.created_before,
            "after": after,
            "limit": limit,
        }
        # two statements, so that each keeps to its own index whatever plan the server has prepared
        statement = queries.list_runs if only.task_id is None else queries.list_runs_of_task
        return [StoredRun(**row) for row in await self._database.fetch(statement, values, owner=owner)]

    async def get(self, *, owner: UUID, run_id: UUID) -> StoredRun | None:
        """One run of a user."""
        rows = await self._database.fetch(queries.read_run, {"user_id": owner, "run_id": run_id}, owner=owner)
        return StoredRun(**rows[0]) if rows else None

    async def steps(self, *, owner: UUID, run_id: UUID) -> Sequence[StoredStep]:
        """What a run of a user has recorded, in order."""
        rows = await self._database.fetch(queries.read_steps, {"user_id": owner, "run_id": run_id}, owner=owner)
        return [StoredStep(**row) for row in rows]

    async def planned(self, *, owner: UUID, task_id: UUID, version: int) -> dict[str, Any] | None:
        """The text of a task version: which steps a run was to have. None when the task is gone."""
        rows = await self._database.fetch(
            "SELECT spec FROM task_versions WHERE task_id = %(task_id)s AND version = %(version)s"
            " AND user_id = %(user_id)s",
            {"task_id": task_id, "version": version, "user_id": owner},
            owner=owner,
        )
        return rows[0]["spec"] if rows else None

    async def last_success(self, *, owner: UUID, task_id: UUID) -> StoredRun | None:
        """The newest run of a task that succeeded."""
        found = await self.list(owner=owner, only=RunFilter(task_id=task_id, status="succeeded"), limit=1)
        return found[0] if found else None

    async def copy_steps(self, *, owner: UUID, source: UUID, target: UUID, before: int) -> None:
        """Give a replay the recorded steps of its original that come before step `before`, prior to its firing."""
        values = {"source": source, "target": target, "before": before}
        await self._database.fetch(queries.copy_steps, values, owner=owner)

    async def checks(self, *, owner: UUID, trigger_id: UUID, limit: int = 20) -> Sequence[dict[str, Any]]:
        """The last checks of a polling trigger: `{checked_at, result}`, newest first."""
        return await self._database.fetch(
            "SELECT c.checked_at, c.result FROM checks c JOIN triggers g ON g.id = c.trigger_id"
            " WHERE c.trigger_id = %(trigger_id)s AND g.user_id = %(user_id)s"
            " ORDER BY c.checked_at DESC LIMIT %(limit)s",
            {"trigger_id": trigger_id, "user_id": owner, "limit": limit},
            owner=owner,
        )

    async def skips(
        self, *, owner: UUID, trigger_id: UUID, since: datetime | None = None, limit: int = 50
    ) -> Sequence[dict[str, Any]]:
        """What did not become a run: `{reason, first_at, last_at, count, sample}`, newest first."""
        return await self._database.fetch(
            "SELECT s.reason, s.first_at, s.last_at, s.count, s.sample"
            " FROM skips s JOIN triggers g ON g.id = s.trigger_id"
            " WHERE s.trigger_id = %(trigger_id)s AND g.user_id = %(user_id)s"
            " AND (%(since)s::timestamptz IS NULL OR s.last_at >= %(since)s) ORDER BY s.last_at DESC LIMIT %(limit)s",
            {"trigger_id": trigger_id, "user_id": owner, "since": since, "limit": limit},
            owner=owner,
        )
