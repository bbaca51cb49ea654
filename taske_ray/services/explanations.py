"""Why a task did or did not run, from what the rows say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from taske_ray.core.ids import format_id
from taske_ray.core.times import format_time
from taske_ray.db.database import Database
from taske_ray.db.history import History
from taske_ray.db.subscriptions import standing_of
from taske_ray.db.tasks import StoredTask
from taske_ray.db.usage import RunOutcome, outcomes_of, usage_of
from taske_ray.limits import Limits, codes, figures, profiles
from taske_ray.services.catalog_cache import CapabilityCache
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

_least_patience = timedelta(minutes=15)

_excesses = {
    "queue_full": "too many of your runs are waiting",
    "runs_per_day": "you have had all the runs of the day (UTC)",
    "rate": "more a second than this service takes",
    "overlap": "another run of the task was live",
}

_states = {
    "queued": "wait for a slot",
    "waiting": "wait",
    "failed": "failed",
    "needs_attention": "wait for your decision",
}

_misfires = {
    "skip": "are left out",
    "once": "become one run, for the latest of the last 24 h",
    "all": "become a run each, for the latest 100 of the last 24 h",
}


class Explanations:
    """Answers the question of users whose task was silent."""

    def __init__(
        self, database: Database, *, tasks: Tasks, cache: CapabilityCache, limits: Limits = profiles["default"]
    ) -> None:
        self._database = database
        self._cache = cache
        self._tasks = tasks
        self._limits = limits
        self._history = History(database)

    async def explain(self, task_id: str, *, owner: UUID, since: datetime | None) -> dict[str, Any]:
        """Next instants, last checks, and what did not become a run. Raises NotFound."""
        task = await self._tasks.stored(task_id, owner=owner)
        checks = await self._history.checks(owner=owner, trigger_id=task.trigger_id)
        skips = await self._history.skips(owner=owner, trigger_id=task.trigger_id, since=since)
        outcomes = await outcomes_of(self._database, owner=owner, task_id=task.id)
        used = await usage_of(self._database, owner=owner, limits=self._limits)
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
            "outcomes": [asdict(one) | {"run_id": format_id("run", one.run_id)} for one in outcomes],
            "limits": self._limits_view(used),
            "notes": [
                *_notes(task, fires, checked=bool(checks)),
                *_words_of_checks(task, checks, await self._every(task)),
                *_words_of_skips(skips),
                *_words_of_outcomes(outcomes),
                *self._words_of_limits(used),
            ],
        }

    async def _subscription(self, task: StoredTask, owner: UUID) -> dict[str, Any] | None:
        """How the webhook stands at its service, where we register it."""
        if task.kind != "webhook":
            return None
        return await standing_of(self._database, owner=owner, trigger_id=task.trigger_id)

    async def _every(self, task: StoredTask) -> timedelta:
        """How often its list is looked at: as the task says, else as the capability does."""
        if task.kind != "poll":
            return timedelta()
        rules = (await self._cache.pinned(task.capability, task.capability_version)).poll
        return timedelta() if rules is None else rules.interval(task.trigger_spec)

    def _limits_view(self, used: dict[str, int]) -> list[dict[str, Any]]:
        """Each limit with its figure, the code of its excess, and how much is used, where that can be counted."""
        return [
            {"name": name, "limit": getattr(self._limits, name), "code": codes.get(name), "used": used.get(name)}
            for name in figures
        ]

    def _words_of_limits(self, used: dict[str, int]) -> list[str]:
        reached = [(name, getattr(self._limits, name), count) for name, count in used.items()]
        return [
            f"You have reached a limit: {name.replace('_', ' ')}, {count} of {limit}."
            for name, limit, count in reached
            if limit is not None and count >= limit
        ]


def _notes(task: StoredTask, fires: list[datetime], *, checked: bool) -> list[str]:
    notes = [] if task.enabled else ["The task is disabled: only runs by hand happen."]
    if task.paused_reason:
        word = "paused" if task.enabled else "switched off"
        notes.append(f"The trigger is {word}: {task.paused_reason}.")
    if fires:
        notes.append(f"It is next due at {format_time(fires[0])}.")
    if task.kind in ("cron", "interval"):
        notes.append(f"Instants that pass while the service is away {_misfires[task.misfire]}.")
    if task.kind == "manual":
        notes.append("It runs only when someone runs it.")
    if task.kind == "poll" and not checked:
        notes.append("It has not been checked yet.")
    return notes


def _words_of_checks(task: StoredTask, checks: Sequence[dict[str, Any]], every: timedelta) -> list[str]:
    """A poll whose checks have failed for three intervals, and for a quarter of an hour (durability, 8.4)."""
    if task.kind != "poll" or not task.enabled or not checks:
        return []
    good = [one["checked_at"] for one in checks if "error" not in one["result"]]
    since: datetime = good[0] if good else checks[-1]["checked_at"]  # newest first
    if task.read_at - since <= max(_least_patience, 3 * every):
        return []
    return [f"No check has succeeded since {format_time(since)}."]


def _words_of_skips(skips: Sequence[dict[str, Any]]) -> list[str]:
    counts: Counter[str] = Counter()
    for skip in skips:
        detail = skip["sample"].get("detail") if isinstance(skip["sample"], dict) else None
        counts[_excesses.get(str(detail)) or _reasons.get(skip["reason"], skip["reason"])] += skip["count"]
    return [f"{count} did not become a run: {why}." for why, count in counts.items()]


def _words_of_outcomes(outcomes: Sequence[RunOutcome]) -> list[str]:
    return [f"Of its latest runs {one.count} {_states[one.status]}: {one.code}." for one in outcomes]
