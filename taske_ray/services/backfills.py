"""Backfill: runs for the instants of a schedule that have none, in a range of the past that a user names."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.ids import format_id
from taske_ray.core.schedule import fire_key
from taske_ray.core.times import format_time
from taske_ray.db.database import Database
from taske_ray.db.fire_values import Fire
from taske_ray.db.fires import instants_with_runs
from taske_ray.db.tasks import StoredTask
from taske_ray.errors import Invalid
from taske_ray.services.firing import Firing, refusal_of
from taske_ray.services.schedules import schedule_of
from taske_ray.services.tasks import Tasks

most_instants = 1_000
_tick = timedelta(microseconds=1)
_beginning = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Backfilled:
    """The runs that were made, oldest instant first, and how many instants had one already."""

    run_ids: tuple[str, ...]
    skipped: int

    def view(self) -> dict[str, Any]:
        """As it is answered."""
        return {"runs": len(self.run_ids), "skipped": self.skipped, "run_ids": list(self.run_ids)}


class Backfills:
    """Makes runs for instants that passed without one, under their own fire keys: repeating is harmless."""

    def __init__(self, database: Database, *, tasks: Tasks, firing: Firing) -> None:
        self._database = database
        self._tasks = tasks
        self._firing = firing

    async def backfill(
        self, task_id: str, first: datetime, last: datetime, *, owner: UUID, depth: int = 0
    ) -> Backfilled:
        """A run for each instant in [first, last] that has come and has none, whether the task is enabled or not.

        Overlap policies do not apply: whoever asks wants all of them. Raises NotFound, Invalid (not a schedule, an
        empty range, more than a thousand instants) and TooManyRequests when the queue is full; then again is harmless.
        """
        task = await self._tasks.stored(task_id, owner=owner)
        instants = _instants(task, first, last)
        if not instants:
            return Backfilled((), 0)
        known = await instants_with_runs(
            self._database,
            owner=owner,
            task_id=task.id,
            trigger_id=task.trigger_id,
            first=instants[0],
            last=instants[-1],
        )
        missing = [instant for instant in instants if instant not in known]
        fired = await asyncio.gather(*(self._firing.record(_fire(task, owner, instant, depth)) for instant in missing))
        made = tuple(format_id("run", one.run_id) for one in fired if one.status == "created")
        refused = next((one for one in fired if one.status in ("full", "spent")), None)
        if refused is not None:
            raise refusal_of(refused, note=f"; {len(made)} instants were run, ask again for the others")
        return Backfilled(made, len(instants) - len(made))


def _instants(task: StoredTask, first: datetime, last: datetime) -> list[datetime]:
    if task.kind not in ("cron", "interval"):
        raise Invalid("Only a task with a schedule can be backfilled", code="not_a_schedule")
    if first > last:
        raise Invalid.at("/until", "empty_range", "`until` is before `from`")
    schedule = schedule_of(task.kind, task.trigger_spec, task.anchor_at)
    if schedule is None:
        return []  # an interval counts from its enabling, and this one never was
    until = min(last, task.read_at)  # what is still to come is the watcher's
    found = schedule.instants(max(first, _beginning) - _tick, until, most_instants + 1)
    if len(found) > most_instants:
        message = f"The range has more than {most_instants} instants; the first {most_instants} end at "
        raise Invalid.at("/until", "too_many_instants", message + format_time(found[most_instants - 1]))
    return found


def _fire(task: StoredTask, owner: UUID, instant: datetime, depth: int) -> Fire:
    output = {"scheduled_at": format_time(instant), "fired_at": format_time(task.read_at), "missed_count": 0}
    return Fire(
        trigger_id=task.trigger_id,
        user_id=owner,
        task_id=task.id,
        task_version=task.version,
        fire_key=fire_key(instant),
        run_id=new_id(),
        input=output,
        scheduled_at=instant,
        must_be_enabled=False,
        depth=depth,
    )
