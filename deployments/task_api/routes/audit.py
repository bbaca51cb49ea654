"""What everybody did, for administrators."""

from dataclasses import replace
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from deployments.shared.acts import Only
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from deployments.task_api.parts import Services
from taske_ray.core.ids import parse_id
from taske_ray.errors import Invalid, NotFound
from taske_ray.schemas import audit as wire
from taske_ray.schemas.wire import Page as WirePage

router = new_router()


@router.get("/admin/audit", response_model=WirePage[wire.Act], openapi_extra=needs("operator"))
async def list_all_acts(
    caller: Caller,
    services: Services,
    page: Page,
    only: Only,
    user_id: Annotated[str | None, Query(max_length=50)] = None,
) -> Response:
    """The acts of all users that matter for security, newest first; kept for 90 days."""
    try:
        wanted = replace(only, user_id=None if user_id is None else parse_id("user", user_id))
    except NotFound:
        raise Invalid.at("?user_id", "bad_id", "This is not the id of a user") from None
    return await page.page(
        lambda limit: services.acts.list(wanted, owner=caller.user_id, after=page.after_id, limit=limit, everybody=True)
    )
