"""The routes of `/auth`."""

from typing import Annotated, Any

from fastapi import Body
from starlette.requests import Request
from starlette.responses import Response

from deployments.auth_api.parts import Services
from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from taske_ray.core.ids import parse_id
from taske_ray.errors import Forbidden, Unauthenticated
from taske_ray.schemas import auth as wire
from taske_ray.schemas.wire import Page as WirePage
from taske_ray.security.tokens import key_set
from taske_ray.services.sessions import Origin, Tokens

router = new_router()
_cookie = "taske_refresh"
_cookie_lives_s = 30 * 24 * 3600
_refused: dict[int | str, dict[str, Any]] = {401: {}, 403: {}}


@router.post(
    "/signup", status_code=202, response_model=wire.Accepted, openapi_extra=needs("public"), responses={403: {}}
)
async def sign_up(body: wire.SignUp, services: Services) -> Response:
    """Make an account. The answer is the same for a known address: its owner gets a mail instead."""
    await services.accounts.sign_up(body.email, body.password, body.locale)
    return answer({"detail": "If the address can be used, a mail says how to go on."}, 202)


@router.post("/verify", status_code=204, response_class=Response, openapi_extra=needs("public"))
async def verify(body: wire.Verify, services: Services) -> Response:
    """Confirm an address with the token that was mailed to it."""
    await services.accounts.verify(body.token)
    return nothing()


@router.post("/login", response_model=wire.TokenPair, openapi_extra=needs("public"), responses=_refused)
async def log_in(body: wire.Login, services: Services, request: Request) -> Response:
    """Open a session. Browsers also get the refresh token as an HttpOnly cookie."""
    return _handed_out(request, await services.sessions.log_in(body.email, body.password, _origin(request)))


@router.post("/refresh", response_model=wire.TokenPair, openapi_extra=needs("public"), responses=_refused)
async def refresh(
    services: Services, request: Request, body: Annotated[wire.Refresh | None, Body()] = None
) -> Response:
    """The next pair of tokens; the old refresh token is spent."""
    token = body.refresh_token if body else None
    if token is None:
        token = _from_cookie(request)
    return _handed_out(request, await services.sessions.refresh(token, _origin(request)))


@router.post("/logout", status_code=204, response_class=Response, openapi_extra=needs("session"))
async def log_out(
    caller: Caller,
    services: Services,
    request: Request,
    body: Annotated[wire.Logout | None, Body()] = None,  # noqa: ARG001 - empty, and checked to be
) -> Response:
    """End this session: its access and refresh tokens die at once."""
    await services.sessions.log_out(caller)
    response = nothing()
    response.delete_cookie(_cookie_name(request), path="/auth")
    return response


@router.get("/me", response_model=wire.Me, openapi_extra=needs("read"))
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


@router.delete("/me", status_code=204, response_class=Response, openapi_extra=needs("session"))
async def delete_me(caller: Caller, services: Services) -> Response:
    """Remove the account with everything in it."""
    await services.accounts.delete(owner=caller.user_id)
    return nothing()


@router.get("/api-keys", response_model=WirePage[wire.ApiKey], openapi_extra=needs("session"))
async def list_api_keys(caller: Caller, services: Services, page: Page) -> Response:
    """The live keys, newest first."""
    after = parse_id("key", page.after) if page.after else None
    return await page.page(lambda limit: services.api_keys.list(owner=caller.user_id, after=after, limit=limit))


@router.post("/api-keys", status_code=201, response_model=wire.CreatedApiKey, openapi_extra=needs("session"))
async def create_api_key(body: wire.NewApiKey, caller: Caller, services: Services) -> Response:
    """A key for programs; shown this once."""
    made = await services.api_keys.create(
        owner=caller.user_id, name=body.name, scopes=body.scopes, expires_at=body.expires_at
    )
    return answer(made, 201)


@router.delete("/api-keys/{key_id}", status_code=204, response_class=Response, openapi_extra=needs("session"))
async def revoke_api_key(key_id: str, caller: Caller, services: Services) -> Response:
    """End a key: the next request with it is refused."""
    await services.api_keys.revoke(key_id, owner=caller.user_id)
    return nothing()


@router.get("/jwks.json", response_model=wire.JwkSet, openapi_extra=needs("public"))
async def get_public_keys(services: Services) -> Response:
    """The public keys of access tokens: the one that signs, and for ten minutes after a rotation the one before."""
    return answer(key_set(await services.public_keys.read()))


def _handed_out(request: Request, tokens: Tokens) -> Response:
    response = answer(
        {
            "access_token": tokens.access_token,
            "token_type": "bearer",
            "expires_in": tokens.expires_in,
            "refresh_token": tokens.refresh_token,
        }
    )
    response.set_cookie(
        _cookie_name(request),
        tokens.refresh_token,
        max_age=_cookie_lives_s,
        path="/auth",
        secure=request.app.state.secure_cookie,
        httponly=True,
        samesite="strict",
    )
    return response


def _cookie_name(request: Request) -> str:
    return f"__Secure-{_cookie}" if request.app.state.secure_cookie else _cookie


def _from_cookie(request: Request) -> str:
    """The refresh token of a browser; only to a page of our own (security, 13.2)."""
    token = request.cookies.get(_cookie_name(request))
    if not token:
        raise Unauthenticated
    if request.headers.get("origin") != request.app.state.origin:
        raise Forbidden("The cookie is only for our own pages", code="foreign_origin")
    return token


def _origin(request: Request) -> Origin:
    return Origin(request.client.host if request.client else None, request.headers.get("user-agent"))
