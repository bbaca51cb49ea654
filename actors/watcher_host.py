"""WatcherHost: the process that holds watchers, one per enabled trigger, thousands at a time.

It watches what the supervisor tells it to, and sweeps: a schedule that no watcher fired a second after its instant is
fired by whichever host finds it first, and a run that was held back by another of its task goes to the queue once that
has ended. Losing the process costs the time until its triggers are handed out again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from actors.directory import Directory
from actors.host_process import HostProcess
from actors.hosting import HostedActor, Hosting
from actors.housekeeping import Housekeeping, ask_every_s
from actors.integration_pool import IntegrationPool, Reply
from actors.watchers.cron import CronWatcher
from actors.watchers.poll import PollWatcher
from actors.watchers.ports import Ports
from actors.watchers.webhook import WebhookWatcher
from taske_ray.db.fire_values import Fired, PollFire, PollFired, ScheduleFire
from taske_ray.db.fires import FireStore
from taske_ray.db.triggers import TriggerStore, WatchedTrigger
from taske_ray.errors import NotFound

_sweep_s = 1.0
_own_lateness = timedelta(seconds=5)  # until then a schedule is left to the watcher that this host has for it
_log = logging.getLogger(__name__)


class WatcherHost:
    """The watchers of one process."""

    def __init__(self, name: str, node: str) -> None:
        self._process = HostProcess("watcher", name, node)
        self._versions: dict[UUID, int] = {}

    async def start(self) -> None:
        """Register, and begin to serve timers and to sweep."""
        process = self._process
        directory = Directory(process.database, gone=self._host_gone)
        self._pool = IntegrationPool(directory, reply_to=process.name, by_user=process.settings.limits.by_user)
        capacity = process.settings.density.watchers_per_host
        await process.open(capacity=capacity, lost=self._lost, directory=directory)
        self._triggers = TriggerStore(process.database)
        self._fires = FireStore(process.database, limits=process.settings.limits)
        self._hosting = Hosting(clock=process.clock, now_s=process.lease.now_s)
        self._ports = Ports(process.lease, _Recorder(self._fires, self._triggers), _Runs(directory), self._pool)
        process.run(self._hosting.keep())
        process.every(lambda: _sweep_s, self._sweep)
        process.every(lambda: _sweep_s, self._triggers.release_held)
        chores = Housekeeping(process.database, clock=process.clock, limits=process.settings.limits)
        process.every(lambda: ask_every_s, chores.ask)

    async def watch(self, ids: list[UUID]) -> None:
        """Begin to watch these triggers, or begin anew with what their rows say now."""
        for trigger in await self._triggers.load(ids):
            self._hosting.start(trigger.id, await self._make(trigger), self._maker(trigger.id))
            self._versions[trigger.id] = trigger.version

    async def unwatch(self, ids: list[UUID]) -> None:
        """Stop watching these triggers."""
        for trigger_id in ids:
            self._hosting.stop(trigger_id)
            self._versions.pop(trigger_id, None)

    async def watched(self) -> tuple[UUID, dict[UUID, int]]:
        """This incarnation, and the version of each trigger that it watches."""
        return self._process.lease.host_id, dict(self._versions)

    async def outcomes(self, replies: list[Reply]) -> None:
        """What integration clients send back."""
        self._pool.outcomes(replies)

    async def stats(self) -> dict[str, Any]:
        """Live counts, for metrics."""
        return {"watchers": len(self._hosting), "calls_in_flight": self._pool.in_flight}

    async def stop(self) -> None:
        """Fire nothing more, commit what was begun, end the lease."""
        self._hosting.clear()
        self._versions.clear()
        await self._fires.close()
        await self._process.close()

    async def _make(self, trigger: WatchedTrigger) -> HostedActor:
        if trigger.kind in ("cron", "interval"):
            return CronWatcher(trigger, self._ports, reload=self._reader(trigger.id))
        if trigger.kind == "poll":
            trigger = await self._current(trigger)
            capability = await self._process.capabilities.pinned(trigger.capability, trigger.capability_version)
            return PollWatcher(trigger, capability, self._ports, reload=self._reader(trigger.id))
        return WebhookWatcher(trigger)

    def _maker(self, trigger_id: UUID) -> Callable[[], Awaitable[HostedActor]]:
        async def make() -> HostedActor:
            found = await self._triggers.load([trigger_id])
            if not found:
                raise NotFound("The trigger is no longer enabled.")
            return await self._make(found[0])

        return make

    def _reader(self, trigger_id: UUID) -> Callable[[], Awaitable[WatchedTrigger | None]]:
        async def read() -> WatchedTrigger | None:
            found = await self._triggers.load([trigger_id])
            return await self._current(found[0]) if found else None

        return read

    async def _current(self, trigger: WatchedTrigger) -> WatchedTrigger:
        """The trigger on the capability version that it uses now: past compatible changes since it was saved."""
        version = await self._process.capabilities.for_run(trigger.capability, trigger.capability_version)
        return replace(trigger, capability_version=version)

    async def _sweep(self) -> None:
        """Fire what nobody fired in time; the watcher that slept over it finds its row moved and goes on from there."""
        if not self._process.lease.is_trusted:
            return
        late = self._process.lease.now() - _own_lateness
        left = [one for one in await self._triggers.overdue() if one.id not in self._hosting or _is_before(one, late)]
        watchers = [CronWatcher(trigger, self._ports, reload=self._reader(trigger.id)) for trigger in left]
        for failure in await asyncio.gather(*(watcher.act() for watcher in watchers), return_exceptions=True):
            if failure is not None:
                _log.error("a late schedule could not be fired", exc_info=failure)

    async def _lost(self) -> None:
        """Declared dead: others watch now."""
        self._hosting.clear()
        self._versions.clear()

    def _host_gone(self, host_id: UUID) -> None:
        self._pool.left(host_id)


def _is_before(trigger: WatchedTrigger, moment: datetime) -> bool:
    return trigger.next_fire_at is not None and trigger.next_fire_at < moment


class _Recorder:
    """The two stores of a watcher as one."""

    def __init__(self, fires: FireStore, triggers: TriggerStore) -> None:
        self._fires = fires
        self._triggers = triggers

    async def fire_schedule(self, fire: ScheduleFire) -> tuple[Fired, ...] | None:
        return await self._fires.fire_schedule(fire)

    async def fire_poll(self, fire: PollFire) -> PollFired:
        return await self._fires.fire_poll(fire)

    async def poll_failed(self, trigger_id: UUID, result: dict[str, object]) -> None:
        await self._triggers.poll_failed(trigger_id, result)

    async def known_items(self, trigger_id: UUID, keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
        return await self._triggers.known_items(trigger_id, keys)


class _Runs:
    """The run hosts."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def pick(self, key: bytes) -> UUID | None:
        return self._directory.taker(key)

    def begin(self, fired: tuple[Fired, ...]) -> None:
        for one in fired:
            if one.assigned is not None:
                self._directory.nudge(one.assigned.host, "take", one.assigned)
