"""Runs: lists, details, cancel, resolve, replay."""

from typing import Annotated
from uuid import UUID

from fastapi import Header, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from deployments.shared.answers import answer
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from deployments.task_api.parts import Depth, Services
from taske_ray.core.ids import parse_id
from taske_ray.errors import Invalid, NotFound
from taske_ray.schemas import runs as wire
from taske_ray.schemas.tasks import RunStarted
from taske_ray.schemas.wire import Empty
from taske_ray.schemas.wire import Page as WirePage

router = new_router()


@router.get("/runs", response_model=WirePage[wire.RunSummary], openapi_extra=needs("read", one_task=True))
async def list_runs(
    caller: Caller,
    services: Services,
    page: Page,
    task_id: Annotated[str | None, Query(max_length=50)] = None,
    status: Annotated[wire.RunStatus | None, Query()] = None,
    created_after: Annotated[AwareDatetime | None, Query()] = None,
    created_before: Annotated[AwareDatetime | None, Query()] = None,
) -> Response:
    """The caller's runs, newest first, without their steps."""
    only = (_task(task_id), status, created_after, created_before)
    return await page.page(
        lambda limit: services.runs.list(*only, owner=caller.user_id, after=page.after_id, limit=limit)
    )


@router.get("/runs/{run_id}", response_model=wire.Run, openapi_extra=needs("read", one_task=True))
async def get_run(run_id: str, caller: Caller, services: Services) -> Response:
    """A run with its steps and attempts."""
    return answer(await services.runs.get(run_id, owner=caller.user_id))


@router.post(
    "/runs/{run_id}/cancel",
    status_code=202,
    response_model=wire.Cancelled,
    openapi_extra=needs("write", one_task=True),
    responses={409: {"description": "the run has finished already"}},
)
async def cancel_run(
    run_id: str,
    caller: Caller,
    services: Services,
    body: Empty | None = None,  # noqa: ARG001 - empty, and checked to be
) -> Response:
    """Cancel in any state: at once, or as soon as the call in flight has ended."""
    return answer(await services.runs.cancel(run_id, owner=caller.user_id), 202)


@router.post(
    "/runs/{run_id}/resolve",
    status_code=202,
    response_model=wire.Resolved,
    openapi_extra=needs("write", one_task=True),
    responses={409: {"description": "nothing about the run is to be decided"}},
)
async def resolve_run(run_id: str, body: wire.Resolve, caller: Caller, services: Services) -> Response:
    """Decide about a run in `needs_attention`: nobody can know whether its last call arrived.

    `sent`: it did, the step is done, without an output; `resend`: make the call again under the same idempotency key;
    `fail`: the step has failed. The run's last attempt shows the request in question.
    """
    return answer(await services.resolutions.resolve(run_id, body.decision, owner=caller.user_id), 202)


@router.post(
    "/runs/{run_id}/replay",
    status_code=202,
    response_model=RunStarted,
    openapi_extra=needs("write", one_task=True),
    responses={409: {"description": "the task is deleted"}},
)
async def replay_run(
    run_id: str,
    caller: Caller,
    services: Services,
    body: wire.Replay | None = None,
    *,
    depth: Depth,
    idempotency_key: Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)] = None,
) -> Response:
    """Run again from the start, from the failed step, or from a step's key."""
    wanted = body or wire.Replay.model_validate({})
    fresh = await services.runs.replay(
        run_id,
        owner=caller.user_id,
        start=wanted.start,
        latest=wanted.version == "latest",
        given=wanted.input,
        key=idempotency_key,
        depth=depth,
    )
    return answer({"run_id": fresh}, 202)


def _task(task_id: str | None) -> UUID | None:
    if task_id is None:
        return None
    try:
        return parse_id("task", task_id)
    except NotFound:
        raise Invalid.at("?task_id", "bad_id", "This is not the id of a task") from None
