"""With which providers the caller can log in."""

from starlette.requests import Request
from starlette.responses import Response

from deployments.auth_api.handing import origin_of
from deployments.auth_api.parts import Services
from deployments.shared.answers import nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from taske_ray.core.ids import parse_id
from taske_ray.schemas import auth as wire
from taske_ray.schemas.wire import Page as WirePage

router = new_router()


@router.get("/identities", response_model=WirePage[wire.LinkedIdentity], openapi_extra=needs("session"))
async def list_identities(caller: Caller, services: Services, page: Page) -> Response:
    """The logins at providers that open the account, newest first. A login with another provider links that one."""
    after = parse_id("identity", page.after) if page.after else None
    return await page.page(
        lambda limit: services.linked_identities.list(owner=caller.user_id, after=after, limit=limit)
    )


@router.delete(
    "/identities/{identity_id}",
    status_code=204,
    response_class=Response,
    openapi_extra=needs("recent"),
    responses={409: {}},
)
async def unlink_identity(identity_id: str, caller: Caller, services: Services, request: Request) -> Response:
    """Let a provider open the account no more; other sessions that were begun with it end, and the owner is told.

    The only way into an account without a password stays (409): choose one first, with a mail.
    """
    await services.linked_identities.unlink(identity_id, caller, origin_of(request))
    return nothing()
