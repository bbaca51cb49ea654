"""Connections: secrets go in and never come out."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from deployments.task_api.parts import Services
from taske_ray.schemas import connections as wire
from taske_ray.schemas.wire import Empty
from taske_ray.schemas.wire import Page as WirePage

router = new_router()


@router.get("/connections", response_model=WirePage[wire.Connection], openapi_extra=needs("read"))
async def list_connections(
    caller: Caller, services: Services, page: Page, module: Annotated[str | None, Query(max_length=40)] = None
) -> Response:
    """The caller's connections, newest first."""
    return await page.page(
        lambda limit: services.connections.list(owner=caller.user_id, after=page.after_id, limit=limit, module=module)
    )


@router.post("/connections", status_code=201, response_model=wire.Connection, openapi_extra=needs("write"))
async def create_connection(body: wire.NewConnection, caller: Caller, services: Services) -> Response:
    """Connect to a module."""
    made = await services.connections.create(
        owner=caller.user_id, module=body.module, auth=body.auth, name=body.name, fields=body.fields
    )
    return answer(made, 201, {"Location": f"/api/v1/connections/{made['id']}"})


@router.get("/connections/{connection_id}", response_model=wire.Connection, openapi_extra=needs("read"))
async def get_connection(connection_id: str, caller: Caller, services: Services) -> Response:
    """One connection, without its secrets."""
    return answer(await services.connections.get(connection_id, owner=caller.user_id))


@router.patch("/connections/{connection_id}", response_model=wire.Connection, openapi_extra=needs("write"))
async def change_connection(
    connection_id: str, body: wire.ConnectionPatch, caller: Caller, services: Services
) -> Response:
    """Another name, other fields. Changing an open field needs the secrets again."""
    return answer(
        await services.connections.change(connection_id, owner=caller.user_id, name=body.name, fields=body.fields)
    )


@router.delete("/connections/{connection_id}", status_code=204, response_class=Response, openapi_extra=needs("write"))
async def delete_connection(connection_id: str, caller: Caller, services: Services) -> Response:
    """Destroy a connection with its secrets."""
    await services.connections.delete(connection_id, owner=caller.user_id)
    return nothing()


@router.post("/connections/{connection_id}/test", response_model=wire.ConnectionTest, openapi_extra=needs("write"))
async def try_connection(
    connection_id: str,
    caller: Caller,
    services: Services,
    body: Empty | None = None,  # noqa: ARG001 - empty, and checked to be
) -> Response:
    """Ask the service whether the credential works."""
    return answer(await services.connections.test(connection_id, owner=caller.user_id))
