"""Logging in and out, and the sessions of an account."""

from typing import Annotated, Any

from fastapi import Body
from starlette.requests import Request
from starlette.responses import Response

from deployments.auth_api.handing import handed_out, origin_of, token_from_cookie, without_cookie
from deployments.auth_api.parts import Services
from deployments.shared.answers import nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from deployments.shared.paging import Page
from taske_ray.core.ids import parse_id
from taske_ray.schemas import auth as wire
from taske_ray.schemas.wire import Page as WirePage

router = new_router()
_refused: dict[int | str, dict[str, Any]] = {401: {}, 403: {}}
_unknown: dict[int | str, dict[str, Any]] = {401: {}}


@router.post(
    "/login",
    response_model=wire.TokenPair | wire.SecondFactorDue,
    openapi_extra=needs("public"),
    responses=_unknown,
)
async def log_in(body: wire.Login, services: Services, request: Request) -> Response:
    """Open a session, or say which second factor is due. Browsers also get the refresh token as an HttpOnly cookie.

    Unknown, wrong and unverified look alike. After ten failures in 15 minutes each further try waits (429).
    """
    return handed_out(request, await services.logins.log_in(body.email, body.password, origin_of(request)))


@router.post("/login/second-factor", response_model=wire.TokenPair, openapi_extra=needs("public"), responses=_unknown)
async def give_second_factor(body: wire.SecondFactorAnswer, services: Services, request: Request) -> Response:
    """Open the session of a login with its challenge and a code. Five wrong codes end the challenge."""
    return handed_out(
        request, await services.entrance.after_second_factor(body.challenge, body.code, origin_of(request))
    )


@router.post("/refresh", response_model=wire.TokenPair, openapi_extra=needs("public"), responses=_refused)
async def refresh(
    services: Services, request: Request, body: Annotated[wire.Refresh | None, Body()] = None
) -> Response:
    """The next pair of tokens; the old refresh token is spent.

    Presented again within 10 s, while its successor is unused, it gives the same successor. Otherwise its reuse ends
    every session of the account, whose next login needs a second factor.
    """
    token = body.refresh_token if body else None
    if token is None:
        token = token_from_cookie(request)
    return handed_out(request, await services.sessions.refresh(token, origin_of(request)))


@router.post(
    "/reauthenticate", status_code=204, response_class=Response, openapi_extra=needs("session", password_due=True)
)
async def reauthenticate(body: wire.Reauthentication, caller: Caller, services: Services, request: Request) -> Response:
    """Prove again who you are: for ten minutes this session may change what protects the account."""
    await services.logins.reauthenticate(caller, body.password, body.code, origin_of(request))
    return nothing()


@router.post("/logout", status_code=204, response_class=Response, openapi_extra=needs("session", password_due=True))
async def log_out(
    caller: Caller,
    services: Services,
    request: Request,
    body: Annotated[wire.Logout | None, Body()] = None,  # noqa: ARG001 - empty, and checked to be
) -> Response:
    """End this session: its access and refresh tokens die at once."""
    await services.sessions.log_out(caller, origin_of(request))
    return without_cookie(request, nothing())


@router.get("/sessions", response_model=WirePage[wire.Session], openapi_extra=needs("session"))
async def list_sessions(caller: Caller, services: Services, page: Page) -> Response:
    """The account's live sessions, newest first."""
    after = parse_id("session", page.after) if page.after else None
    return await page.page(lambda limit: services.sessions.list(caller, after=after, limit=limit))


@router.delete("/sessions/{session_id}", status_code=204, response_class=Response, openapi_extra=needs("session"))
async def end_session(session_id: str, caller: Caller, services: Services, request: Request) -> Response:
    """End a session: its access and refresh tokens die at once."""
    await services.sessions.end(session_id, caller, origin_of(request))
    return nothing()


@router.post("/sessions/{session_id}/not-me", status_code=204, response_class=Response, openapi_extra=needs("session"))
async def object_to_session(session_id: str, caller: Caller, services: Services, request: Request) -> Response:
    """Somebody else is in this session: every session of the account ends, this one too, and so do its API keys."""
    await services.objections.by_session(session_id, caller, origin_of(request))
    return without_cookie(request, nothing())
