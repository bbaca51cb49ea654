"""TriggerSupervisor: makes what is live equal to what is desired, and keeps every host alive.

    desired  = enabled triggers in PostgreSQL           read in full at a nudge, twice a second from the last change on
    live     = what the watcher hosts say they watch    both sides in full, the hosts asked again, every ten seconds
    plan     = core.reconcile.plan(desired, live)       pure; planning twice changes nothing

It may forget everything: a new one reads both sides again. Two of them at once, after a partition, start watchers twice
at worst, and an instant still fires once, because the trigger's row moves once.
"""

import asyncio
import logging
from typing import Any
from uuid import UUID

import psutil

from actors import cluster
from actors.cluster import ActorLost, Blueprint, HostRef
from actors.host_process import drain_s
from actors.hosts import Hosts
from actors.integration_client import IntegrationClient
from actors.lease import condemn, recorded_process
from actors.run_host import RunHost
from actors.watcher_host import WatcherHost
from taske_ray import logs
from taske_ray.core.reconcile import Plan, plan
from taske_ray.db.database import Database, engine_role
from taske_ray.db.embedded import database_url
from taske_ray.db.runs import suspects_due
from taske_ray.db.triggers import TriggerStore
from taske_ray.errors import Unavailable
from taske_ray.settings import Settings

_tick_s, _whole_s, _hosts_s = 0.5, 10.0, 1.0
_most_at_once = 1_000
_rest = 10  # times as long as a full look took: at most a tenth of the time goes into them
_stop_s = drain_s + 1.0
_noticed_s = 3.0  # every process looks once a second who is live
_linger_s = 60.0  # how long a quarantine host stays when nothing is suspected any more
_log = logging.getLogger(__name__)


