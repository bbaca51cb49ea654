"""Accounts, for administrators."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from deployments.auth_api.handing import origin_of
from deployments.auth_api.parts import Services
from deployments.shared.answers import answer
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from taske_ray.core.ids import parse_id
from taske_ray.schemas import auth as wire
from taske_ray.schemas.wire import Page as WirePage

router = new_router()


@router.get("/users", response_model=WirePage[wire.User], openapi_extra=needs("operator"))
async def list_users(
    services: Services,
    page: Page,
    q: Annotated[str | None, Query(max_length=254, description="a part of the address")] = None,
) -> Response:
    """All accounts, newest first."""
    after = parse_id("user", page.after) if page.after else None
    return await page.page(lambda limit: services.users.list(after=after, limit=limit, q=q))


@router.get("/users/{user_id}", response_model=wire.User, openapi_extra=needs("operator"))
async def get_user(user_id: str, services: Services) -> Response:
    """One account."""
    return answer(await services.users.get(user_id))


@router.patch("/users/{user_id}", response_model=wire.User, openapi_extra=needs("admin"), responses={409: {}})
async def change_user(
    user_id: str, body: wire.UserPatch, caller: Caller, services: Services, request: Request
) -> Response:
    """Give an account another role, disable or enable it; it acts on the user's next request.

    With another role or disabled, the account's sessions end; disabled, its keys are refused and its triggers pause.
    The last administrator stays one (409).
    """
    changed = await services.users.change(user_id, caller, origin_of(request), role=body.role, status=body.status)
    return answer(changed)
