"""CronWatcher: waits for its schedule's next instant and fires it; serves cron expressions and intervals.

The instant stands in the trigger's row, so a watcher that starts late, after a crash or a long stop, finds what it
missed and treats it by the trigger's misfire policy. Whoever moves the row on fires: a second watcher changes nothing,
reads the row again and goes on from there.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import cast

from actors.watchers.firing import fire_of
from actors.watchers.ports import Ports
from taske_ray.core.interval import parse_interval
from taske_ray.core.misfire import Due, Firing, Misfire, due
from taske_ray.core.schedule import Schedule, fire_key, parse_cron
from taske_ray.core.times import format_time
from taske_ray.crash_points import reach
from taske_ray.db.fire_values import Fire, ScheduleFire, Skip
from taske_ray.db.triggers import WatchedTrigger

_look_again = timedelta(seconds=1)


class CronWatcher:
    """The watcher of one schedule. `reload` reads the trigger's row again; None when it is no longer enabled."""

    def __init__(
        self, trigger: WatchedTrigger, ports: Ports, *, reload: Callable[[], Awaitable[WatchedTrigger | None]]
    ) -> None:
        self._trigger = trigger
        self._ports = ports
        self._reload = reload
        self._next = trigger.next_fire_at
        self._look_at: datetime | None = None
        self._schedule: Schedule | None = None

    @property
    def due_at(self) -> float | None:
        """The next instant, in seconds since the epoch; None when the schedule has come to its end."""
        moment = self._look_at or self._next
        return None if moment is None else moment.timestamp()

    async def act(self) -> None:
        """Fire what is due and move the row on."""
        now = self._ports.time.now()
        if self._look_at is not None:
            await self._look(now)
        if self._next is None or self._look_at is not None:
            return
        schedule = self._schedule = self._schedule or read_schedule(self._trigger)
        decision = due(schedule, self._next, now, cast(Misfire, self._trigger.misfire))
        if decision.next_fire_at == self._next:
            return  # the timer ran a little ahead of the database's clock
        fired = await self._ports.recorder.fire_schedule(self._written(decision, now))
        if fired is None:
            await self._look(now)
            return
        reach("C5")
        self._next = decision.next_fire_at
        self._ports.runs.begin(fired)

    async def _look(self, now: datetime) -> None:
        """Begin from what the row says: somebody else moved it, or the task was switched or edited."""
        trigger = await self._reload()
        if trigger is None or trigger.version != self._trigger.version:
            self._look_at = now + _look_again  # the supervisor ends or replaces this watcher, or it was switched twice
            return
        self._look_at, self._schedule = None, None
        self._trigger, self._next = trigger, trigger.next_fire_at

    def _written(self, decision: Due, now: datetime) -> ScheduleFire:
        trigger = self._trigger
        missed = decision.skipped
        sample = missed and {"first": format_time(missed.first), "last": format_time(missed.last)}
        assert self._next is not None
        return ScheduleFire(
            trigger_id=trigger.id,
            version=trigger.version,
            expected=self._next,
            next_fire_at=decision.next_fire_at,
            fires=tuple(self._fire(firing, now) for firing in decision.fire),
            skips=() if missed is None else (Skip(trigger.id, "misfire", missed.count, sample),),
        )

    def _fire(self, firing: Firing, now: datetime) -> Fire:
        output = {
            "scheduled_at": format_time(firing.at),
            "fired_at": format_time(now),
            "missed_count": firing.missed_count,
        }
        return fire_of(self._trigger, fire_key(firing.at), output, runs=self._ports.runs, scheduled_at=firing.at)


def read_schedule(trigger: WatchedTrigger) -> Schedule:
    """The schedule that a trigger's row describes."""
    if trigger.kind == "cron":
        return parse_cron(trigger.spec["cron"], trigger.spec.get("timezone") or "UTC")
    assert trigger.anchor_at is not None
    return parse_interval(trigger.spec["every"], trigger.anchor_at)
