"""RunHost: the process that holds live runs, thousands at a time, each with a task and a failure of its own.

Runs come by a nudge from whoever fired them, by claiming what is queued and due, and by looking for what was given to
this host and whose nudge was lost. Losing the process loses nothing: its lease ends and its runs are rescued. A run
that took two hosts along executes alone, in a host of kind `quarantine`, so that nobody dies with it (durability, 5.7).
"""

import asyncio
import logging
import random
from functools import partial
from typing import Any, Literal
from uuid import UUID

from actors.compiled_tasks import CompiledTasks
from actors.directory import Directory
from actors.granted_scopes import GrantedScopes
from actors.host_process import HostProcess, drain_s
from actors.integration_pool import IntegrationPool, Reply
from actors.reaper import Reaper
from actors.workflow_run import Trust, WorkflowRun
from taske_ray import logs
from taske_ray.core.ids import format_id
from taske_ray.core.run import RunStatus
from taske_ray.crash_points import reach
from taske_ray.db.connections import granted_scopes
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.fires import FireStore
from taske_ray.db.run_ends import RunEnds
from taske_ray.db.runs import Advance, RecordedStep, RunStore
from taske_ray.errors import Unavailable
from taske_ray.services.failures import Failures

_claim_s, _lost_nudge_s, _rescue_s, _recorded_s = 1.0, 2.0, 5.0, 5.0
_failures_s, _given_back_s = 1.0, 1.0
_most_claimed = 100
_log = logging.getLogger(__name__)


