"""Connections of the instance, for administrators: everybody's tasks use them without naming one, nobody reads them."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from deployments.task_api.parts import Services
from deployments.task_api.routes.authorizations import begin
from taske_ray.schemas import connections as wire
from taske_ray.schemas.wire import Empty
from taske_ray.schemas.wire import Page as WirePage

router = new_router()


@router.get("/admin/connections", response_model=WirePage[wire.Connection], openapi_extra=needs("admin"))
async def list_instance_connections(
    caller: Caller, services: Services, page: Page, module: Annotated[str | None, Query(max_length=40)] = None
) -> Response:
    """The instance's connections: one at most for each scheme that says `owner: instance`."""
    return await page.page(
        lambda limit: services.connections.list(
            owner=None, by=caller.user_id, after=page.after_id, limit=limit, module=module
        )
    )


@router.post(
    "/admin/connections",
    status_code=201,
    response_model=wire.Connection,
    openapi_extra=needs("admin"),
    responses={409: {"description": "there is one of this scheme already"}},
)
async def create_instance_connection(body: wire.NewConnection, caller: Caller, services: Services) -> Response:
    """Connect the instance to a module, for everybody's tasks."""
    made = await services.connections.create(
        owner=None, by=caller.user_id, module=body.module, auth=body.auth, name=body.name, fields=body.fields
    )
    return answer(made, 201)


@router.post("/admin/connections/authorize", response_model=wire.BegunAuthorization, openapi_extra=needs("admin"))
async def authorize_instance_connection(
    body: wire.NewAuthorization, request: Request, caller: Caller, services: Services
) -> Response:
    """As `POST /connections/authorize`, for the instance."""
    return await begin(request, services, caller, body, shared=True)


@router.get("/admin/connections/{connection_id}", response_model=wire.Connection, openapi_extra=needs("admin"))
async def get_instance_connection(connection_id: str, caller: Caller, services: Services) -> Response:
    """One of them, without its secrets."""
    return answer(await services.connections.get(connection_id, owner=None, by=caller.user_id))


@router.patch("/admin/connections/{connection_id}", response_model=wire.Connection, openapi_extra=needs("admin"))
async def change_instance_connection(
    connection_id: str, body: wire.ConnectionPatch, caller: Caller, services: Services
) -> Response:
    """Another name, other fields. Changing an open field needs the secrets again."""
    changed = await services.connections.change(
        connection_id, owner=None, by=caller.user_id, name=body.name, fields=body.fields
    )
    return answer(changed)


@router.delete(
    "/admin/connections/{connection_id}", status_code=204, response_class=Response, openapi_extra=needs("admin")
)
async def delete_instance_connection(connection_id: str, caller: Caller, services: Services) -> Response:
    """Destroy one with its secrets; tasks that use it fail."""
    await services.connections.delete(connection_id, owner=None, by=caller.user_id)
    return nothing()


@router.post(
    "/admin/connections/{connection_id}/test", response_model=wire.ConnectionTest, openapi_extra=needs("admin")
)
async def try_instance_connection(
    connection_id: str,
    caller: Caller,
    services: Services,
    body: Empty | None = None,  # noqa: ARG001 - empty, and checked to be
) -> Response:
    """Ask the service whether the credential works."""
    return answer(await services.connections.test(connection_id, owner=None, by=caller.user_id))
