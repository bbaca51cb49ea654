"""Accounts and their keys for programs."""

from starlette.requests import Request
from starlette.responses import Response

from deployments.auth_api.handing import origin_of, without_cookie
from deployments.auth_api.parts import Services
from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from taske_ray.core.ids import parse_id
from taske_ray.schemas import auth as wire
from taske_ray.schemas.wire import Page as WirePage
from taske_ray.security.tokens import key_set

router = new_router()
_mailed = {"detail": "If the address can be used, a mail says how to go on."}


@router.post(
    "/signup", status_code=202, response_model=wire.Accepted, openapi_extra=needs("public"), responses={403: {}}
)
async def sign_up(body: wire.SignUp, services: Services, request: Request) -> Response:
    """Make an account. The answer is the same for a known address: its owner gets a mail instead."""
    await services.accounts.sign_up(body.email, body.password, body.locale, origin_of(request))
    return answer(_mailed, 202)


@router.post("/verify", status_code=204, response_class=Response, openapi_extra=needs("public"))
async def verify(body: wire.Verify, services: Services, request: Request) -> Response:
    """Confirm an address with the token that was mailed to it."""
    await services.accounts.verify(body.token, origin_of(request))
    return nothing()


@router.post("/verify/resend", status_code=202, response_model=wire.Accepted, openapi_extra=needs("public"))
async def resend(body: wire.Forgotten, services: Services, request: Request) -> Response:
    """Ask for another mail with a token. The answer is the same for an unknown or confirmed address."""
    await services.accounts.resend(body.email, origin_of(request))
    return answer(_mailed, 202)


@router.get("/me", response_model=wire.Me, openapi_extra=needs("read", one_task=True, password_due=True))
async def get_me(caller: Caller, services: Services) -> Response:
    """The caller's account."""
    return answer(await services.accounts.get(owner=caller.user_id))


@router.patch("/me", response_model=wire.Me, openapi_extra=needs("session"))
async def change_me(body: wire.MePatch, caller: Caller, services: Services) -> Response:
    """Change name, locale, country or time zone."""
    changes = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    if "country" in body.model_fields_set:
        changes["country"] = body.country
    return answer(await services.accounts.change(owner=caller.user_id, changes=changes))


@router.delete("/me", status_code=204, response_class=Response, openapi_extra=needs("recent"))
async def delete_me(caller: Caller, services: Services, request: Request) -> Response:
    """Remove the account with everything in it. Its encryption keys are destroyed.

    Before that, providers are told to forget the tokens of its connections, as far as they answer within some seconds.
    """
    await services.accounts.delete(caller, origin_of(request))
    return without_cookie(request, nothing())


@router.get("/api-keys", response_model=WirePage[wire.ApiKey], openapi_extra=needs("session"))
async def list_api_keys(caller: Caller, services: Services, page: Page) -> Response:
    """The live keys, newest first."""
    after = parse_id("key", page.after) if page.after else None
    return await page.page(lambda limit: services.api_keys.list(owner=caller.user_id, after=after, limit=limit))


@router.post("/api-keys", status_code=201, response_model=wire.CreatedApiKey, openapi_extra=needs("recent"))
async def create_api_key(body: wire.NewApiKey, caller: Caller, services: Services, request: Request) -> Response:
    """A key for programs; shown this once. `task_id` binds it to one task."""
    made = await services.api_keys.create(
        caller,
        origin_of(request),
        name=body.name,
        scopes=body.scopes,
        expires_at=body.expires_at,
        task_id=body.task_id,
    )
    return answer(made, 201, {"Location": f"/auth/api-keys/{made['id']}"})


@router.delete("/api-keys/{key_id}", status_code=204, response_class=Response, openapi_extra=needs("recent"))
async def revoke_api_key(key_id: str, caller: Caller, services: Services, request: Request) -> Response:
    """End a key: the next request with it is refused."""
    await services.api_keys.revoke(key_id, caller, origin_of(request))
    return nothing()


@router.get("/jwks.json", response_model=wire.JwkSet, openapi_extra=needs("public"))
async def get_public_keys(services: Services) -> Response:
    """The public keys of access tokens: the one that signs, and for ten minutes after a rotation the one before."""
    return answer(key_set(await services.public_keys.read()))
