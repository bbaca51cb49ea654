"""What protects an account: password, address, second factor, and the way back after a theft."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from deployments.auth_api.handing import handed_out, origin_of, with_cookie
from deployments.auth_api.parts import Services
from deployments.shared.answers import answer, nothing
from deployments.shared.application import router as new_router
from deployments.shared.gate import Caller, needs
from taske_ray.schemas import auth as wire

router = new_router()
_refused: dict[int | str, dict[str, Any]] = {401: {}, 403: {}}
_mailed = {"detail": "If the address can be used, a mail says how to go on."}


@router.post("/password", response_model=wire.TokenPair, openapi_extra=needs("recent", password_due=True))
async def change_password(body: wire.NewPassword, caller: Caller, services: Services, request: Request) -> Response:
    """Choose another password. Every session ends; the answer has the tokens of a new one."""
    return handed_out(request, await services.passwords.change(caller, body.password, origin_of(request)))


@router.post("/password/forgot", status_code=202, response_model=wire.Accepted, openapi_extra=needs("public"))
async def forget_password(body: wire.Forgotten, services: Services, request: Request) -> Response:
    """Ask for a mail with a token to choose a new password. The answer is the same for an unknown address."""
    await services.passwords.forget(body.email, origin_of(request))
    return answer(_mailed, 202)


@router.post(
    "/password/reset",
    status_code=204,
    response_class=Response,
    openapi_extra=needs("public"),
    responses=_refused,
)
async def reset_password(body: wire.Reset, services: Services, request: Request) -> Response:
    """Choose a new password with the token that was mailed. Every session ends; nobody is logged in.

    Where a second factor is enrolled `code` is needed, too (403 `second_factor_required`).
    """
    await services.passwords.reset(body.token, body.password, body.code, origin_of(request))
    return nothing()


@router.post("/email", status_code=202, response_model=wire.Accepted, openapi_extra=needs("recent"))
async def change_address(body: wire.NewAddress, caller: Caller, services: Services, request: Request) -> Response:
    """Ask for a mail to another address with a token to confirm it."""
    await services.address_changes.request(caller, body.email, origin_of(request))
    return answer(_mailed, 202)


@router.post("/email/confirm", status_code=204, response_class=Response, openapi_extra=needs("public"))
async def confirm_address(body: wire.Verify, services: Services, request: Request) -> Response:
    """Move the account to the address that the token was mailed to; the old one is told."""
    await services.address_changes.confirm(body.token, origin_of(request))
    return nothing()


@router.post("/totp", response_model=wire.TotpBegun, openapi_extra=needs("recent"))
async def begin_totp(caller: Caller, services: Services, request: Request) -> Response:
    """A secret for an authenticator app, shown this once; in use after `POST /auth/totp/confirm`."""
    return answer(await services.second_factors.enrol(caller, origin_of(request)))


@router.post("/totp/confirm", response_model=wire.TotpConfirmed, openapi_extra=needs("recent"))
async def confirm_totp(body: wire.CodeGiven, caller: Caller, services: Services, request: Request) -> Response:
    """Logins ask for a code from now on. Every session ends; the answer has ten recovery codes and a new session."""
    codes, tokens = await services.second_factors.confirm(caller, body.code, origin_of(request))
    return handed_out(request, tokens, recovery_codes=codes)


@router.delete("/totp", status_code=204, response_class=Response, openapi_extra=needs("recent"), responses={409: {}})
async def remove_totp(body: wire.CodeGiven, caller: Caller, services: Services, request: Request) -> Response:
    """Logins ask for no code any more. Every session ends; a browser gets the cookie of a new one, others log in."""
    tokens = await services.second_factors.remove(caller, body.code, origin_of(request))
    return with_cookie(request, nothing(), tokens)


@router.post("/not-me", status_code=204, response_class=Response, openapi_extra=needs("public"))
async def object_by_mail(body: wire.Verify, services: Services, request: Request) -> Response:
    """This was not me: the token of a mail about the account ends every session and undoes what the mail is about."""
    await services.objections.by_mail(body.token, origin_of(request))
    return nothing()
