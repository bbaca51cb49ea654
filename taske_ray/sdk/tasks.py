"""Tasks: define, change, enable, run, ask why."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from taske_ray.errors import Conflict, Invalid
from taske_ray.schemas.runs import Run
from taske_ray.schemas.tasks import Backfilled, Explain, Plan, Task, TaskSpec, TaskVersion
from taske_ray.sdk.authoring import TaskDraft
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import (
    Flow,
    Request,
    ask,
    collect,
    discard,
    each,
    fetch,
    fields,
    get,
    path,
    post,
)
from taske_ray.sdk.runs import started

Definition = TaskDraft | TaskSpec | Mapping[str, Any]


class Tasks:
    """The caller's tasks."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def apply(self, definition: Definition) -> Task:
        """Create the task, or change the one that has exactly this name; raises Conflict if several have."""
        return self._line.run(apply(definition))

    def create(self, definition: Definition) -> Task:
        """Create a task; raises Invalid with a pointer for each broken rule."""
        return self._line.run(fetch(Task, creation(definition)))

    def get(self, task_id: str) -> Task:
        """A task as it is now."""
        return self._line.run(fetch(Task, get(_path(task_id))))

    def list(self, *, limit: int | None = None) -> Iterator[Task]:
        """All tasks; `limit` is the size of a page, pages are asked for as needed."""
        return self._line.stream(each(Task, get(_path(), limit=limit)))

    def update(self, task_id: str, definition: Definition, *, version: int | None = None) -> Task:
        """Replace a task's definition; with `version`, only if that is still its version (PreconditionFailed)."""
        return self._line.run(fetch(Task, replacement(task_id, definition, version)))

    def delete(self, task_id: str) -> None:
        """Delete a task; its runs stay in the history."""
        self._line.run(discard(Request("DELETE", _path(task_id))))

    def enable(self, task_id: str) -> Task:
        """Let its trigger fire."""
        return self._line.run(fetch(Task, switch(task_id, "enable")))

    def disable(self, task_id: str) -> Task:
        """Stop its trigger; runs that have begun go on."""
        return self._line.run(fetch(Task, switch(task_id, "disable")))

    def rotate_hook(self, task_id: str) -> Task:
        """Give its webhook another `hook_url`; the old one ends at once (Conflict: it has none)."""
        return self._line.run(fetch(Task, switch(task_id, "rotate-hook")))

    def run(
        self,
        task_id: str,
        *,
        input: dict[str, Any] | None = None,  # noqa: A002 - the contract's word
        wait: bool = False,
        timeout_s: float | None = 300.0,
    ) -> Run:
        """Fire by hand with `input` as `trigger.output`; with `wait`, return once the run is settled (TimeoutError)."""
        return self._line.run(started(firing(task_id, input), timeout_s, wait=wait))

    def backfill(self, task_id: str, since: datetime, until: datetime) -> Backfilled:
        """A run for each instant of its schedule in this range of the past that has none; at most 1,000 (Invalid)."""
        return self._line.run(fetch(Backfilled, backfilling(task_id, since, until)))

    def plan(self, task_id: str, *, input: dict[str, Any] | None = None) -> Plan:  # noqa: A002 - as above
        """The requests that a run would send, built but not sent, secrets masked."""
        return self._line.run(fetch(Plan, planning(task_id, input)))

    def explain(self, task_id: str, *, since: datetime | None = None) -> Explain:
        """Why it did or did not run."""
        return self._line.run(fetch(Explain, get(_path(task_id, "explain"), since=since)))

    def versions(self, task_id: str) -> Iterator[TaskVersion]:
        """Its saved versions, newest first."""
        return self._line.stream(each(TaskVersion, get(_path(task_id, "versions"))))

    def rollback(self, task_id: str, version: int) -> Task:
        """Save an earlier version again, as the newest."""
        return self._line.run(fetch(Task, post(_path(task_id, "rollback"), {"version": version})))