class TriggerSupervisor:
    """The one supervisor of a service."""

    def __init__(self) -> None:
        logs.configure()
        self._settings = Settings.from_env()
        self._density = self._settings.density
        self._hosts = Hosts(
            {
                "run": Blueprint(RunHost),
                "watcher": Blueprint(WatcherHost),
                "client": Blueprint(IntegrationClient),
                "quarantine": Blueprint(RunHost, ("quarantine",)),
            },
            self._recorded,
            self._condemn,
        )
        self._alive: dict[str, list[HostRef]] = {"run": [], "watcher": [], "client": []}
        self._quarantine: list[HostRef] | None = None  # None: not looked yet, a former supervisor may have left some
        self._suspected_at = float("-inf")
        self._desired: dict[UUID, int] = {}
        self._live: dict[str, dict[UUID, int]] = {}
        self._seen = 0
        self._watcher_hosts = self._density.watcher_hosts
        self._nudged = asyncio.Event()
        self._rested_at = 0.0
        self._stopping = False
        self._rolling = asyncio.Lock()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Bring the hosts up and begin to reconcile."""
        url = database_url(self._settings)
        self._database = await Database(url, row_connections=1, hot_connections=1, role=engine_role).open()
        self._triggers = TriggerStore(self._database)
        await self._ensure_hosts()
        loops = (self._keep_hosts(), self._keep_quarantine(), self._keep_watching())
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def changed(self, _nudges: list[None] | None = None) -> None:
        """Triggers were created, changed, enabled, disabled or deleted."""
        self._nudged.set()

    async def ready(self) -> dict[str, int]:
        """How many hosts of each kind answer; none counts once the stop has begun."""
        return {} if self._stopping else {kind: len(found) for kind, found in self._alive.items()}

    async def watched(self) -> dict[UUID, int]:
        """The version of every trigger that is watched now, as the hosts said or were told last."""
        return {trigger: version for one in self._live.values() for trigger, version in one.items()}

    async def stats(self) -> dict[str, dict[str, Any]]:
        """The live counts of every host that answers, by its name."""
        found = {}
        for host in [host for hosts in (*self._alive.values(), self._quarantine or []) for host in hosts]:
            try:
                found[host.name] = await cluster.call(host.handle, "stats", timeout_s=2.0)
            except (ActorLost, TimeoutError):
                continue
        return found

    async def roll(self) -> list[str]:
        """Start every host anew, one after another: each gives its work back first, and others go on with it.

        Returns who it was. Raises ActorLost or TimeoutError when one does not come back; the others are as they were.
        """
        rolled = []
        async with self._rolling:
            for kind in ("client", "run", "watcher"):
                for host in list(self._alive[kind]):
                    await _stopped(host)
                    await asyncio.sleep(_noticed_s)  # meanwhile it still refuses what is sent to it
                    await self._hosts.start_anew(host)
                    self._live.pop(host.name, None)  # it watches nothing yet
                    rolled.append(host.name)
        return rolled

    async def stop(self) -> None:
        """Drain: watchers first, so that nothing more is fired; then the runs; then who makes their calls.

        Calls in flight have twenty seconds in all: what the run hosts took of them, the clients do not get again.
        """
        self._stopping = True
        now = asyncio.get_running_loop().time
        ends_at = now() + drain_s
        for loop in self._loops:
            loop.cancel()
        runs = [*self._alive["run"], *(self._quarantine or [])]
        await self._all_stopped(self._alive["watcher"])
        for hosts in (runs, self._alive["client"]):
            await self._all_stopped(hosts, max(0.0, ends_at - now()))
        await self._database.close()

    async def _all_stopped(self, hosts: list[HostRef], *within_s: float) -> None:
        stopped = await asyncio.gather(*(_stopped(host, *within_s) for host in hosts))
        if not all(stopped):
            await self._condemn(*(host.name for host, ended in zip(hosts, stopped, strict=True) if not ended))

    async def _keep_hosts(self) -> None:
        while not self._stopping:
            await asyncio.sleep(_hosts_s)
            try:
                await self._ensure_hosts()
            except Exception:  # noqa: BLE001 - logged, and the next round comes all the same
                _log.exception("the hosts could not be looked after; trying again")

    async def _ensure_hosts(self) -> None:
        wanted = {
            "client": self._density.integration_clients,
            "run": self._density.run_hosts,
            "watcher": self._watcher_hosts,
        }
        found = await asyncio.gather(*(self._hosts.ensure_hosts(kind, count) for kind, count in wanted.items()))
        self._alive = dict(zip(wanted, found, strict=True))

    async def _recorded(self, name: str) -> psutil.Process | None:
        """The living process of a host, which may have hung before this supervisor knew it."""
        return await recorded_process(self._database, name)

    async def _condemn(self, *names: str) -> None:
        """Say of hosts that are about to be ended that it is us (durability, 5.7)."""
        await condemn(self._database, *names)

    async def _keep_quarantine(self) -> None:
        while not self._stopping:
            try:
                await self._ensure_quarantine()
            except Exception:  # noqa: BLE001 - logged, and the next round comes all the same
                _log.exception("the quarantine could not be looked after; trying again")
            await asyncio.sleep(_hosts_s)

    async def _ensure_quarantine(self) -> None:
        """A host for runs that took two of theirs along, one at a time, while there are such runs (durability, 5.7)."""
        now = asyncio.get_running_loop().time()
        if await suspects_due(self._database):
            self._suspected_at = now
        wanted = now - self._suspected_at < _linger_s
        if not wanted and self._quarantine == []:
            return
        if not wanted:
            await asyncio.gather(*(_stopped(host) for host in self._quarantine or []))
        self._quarantine = await self._hosts.ensure_hosts("quarantine", int(wanted))

    async def _keep_watching(self) -> None:
        whole_at = 0.0
        loop = asyncio.get_running_loop()
        while not self._stopping:
            try:
                if loop.time() >= whole_at or self._hosts_changed():
                    await self._look_whole()
                    whole_at = loop.time() + _whole_s
                    await self._reconcile()
                elif await self._look_on():
                    await self._reconcile()
            except Unavailable as error:
                _log.warning("triggers are not reconciled: %s", error)
            except Exception:  # noqa: BLE001 - logged, and the next round comes all the same
                _log.exception("reconciling failed; trying again")
                whole_at = 0.0
            await self._pause()

    async def _pause(self) -> None:
        """Until a nudge, or for a tick; nudges that come faster than they can be followed wait for the next tick."""
        if self._nudged.is_set():
            await asyncio.sleep(_tick_s)
            return
        try:
            async with asyncio.timeout(_tick_s):
                await self._nudged.wait()
        except TimeoutError:
            return

    def _hosts_changed(self) -> bool:
        """Whether watcher hosts came or went since the last whole look, or must be asked again."""
        return {host.name for host in self._alive["watcher"]} != self._live.keys()

    async def _look_whole(self) -> None:
        """Read both sides in full: every enabled trigger, and what every host watches."""
        self._desired = await self._triggers.desired()
        live: dict[str, dict[UUID, int]] = {}
        for host in self._alive["watcher"]:
            try:
                _, live[host.name] = await cluster.call(host.handle, "watched", timeout_s=5.0)
            except (ActorLost, TimeoutError):
                _log.warning("%s does not answer; its triggers wait for it or move", host.name)
        self._live = live

    async def _look_on(self) -> bool:
        """Read what is desired now; whether it is anything else than before."""
        loop = asyncio.get_running_loop()
        before = dict(self._desired)
        if self._nudged.is_set() and loop.time() >= self._rested_at:
            self._nudged.clear()
            began = loop.time()
            self._desired = await self._triggers.desired()  # a deleted trigger leaves no change to read on from
            self._rested_at = loop.time() + _rest * (loop.time() - began)
            return self._desired != before
        # numbers are drawn before COMMIT: a little is read again
        for change in await self._triggers.changes(max(0, self._seen - 100)):
            self._seen = max(self._seen, change.change)
            if change.enabled:
                self._desired[change.id] = change.version
            else:
                self._desired.pop(change.id, None)
        return self._desired != before

    async def _reconcile(self) -> None:
        decision: Plan[UUID] = plan(self._desired, self._live, self._density.watchers_per_host)
        hosts = {host.name: host.handle for host in self._alive["watcher"]}
        nodes = max(1, len({host.node for host in self._alive["watcher"]}))
        self._watcher_hosts = max(self._density.watcher_hosts, -(-decision.hosts_needed // nodes))
        for method, changes in (("unwatch", decision.stop), ("watch", decision.start)):
            for name, ids in changes.items():
                if name in hosts:
                    await self._tell(name, hosts[name], method, ids)

    async def _tell(self, name: str, handle: cluster.Handle, method: str, ids: list[UUID]) -> None:
        for first in range(0, len(ids), _most_at_once):
            some = ids[first : first + _most_at_once]
            try:
                await cluster.call(handle, method, some, timeout_s=30.0)
            except (ActorLost, TimeoutError):
                self._live.pop(name, None)  # ask it again before anything else is assumed of it
                return
            watched = self._live.setdefault(name, {})
            for trigger_id in some:
                if method == "watch":
                    watched[trigger_id] = self._desired[trigger_id]
                else:
                    watched.pop(trigger_id, None)


async def _stopped(host: HostRef, *within_s: float) -> bool:
    """Ask a host to stop; False when it is still at it when its time is over."""
    try:
        await cluster.call(host.handle, "stop", *within_s, timeout_s=_stop_s)
    except ActorLost as error:
        _log.warning("%s ended before it had stopped: %s", host.name, error)
    except TimeoutError:
        _log.warning("%s did not stop in time", host.name)
        return False
    return True
