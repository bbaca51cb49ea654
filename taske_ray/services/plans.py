"""What a run would send: every request built, none sent, secrets never opened (capability-format, section 8)."""

from typing import Any
from uuid import UUID

from taske_ray.core.capability import CallContext, Capability, ConnectionValues, plan_request
from taske_ray.core.ids import parse_id
from taske_ray.core.redaction import redact
from taske_ray.core.task import parse_capability
from taske_ray.core.template import OMIT, compile_condition, compile_value
from taske_ray.core.times import format_time
from taske_ray.db.connections import get_connection
from taske_ray.db.database import Database
from taske_ray.db.history import History
from taske_ray.db.tasks import StoredTask
from taske_ray.errors import Invalid, NotFound, TemplateError
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.tasks import Tasks


class Plans:
    """Plans of tasks."""

    def __init__(self, database: Database, *, cache: CapabilityCache, tasks: Tasks) -> None:
        self._database = database
        self._cache = cache
        self._tasks = tasks
        self._history = History(database)

    async def plan(self, task_id: str, given: dict[str, Any] | None, *, owner: UUID) -> dict[str, Any]:
        """Every action's request. Outputs of earlier steps are those of the last good run, else the examples."""
        task = await self._tasks.stored(task_id, owner=owner)
        now = format_time(task.read_at)
        scope = await self._scope(task, given, owner, now)
        requests = []
        for number, action in enumerate(task.spec["actions"], 1):
            requests.append(await self._step(task, action, number, scope, now))
        return {"requests": requests}

    async def _scope(self, task: StoredTask, given: dict[str, Any] | None, owner: UUID, now: str) -> dict[str, Any]:
        last = await self._history.last_success(owner=owner, task_id=task.id)
        output = given if given is not None else last.input if last else await self._tasks.trigger_output(task)
        steps = await self._history.steps(owner=owner, run_id=last.id) if last else []
        known = {step.step: step.output for step in steps if step.status == "succeeded"}
        scope: dict[str, Any] = {
            "trigger": {"output": output},
            "now": now,
            "run": {"id": "run_plan", "step": ""},
            "task": {"id": "", "name": task.name},
        }
        for number, action in enumerate(task.spec["actions"], 1):
            sample = known.get(number)
            if sample is None:
                sample = (await self._capability(task, action)).sample
            view = {"output": sample, "status": "succeeded", "error": None}
            scope[f"action{number}"] = view
            if action.get("key"):
                scope[action["key"]] = view
        return scope

    async def _step(
        self, task: StoredTask, action: dict[str, Any], number: int, scope: dict[str, Any], now: str
    ) -> dict[str, Any]:
        key = action.get("key") or f"action{number}"
        entry: dict[str, Any] = {"step": key, "capability": action["capability"], "skipped": False, "unresolved": []}
        try:
            if "if" in action and not compile_condition(action["if"]).evaluate(scope):
                return entry | {"skipped": True}
            rendered = compile_value(action["params"], strict_value=True).evaluate(scope)
            capability = await self._capability(task, action)
            params = capability.params.fill({} if rendered is OMIT else rendered, now=now)
            context = CallContext(
                params=params, now=now, connection=await self._connection(task, action), run_id="run_plan", step=key
            )
            planned: dict[str, Any] = redact(plan_request(capability, context) or {"body": params})
            return entry | planned
        except TemplateError as error:
            return entry | {"unresolved": [error.message], "error": error.message}
        except Invalid as error:
            return entry | {
                "error": "; ".join([f"{one.pointer} {one.message}" for one in error.errors] or [error.message])
            }

    async def _capability(self, task: StoredTask, action: dict[str, Any]) -> Capability:
        name, pin = parse_capability(action["capability"])
        return await self._cache.pinned(name, pin or await self._cache.for_run(name, task.pins[name]))

    async def _connection(self, task: StoredTask, action: dict[str, Any]) -> ConnectionValues | None:
        if action.get("connection") is None:
            return None
        async with self._database.transaction(owner=task.user_id) as tx:
            wanted = parse_id("conn", action["connection"])
            row = await get_connection(tx, owner=task.user_id, connection_id=wanted)
        if row is None:
            raise NotFound("The connection of this action is gone")
        return ConnectionValues(auth_id=row.auth, config=row.config)
