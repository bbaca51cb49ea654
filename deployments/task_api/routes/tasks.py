"""Tasks. Their text is checked by `core/task.py`, which names every broken rule at once."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Body, Header, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from deployments.task_api.parts import Depth, Services
from taske_ray.errors import PreconditionFailed
from taske_ray.schemas import tasks as wire
from taske_ray.schemas.wire import Empty
from taske_ray.schemas.wire import Page as WirePage

router = new_router()
_example = {
    "name": "Every morning",
    "trigger": {"capability": "system.schedule.cron", "params": {"cron": "0 9 * * *", "timezone": "Asia/Seoul"}},
    "actions": [{"capability": "http.request", "params": {"url": "https://example.com/", "method": "GET"}}],
}
_shape = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/TaskSpec"}}}}}
Document = Annotated[dict[str, Any], Body(examples=[_example])]
IfMatch = Annotated[str | None, Header(max_length=100, description="the `ETag` that was read; else 412")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]
_stale: dict[int | str, dict[str, Any]] = {412: {"description": "the task has changed since"}}


@router.get("/tasks", response_model=WirePage[wire.Task], openapi_extra=needs("read", one_task=True))
async def list_tasks(
    caller: Caller,
    services: Services,
    page: Page,
    name: Annotated[str | None, Query(max_length=200, description="exactly this name")] = None,
) -> Response:
    """The caller's tasks, newest first."""
    return await page.page(
        lambda limit: services.tasks.list(owner=caller.user_id, after=page.after_id, limit=limit, name=name)
    )


@router.post("/tasks", status_code=201, response_model=wire.Task, openapi_extra=needs("write") | _shape)
async def create_task(document: Document, caller: Caller, services: Services) -> Response:
    """Save a new task; it watches from now on unless it says `enabled: false`."""
    return _tagged(await services.tasks.create(document, owner=caller.user_id), 201)


@router.get("/tasks/{task_id}", response_model=wire.Task, openapi_extra=needs("read", one_task=True))
async def get_task(task_id: str, caller: Caller, services: Services) -> Response:
    """One task."""
    return _tagged(await services.tasks.get(task_id, owner=caller.user_id))


@router.put("/tasks/{task_id}", response_model=wire.Task, openapi_extra=needs("write") | _shape, responses=_stale)
async def replace_task(
    task_id: str, document: Document, caller: Caller, services: Services, if_match: IfMatch = None
) -> Response:
    """Save the next version; runs in flight keep theirs."""
    expected = _expected(if_match)
    return _tagged(await services.tasks.replace(task_id, document, owner=caller.user_id, expected=expected))


@router.delete(
    "/tasks/{task_id}", status_code=204, response_class=Response, openapi_extra=needs("write"), responses=_stale
)
async def delete_task(task_id: str, caller: Caller, services: Services, if_match: IfMatch = None) -> Response:
    """Delete a task; its runs stay in the history."""
    await services.tasks.delete(task_id, owner=caller.user_id, expected=_expected(if_match))
    return nothing()


@router.post("/tasks/{task_id}/enable", response_model=wire.Task, openapi_extra=needs("write", one_task=True))
async def enable_task(
    task_id: str,
    caller: Caller,
    services: Services,
    body: Empty | None = None,  # noqa: ARG001 - empty, and checked to be
) -> Response:
    """Watch from now on."""
    return _tagged(await services.tasks.switch(task_id, owner=caller.user_id, enabled=True))


@router.post("/tasks/{task_id}/disable", response_model=wire.Task, openapi_extra=needs("write", one_task=True))
async def disable_task(
    task_id: str,
    caller: Caller,
    services: Services,
    body: Empty | None = None,  # noqa: ARG001 - empty, and checked to be
) -> Response:
    """Watch no longer; runs in flight finish."""
    return _tagged(await services.tasks.switch(task_id, owner=caller.user_id, enabled=False))


