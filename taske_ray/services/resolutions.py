"""A person decides what nobody can know: whether the call of a parked run arrived (durability, 6.4)."""

from uuid import UUID

from taske_ray.core.ids import parse_id
from taske_ray.core.progress import Resolution, resolve
from taske_ray.core.run import Progress, Step, StepStatus
from taske_ray.db.database import Database
from taske_ray.db.history import History, StoredRun
from taske_ray.db.runs import read_task_text, resolve_run
from taske_ray.errors import Conflict, NotFound
from taske_ray.services.ports import RunHosts
from taske_ray.services.trail import entry_of


class Resolutions:
    """Decisions about runs that need attention."""

    def __init__(self, database: Database, *, hosts: RunHosts) -> None:
        self._database = database
        self._history = History(database)
        self._hosts = hosts

    async def resolve(self, run_id: str, decision: Resolution, *, owner: UUID) -> dict[str, str]:
        """`sent`: the step is done; `resend`: make the call again under the same key; `fail`: the step has failed.

        The run goes on, or ends as failed where its step stops it: its id and status. Raises NotFound, Conflict.
        """
        run = await self._history.get(owner=owner, run_id=parse_id("run", run_id))
        if run is None:
            raise NotFound
        progress = await self._progress(run, owner)
        text = await read_task_text(self._database, owner=owner, task_id=run.task_id, version=run.task_version)
        actions = text.spec["actions"] if text else []
        parked = max(progress.steps, default=0)
        goes_on = 0 < parked <= len(actions) and actions[parked - 1].get("on_error") == "continue"
        made = resolve(progress, decision, on_error="continue" if goes_on else "stop")
        if run.status != "needs_attention" or made is None:
            raise Conflict(f"The run has nothing to decide: it is {run.status}", code="nothing_to_resolve")
        entry = entry_of("run.resolve", owner, run_id, {"decision": decision})
        if not await resolve_run(self._database, owner=owner, run_id=run.id, decision=made, entry=entry):
            raise Conflict("Somebody has decided about this run already", code="nothing_to_resolve")
        self._hosts.queued()
        return {"run_id": run_id, "status": made.status.value}

    async def _progress(self, run: StoredRun, owner: UUID) -> Progress:
        steps = await self._history.steps(owner=owner, run_id=run.id)
        return Progress(
            trigger_output=run.input,
            run={},
            task={},
            steps={
                one.step: Step(
                    one.step, one.key, one.capability, StepStatus(one.status), one.input, one.output, one.error
                )
                for one in steps
            },
        )
