"""The instance's OAuth clients, for administrators: registered with a provider once, for everybody."""

from starlette.responses import Response

from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.task_api.parts import Services
from taske_ray.schemas import connections as wire

router = new_router()


@router.get("/admin/oauth-clients", response_model=wire.OAuthClients, openapi_extra=needs("admin"))
async def list_oauth_clients(caller: Caller, services: Services) -> Response:
    """All of them, by module."""
    return answer({"items": await services.oauth_clients.list(by=caller.user_id)})


@router.get("/admin/oauth-clients/{module}/{auth}", response_model=wire.OAuthClient, openapi_extra=needs("admin"))
async def get_oauth_client(module: str, auth: str, caller: Caller, services: Services) -> Response:
    """The client of one way to connect, without its secret."""
    return answer(await services.oauth_clients.get(module, auth, by=caller.user_id))


@router.put("/admin/oauth-clients/{module}/{auth}", response_model=wire.OAuthClient, openapi_extra=needs("admin"))
async def put_oauth_client(
    module: str, auth: str, body: wire.NewOAuthClient, caller: Caller, services: Services
) -> Response:
    """Store the client that users connect with who bring none of their own; sealed, never shown again.

    Register `redirect_uri` of the answer with the provider. Connections refresh with the client as it is then.
    """
    saved = await services.oauth_clients.put(
        module, auth, by=caller.user_id, client_id=body.client_id, client_secret=body.client_secret
    )
    return answer(saved)


@router.delete(
    "/admin/oauth-clients/{module}/{auth}", status_code=204, response_class=Response, openapi_extra=needs("admin")
)
async def delete_oauth_client(module: str, auth: str, caller: Caller, services: Services) -> Response:
    """Forget a client; connections that live on it work until their tokens end."""
    await services.oauth_clients.delete(module, auth, by=caller.user_id)
    return nothing()