@router.post(
    "/tasks/{task_id}/rotate-hook",
    response_model=wire.Task,
    openapi_extra=needs("write"),
    responses=_stale | {409: {"description": "the task has no webhook"}},
)
async def rotate_hook(
    task_id: str,
    caller: Caller,
    services: Services,
    body: Empty | None = None,  # noqa: ARG001 - empty, and checked to be
    if_match: IfMatch = None,
) -> Response:
    """Give the task's webhook another `hook_url`; deliveries to the old one are 404 from now on. A new version."""
    return _tagged(await services.tasks.rotate_hook(task_id, owner=caller.user_id, expected=_expected(if_match)))


@router.post(
    "/tasks/{task_id}/run", status_code=202, response_model=wire.RunStarted, openapi_extra=needs("write", one_task=True)
)
async def run_task(
    task_id: str,
    caller: Caller,
    services: Services,
    body: wire.RunTask | None = None,
    *,
    depth: Depth,
    idempotency_key: Key = None,
) -> Response:
    """Fire by hand, enabled or not; `input` becomes `trigger.output`. Runs that fire each other end at the fourth."""
    given = body.input if body else None
    run_id = await services.tasks.run(task_id, given, owner=caller.user_id, key=idempotency_key, depth=depth)
    return answer({"run_id": run_id}, 202)


@router.post(
    "/tasks/{task_id}/backfill",
    status_code=202,
    response_model=wire.Backfilled,
    openapi_extra=needs("write", one_task=True),
)
async def backfill(task_id: str, body: wire.Backfill, caller: Caller, services: Services, depth: Depth) -> Response:
    """A run for each instant of its schedule between `from` and `until` that has come and has none; at most 1,000."""
    made = await services.backfills.backfill(task_id, body.since, body.until, owner=caller.user_id, depth=depth)
    return answer(made.view(), 202)


@router.get(
    "/tasks/{task_id}/versions", response_model=WirePage[wire.TaskVersion], openapi_extra=needs("read", one_task=True)
)
async def list_versions(task_id: str, caller: Caller, services: Services, page: Page) -> Response:
    """The saved versions, newest first."""
    return await page.page(
        lambda limit: services.tasks.versions(task_id, owner=caller.user_id, before=page.after_number, limit=limit),
        "version",
    )


@router.post("/tasks/{task_id}/rollback", response_model=wire.Task, openapi_extra=needs("write"), responses=_stale)
async def roll_back(
    task_id: str, body: wire.Rollback, caller: Caller, services: Services, if_match: IfMatch = None
) -> Response:
    """Save an earlier version again, as the newest."""
    expected = _expected(if_match)
    return _tagged(await services.tasks.roll_back(task_id, body.version, owner=caller.user_id, expected=expected))


@router.post("/tasks/{task_id}/plan", response_model=wire.Plan, openapi_extra=needs("read", one_task=True))
async def plan(task_id: str, caller: Caller, services: Services, body: wire.RunTask | None = None) -> Response:
    """The requests that a run would send: built, not sent, secrets masked."""
    return answer(await services.plans.plan(task_id, body.input if body else None, owner=caller.user_id))


@router.get("/tasks/{task_id}/explain", response_model=wire.Explain, openapi_extra=needs("read", one_task=True))
async def explain(
    task_id: str, caller: Caller, services: Services, since: Annotated[AwareDatetime | None, Query()] = None
) -> Response:
    """Why it did or did not run."""
    moment: datetime | None = since
    return answer(await services.explanations.explain(task_id, owner=caller.user_id, since=moment))


def _tagged(task: dict[str, Any], status: int = 200) -> Response:
    headers = {"ETag": f'"{task["version"]}"'}
    if status == 201:  # noqa: PLR2004 - created
        headers["Location"] = f"/api/v1/tasks/{task['id']}"
    return answer(task, status, headers)


def _expected(if_match: str | None) -> int | None:
    """The version that `If-Match` names; `*` names any. Raises PreconditionFailed for what was never ours."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 - digits of a 32-bit number
        raise PreconditionFailed
    return int(text)
