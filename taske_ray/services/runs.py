"""Runs: what happened, cancelling, running again. Runs themselves are written by their hosts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.fire_keys import key_of_replay
from taske_ray.core.ids import parse_id
from taske_ray.db.audit import record_acts
from taske_ray.db.database import Database
from taske_ray.db.fire_values import Fire
from taske_ray.db.history import History, RunFilter, StoredRun, StoredStep
from taske_ray.db.runs import cancel_run
from taske_ray.db.tasks import TaskRows
from taske_ray.errors import Conflict, Invalid, NotFound
from taske_ray.services.firing import Firing
from taske_ray.services.run_views import pending_step, run_summary, step_view
from taske_ray.services.sent_requests import SentRequests
from taske_ray.services.trail import entry_of

_over = frozenset({"succeeded", "failed", "skipped"})


class Runs:
    """What a user can do with runs."""

    def __init__(self, database: Database, *, firing: Firing, sent: SentRequests) -> None:
        self._database = database
        self._history = History(database)
        self._tasks = TaskRows(database)
        self._firing = firing
        self._sent = sent

    async def list(
        self,
        task_id: UUID | None = None,
        status: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        *,
        owner: UUID,
        after: UUID | None = None,
        limit: int = 50,
    ) -> Sequence[dict[str, Any]]:
        """A page of runs, newest first, without their steps."""
        only = RunFilter(task_id, status, created_after, created_before)
        found = await self._history.list(owner=owner, only=only, after=after, limit=limit)
        return [run_summary(run) for run in found]

    async def get(self, run_id: str, *, owner: UUID) -> dict[str, Any]:
        """A run with its steps and attempts; actions it has not reached are `pending`. Raises NotFound."""
        run = await self._stored(run_id, owner)
        recorded = await self._history.steps(owner=owner, run_id=run.id)
        steps = await self._sent.complete(run, recorded, owner=owner)
        spec = await self._history.planned(owner=owner, task_id=run.task_id, version=run.task_version)
        reached = {step.step for step in steps}
        planned = enumerate(spec["actions"] if spec else [], 1)
        pending = [(number, pending_step(number, action)) for number, action in planned if number not in reached]
        views = [(step.step, step_view(step, run)) for step in steps] + pending
        return run_summary(run) | {"steps": [view for _, view in sorted(views, key=lambda pair: pair[0])]}

    async def cancel(self, run_id: str, *, owner: UUID) -> dict[str, Any]:
        """Cancel in any state: at once, or when the call in flight has ended. Raises NotFound, Conflict."""
        run = await self._stored(run_id, owner)
        found = await cancel_run(self._database, owner=owner, run_id=run.id)
        if found is None:
            run = await self._stored(run_id, owner)
            if run.status == "cancelled":
                return {"run_id": run_id, "status": "cancelled"}
            raise Conflict(f"The run has {run.status} already", code="run_finished")
        return {"run_id": run_id, "status": found}

    async def replay(
        self,
        run_id: str,
        *,
        owner: UUID,
        start: str = "start",
        latest: bool = False,
        given: dict[str, Any] | None = None,
        key: str | None = None,
        depth: int = 0,
    ) -> str:
        """Run again from the start, from the failed step, or from a step's key; the new run's id.

        Steps before that one keep their recorded outputs. Raises Invalid, NotFound, Conflict, TooManyRequests.
        """
        run = await self._stored(run_id, owner)
        task = await self._tasks.get(owner=owner, task_id=run.task_id)
        if task is None or run.trigger_id is None:
            raise Conflict("The task of this run is deleted", code="task_deleted")
        if latest and start != "start":
            raise Invalid.at("/version", "bad_combination", "Another version of the task can only run from the start")
        fresh = new_id()
        before = await self._first_step(run, start, owner)
        if before > 1:
            await self._history.copy_steps(owner=owner, source=run.id, target=fresh, before=before)
        fire = Fire(
            trigger_id=task.trigger_id,
            user_id=owner,
            task_id=run.task_id,
            task_version=task.version if latest else run.task_version,
            fire_key=key_of_replay(key or fresh),
            run_id=fresh,
            input=run.input if given is None else given,
            must_be_enabled=False,
            replay_of=run.id,
            depth=depth,
        )
        fired = await self._firing.fire(fire, claimed=before > 1)
        entry = entry_of("run.replay", owner, run_id, {"run_id": fired, "from": start})
        await record_acts(self._database, [entry], owner=owner)
        return fired

    async def _first_step(self, run: StoredRun, start: str, owner: UUID) -> int:
        if start == "start":
            return 1
        steps = await self._history.steps(owner=owner, run_id=run.id)
        if start == "failed":
            broken = [step.step for step in steps if step.status not in _over or step.status == "failed"]
            if not steps and run.status == "failed":
                return 1  # it was refused before its first step
            if not broken:
                raise Invalid.at("/from", "nothing_failed", "No step of this run failed")
            return broken[-1]
        spec = await self._history.planned(owner=owner, task_id=run.task_id, version=run.task_version)
        actions = spec["actions"] if spec else []
        passed = {step.step for step in steps if _is_passed(step, actions)}
        for number, action in enumerate(actions, 1):
            if start in (action.get("key"), f"action{number}"):
                if passed >= set(range(1, number)):
                    return number
                raise Invalid.at("/from", "not_reached", f"The run did not come as far as {start!r}")
        raise Invalid.at("/from", "unknown_step", "Use start, failed, or the key of a step")

    async def _stored(self, run_id: str, owner: UUID) -> StoredRun:
        run = await self._history.get(owner=owner, run_id=parse_id("run", run_id))
        if run is None:
            raise NotFound
        return run


def _is_passed(step: StoredStep, actions: Sequence[dict[str, Any]]) -> bool:
    """Whether the run went on behind this step; the outputs up to there can be used again."""
    if step.status == "failed":
        return step.step <= len(actions) and actions[step.step - 1].get("on_error") == "continue"
    return step.status in _over
