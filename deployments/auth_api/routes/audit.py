"""What was done to and with the caller's account."""

from starlette.responses import Response

from deployments.auth_api.parts import Services
from deployments.shared.acts import Only
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from taske_ray.schemas import audit as wire
from taske_ray.schemas.wire import Page as WirePage

router = new_router()


@router.get("/audit", response_model=WirePage[wire.Act], openapi_extra=needs("session"))
async def list_acts(caller: Caller, services: Services, page: Page, only: Only) -> Response:
    """The caller's acts that matter for security, newest first; kept for 90 days."""
    return await page.page(
        lambda limit: services.acts.list(only, owner=caller.user_id, after=page.after_id, limit=limit)
    )
