"""Why a task did or did not run, from what the rows say."""

from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.core.ids import format_id
from taske_ray.core.times import format_time
from taske_ray.db.database import Database
from taske_ray.db.history import History
from taske_ray.db.subscriptions import standing_of
from taske_ray.db.tasks import StoredTask
from taske_ray.services.schedules import next_fires
from taske_ray.services.tasks import Tasks

_reasons = {
    "misfire": "due while the service was away, and left out by the misfire policy",
    "duplicate": "the same delivery or item again",
    "filtered": "kept out by the trigger's filter",
    "disabled": "arrived while the task was disabled",
    "quota": "over a limit, or another run was live (overlap)",
    "invalid_signature": "without a valid signature",
    "invalid": "not understandable",
    "handshake": "a handshake of the service",
    "loop": "caused by this task itself",
}

_misfires = {
    "skip": "are left out",
    "once": "become one run, for the latest of the last 24 h",
    "all": "become a run each, for the latest 100 of the last 24 h",
}


class Explanations:
    """Answers the question of users whose task was silent."""

    def __init__(self, database: Database, *, tasks: Tasks) -> None:
        self._database = database
        self._tasks = tasks
        self._history = History(database)

    async def explain(self, task_id: str, *, owner: UUID, since: datetime | None) -> dict[str, Any]:
        """Next instants, last checks, and what did not become a run. Raises NotFound."""
        task = await self._tasks.stored(task_id, owner=owner)
        checks = await self._history.checks(owner=owner, trigger_id=task.trigger_id)
        skips = await self._history.skips(owner=owner, trigger_id=task.trigger_id, since=since)
        scheduled = task.kind in ("cron", "interval")
        fires = next_fires(task.kind, task.trigger_spec, task.anchor_at, task.read_at) if task.enabled else []
        return {
            "task_id": format_id("task", task.id),
            "enabled": task.enabled,
            "paused_reason": task.paused_reason,
            "misfire": task.misfire if scheduled else None,
            "next_fires": fires,
            "checks": checks,
            "subscription": await self._subscription(task, owner),
            "skips": skips,
            "notes": _notes(task, fires, skips, checked=bool(checks)),
        }

    async def _subscription(self, task: StoredTask, owner: UUID) -> dict[str, Any] | None:
        """How the webhook stands at its service, where we register it."""
        if task.kind != "webhook":
            return None
        return await standing_of(self._database, owner=owner, trigger_id=task.trigger_id)


def _notes(task: StoredTask, fires: list[datetime], skips: Any, *, checked: bool) -> list[str]:
    notes = [] if task.enabled else ["The task is disabled: only runs by hand happen."]
    if task.paused_reason:
        notes.append(f"The trigger is paused: {task.paused_reason}.")
    if fires:
        notes.append(f"It is next due at {format_time(fires[0])}.")
    if task.kind in ("cron", "interval"):
        notes.append(f"Instants that pass while the service is away {_misfires[task.misfire]}.")
    if task.kind == "manual":
        notes.append("It runs only when someone runs it.")
    if task.kind == "poll" and not checked:
        notes.append("It has not been checked yet.")
    counts: dict[str, int] = {}
    for skip in skips:
        counts[skip["reason"]] = counts.get(skip["reason"], 0) + skip["count"]
    return notes + [
        f"{count} did not become a run: {_reasons.get(reason, reason)}." for reason, count in counts.items()
    ]