class RunHost:
    """The live runs of one process."""

    def __init__(self, name: str, node: str, kind: Literal["run", "quarantine"] = "run") -> None:
        self._process = HostProcess(kind, name, node)
        self._is_quarantine = kind == "quarantine"
        self._capacity = 1 if self._is_quarantine else self._process.settings.density.runs_per_host
        self._share = self._process.settings.limits.running_runs
        self._live: dict[UUID, tuple[int, asyncio.Task[None]]] = {}
        self._abandoned: dict[UUID, int] = {}
        self._claim_now = asyncio.Event()
        self._draining = False

    async def start(self) -> None:
        """Register, and begin to look for runs."""
        process = self._process
        directory = Directory(process.database, gone=self._host_gone)
        self._pool = IntegrationPool(directory, reply_to=process.name, by_user=process.settings.limits.by_user)
        self._tasks = CompiledTasks(process.capabilities, process.settings.limits)
        self._granted = GrantedScopes(partial(granted_scopes, process.database), process.clock.monotonic)
        await process.open(capacity=self._capacity, lost=self._lost, directory=directory)
        self._store = RunStore(process.database, owner=lambda: process.lease.host_id)
        self._reaper = Reaper(self._store, process.clock.monotonic)
        self._trust = Trust(
            now=process.lease.now,
            ends_at=lambda: process.lease.ends_at,
            host=lambda: process.lease.host_id,
            is_draining=lambda: self._draining,
        )
        process.run(self._claim_for_ever())
        process.every(lambda: _lost_nudge_s, self._take_unstarted)
        process.every(lambda: _rescue_s, self._rescue)
        process.every(lambda: _recorded_s, self._pool.tell_recorded)
        self._fires = FireStore(process.database, limits=process.settings.limits)
        self._failures = Failures(RunEnds(process.database), self._fires, process.settings.limits)
        process.every(lambda: _failures_s, self._tell_failures)

    async def take(self, runs: list[AssignedRun]) -> None:
        """Start runs that were given to this host; one that drains gives them back."""
        if self._draining:
            self._abandoned |= {run.run_id: run.fence for run in runs if run.run_id not in self._live}
        else:
            await self._begin(runs, born=True)

    async def claim(self, _nudges: list[None] | None = None) -> None:
        """Look for queued runs now."""
        self._claim_now.set()

    async def outcomes(self, replies: list[Reply]) -> None:
        """What integration clients send back."""
        self._pool.outcomes(replies)

    async def stats(self) -> dict[str, Any]:
        """Live counts, for metrics."""
        return {"live_runs": len(self._live), "calls_in_flight": self._pool.in_flight}

    async def stop(self, within_s: float = drain_s) -> None:
        """Drain: no new call, those in flight may end for a while; every run is given back, then the lease is."""
        self._draining = True
        reach("C16")
        self._process.every(lambda: _given_back_s, self._give_back)
        tasks = [task for _, task in self._live.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)
        cut_off = {run_id: fence for run_id, (fence, _) in self._live.items()}
        await self._drop()
        self._abandoned |= cut_off
        try:
            await self._give_back()
            await self._fires.close()
        finally:
            await self._process.close()

    async def _claim_for_ever(self) -> None:
        while not self._draining:
            try:
                there_is_more = await self._claim_once()
            except Unavailable as error:
                _log.warning("nothing was claimed: %s", error)
                there_is_more = False
            if not there_is_more:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_claim_s * random.uniform(0.8, 1.2)):  # noqa: S311 - so that hosts take turns
                await self._claim_now.wait()
        except TimeoutError:
            pass
        self._claim_now.clear()

    async def _claim_once(self) -> bool:
        """Take runs; whether there are probably more: hosts that claim at once leave some to each other."""
        free = self._capacity - len(self._live)
        if free <= 0 or not self._process.lease.is_trusted:
            return False
        if self._is_quarantine:
            await self._begin(await self._store.claim_suspects(most=free))
            return False
        runs = await self._store.claim(share=self._share, most=min(free, _most_claimed))
        await self._begin(runs)
        return 2 * len(runs) >= _most_claimed

    async def _take_unstarted(self) -> None:
        if self._process.lease.is_trusted and not self._draining:
            await self._begin(await self._store.unstarted())

    async def _rescue(self) -> None:
        await self._give_back()
        await self._process.lease.bury()
        if await self._reaper.turn():
            self._claim_now.set()

    async def _tell_failures(self) -> None:
        """Tell of runs that failed or need attention, whoever executed them."""
        if await self._failures.tell():
            self._claim_now.set()

    async def _give_back(self) -> None:
        """Return the runs that stopped here unfinished to the queue."""
        if self._abandoned:
            given = dict(self._abandoned)
            await self._store.release(list(given.items()))
            self._abandoned = {run: fence for run, fence in self._abandoned.items() if run not in given}

    async def _begin(self, runs: list[AssignedRun], *, born: bool = False) -> None:
        """Start each run that is not live here already; those of another incarnation of this host are ignored.

        Only runs that were just `born`, owned under their first fence, are sure to have recorded nothing: a replay
        that is claimed for the first time brings the steps that it does not repeat.
        """
        new = [run for run in runs if run.run_id not in self._live and run.host == self._process.lease.host_id]
        resumed = [run.run_id for run in new if not born or run.fence > 1]
        recorded = await self._store.steps(resumed) if resumed else {}
        for run in new:
            if run.run_id not in self._live:
                task = asyncio.get_running_loop().create_task(self._execute(run, recorded.get(run.run_id, [])))
                self._live[run.run_id] = (run.fence, task)

    async def _execute(self, run: AssignedRun, recorded: list[RecordedStep]) -> None:
        with logs.bound(run_id=format_id("run", run.run_id), task_id=format_id("task", run.task_id)):
            await self._executed(run, recorded)

    async def _executed(self, run: AssignedRun, recorded: list[RecordedStep]) -> None:
        try:
            # a version that this process remembers is no reason to go on where another process could not
            task = None if run.orphaned else await self._tasks.get(self._store, run)
            if task is None:
                gone = {"class": "fatal", "code": "task_deleted", "message": "The task was deleted."}
                await self._store.advance(Advance(run.run_id, run.fence, "failed", error=gone))
                return
            refused = None if recorded else await self._granted.refusal(task, run.user_id)
            if refused is not None:
                await self._store.advance(Advance(run.run_id, run.fence, "failed", error=refused, user_id=run.user_id))
                return
            one = WorkflowRun(
                run,
                task,
                recorded,
                log=self._store,
                integrations=self._pool,
                trust=self._trust,
                limits=self._process.settings.limits,
            )
            if await one.execute() is RunStatus.QUEUED:
                self._abandoned[run.run_id] = run.fence
        except Unavailable as error:
            _log.warning("a run stops here and goes back to the queue: %s", error)
            self._abandoned[run.run_id] = run.fence
        except Exception:  # noqa: BLE001 - logged; it must not end its neighbours
            _log.exception("a run failed inside the engine; it goes back to the queue")
            self._abandoned[run.run_id] = run.fence
        finally:
            self._live.pop(run.run_id, None)
            if self._is_quarantine:
                self._claim_now.set()

    async def _lost(self) -> None:
        """Declared dead: drop every run at once; whoever owns them now has read the rows."""
        await self._drop()

    async def _drop(self) -> None:
        tasks = [task for _, task in self._live.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._live.clear()

    def _host_gone(self, host_id: UUID) -> None:
        self._pool.left(host_id)