class AsyncTasks:
    """The caller's tasks, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    async def apply(self, definition: Definition) -> Task:
        """Create the task, or change the one that has exactly this name; raises Conflict if several have."""
        return await self._line.run(apply(definition))

    async def create(self, definition: Definition) -> Task:
        """Create a task; raises Invalid with a pointer for each broken rule."""
        return await self._line.run(fetch(Task, creation(definition)))

    async def get(self, task_id: str) -> Task:
        """A task as it is now."""
        return await self._line.run(fetch(Task, get(_path(task_id))))

    def list(self, *, limit: int | None = None) -> AsyncIterator[Task]:
        """All tasks; `limit` is the size of a page, pages are asked for as needed."""
        return self._line.stream(each(Task, get(_path(), limit=limit)))

    async def update(self, task_id: str, definition: Definition, *, version: int | None = None) -> Task:
        """Replace a task's definition; with `version`, only if that is still its version (PreconditionFailed)."""
        return await self._line.run(fetch(Task, replacement(task_id, definition, version)))

    async def delete(self, task_id: str) -> None:
        """Delete a task; its runs stay in the history."""
        await self._line.run(discard(Request("DELETE", _path(task_id))))

    async def enable(self, task_id: str) -> Task:
        """Let its trigger fire."""
        return await self._line.run(fetch(Task, switch(task_id, "enable")))

    async def disable(self, task_id: str) -> Task:
        """Stop its trigger; runs that have begun go on."""
        return await self._line.run(fetch(Task, switch(task_id, "disable")))

    async def rotate_hook(self, task_id: str) -> Task:
        """Give its webhook another `hook_url`; the old one ends at once (Conflict: it has none)."""
        return await self._line.run(fetch(Task, switch(task_id, "rotate-hook")))

    async def run(
        self,
        task_id: str,
        *,
        input: dict[str, Any] | None = None,  # noqa: A002 - the contract's word
        wait: bool = False,
        timeout_s: float | None = 300.0,
    ) -> Run:
        """Fire by hand with `input` as `trigger.output`; with `wait`, return once the run is settled (TimeoutError)."""
        return await self._line.run(started(firing(task_id, input), timeout_s, wait=wait))

    async def backfill(self, task_id: str, since: datetime, until: datetime) -> Backfilled:
        """A run for each instant of its schedule in this range of the past that has none; at most 1,000 (Invalid)."""
        return await self._line.run(fetch(Backfilled, backfilling(task_id, since, until)))

    async def plan(self, task_id: str, *, input: dict[str, Any] | None = None) -> Plan:  # noqa: A002 - as above
        """The requests that a run would send, built but not sent, secrets masked."""
        return await self._line.run(fetch(Plan, planning(task_id, input)))

    async def explain(self, task_id: str, *, since: datetime | None = None) -> Explain:
        """Why it did or did not run."""
        return await self._line.run(fetch(Explain, get(_path(task_id, "explain"), since=since)))

    def versions(self, task_id: str) -> AsyncIterator[TaskVersion]:
        """Its saved versions, newest first."""
        return self._line.stream(each(TaskVersion, get(_path(task_id, "versions"))))

    async def rollback(self, task_id: str, version: int) -> Task:
        """Save an earlier version again, as the newest."""
        return await self._line.run(fetch(Task, post(_path(task_id, "rollback"), {"version": version})))


def document(definition: Definition) -> dict[str, Any]:
    """A task as the JSON that is sent. A mapping goes as it is: the service names what is wrong with it."""
    if isinstance(definition, TaskDraft):
        return definition.document()
    if isinstance(definition, TaskSpec):
        return definition.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dict(definition)


def apply(definition: Definition) -> Flow[Task]:
    """Create, or change by name. The change carries `If-Match`, so that nobody else's change is lost unseen."""
    body = document(definition)
    found = yield from _named(body.get("name"))
    if not found:
        return (yield from fetch(Task, post(_path(), body)))
    if len(found) > 1:
        ids = ", ".join(task.id for task in found)
        raise Conflict(f"Several tasks are named {body['name']!r}: {ids}. Rename or delete all but one.")
    current = yield from ask(get(_path(found[0].id)))
    request = Request("PUT", _path(found[0].id), body=body)
    return (yield from fetch(Task, request.with_header("If-Match", current.headers.get("etag"))))


def creation(definition: Definition) -> Request:
    """Create a task."""
    return post(_path(), document(definition))


def replacement(task_id: str, definition: Definition, version: int | None) -> Request:
    """Replace a task's definition, whatever its version or only that one."""
    request = Request("PUT", _path(task_id), body=document(definition))
    return request if version is None else request.with_header("If-Match", f'"{version}"')


def switch(task_id: str, way: str) -> Request:
    """Enable or disable."""
    return post(_path(task_id, way))


def firing(task_id: str, trigger_output: dict[str, Any] | None) -> Request:
    """Fire by hand."""
    return post(_path(task_id, "run"), fields(input=trigger_output))


def backfilling(task_id: str, since: datetime, until: datetime) -> Request:
    """Make up for instants without a run. Times without a zone are local ones."""
    times = {"from": since.astimezone(UTC).isoformat(), "until": until.astimezone(UTC).isoformat()}
    return post(_path(task_id, "backfill"), times)


def planning(task_id: str, trigger_output: dict[str, Any] | None) -> Request:
    """Build what a run would send."""
    return post(_path(task_id, "plan"), fields(input=trigger_output))


def _named(name: Any) -> Flow[Sequence[Task]]:
    if not isinstance(name, str):
        raise Invalid.at("/name", "missing", "A task that is applied needs a name: it is how the task is found again.")
    tasks: list[Task] = yield from collect(each(Task, get(_path(), limit=200)))
    return [task for task in tasks if task.name == name]


def _path(*segments: str) -> str:
    return path("api", "v1", "tasks", *segments)
