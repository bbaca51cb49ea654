"""Handing a login's outcome to the client: tokens in the body, the refresh token also as a cookie (security, 4.6)."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from deployments.shared.answers import answer
from deployments.shared.bodies import require_json
from taske_ray.errors import Forbidden, Unauthenticated
from taske_ray.services.entrance import SecondFactorDue
from taske_ray.services.origin import Origin
from taske_ray.services.sessions import Tokens

_cookie = "taske_refresh"
_path = "/auth"


def handed_out(request: Request, outcome: Tokens | SecondFactorDue, **more: Any) -> Response:
    """The answer to a login: tokens, with `more` beside them, or what its second factor needs."""
    if isinstance(outcome, SecondFactorDue):
        return answer({"second_factor": {"challenge": outcome.challenge, "methods": outcome.methods}})
    body = {
        "access_token": outcome.access_token,
        "token_type": "bearer",
        "expires_in": outcome.expires_in,
        "refresh_token": outcome.refresh_token,
        "password_change_required": outcome.password_due,
    }
    return with_cookie(request, answer(body | more), outcome)


def with_cookie(request: Request, response: Response, tokens: Tokens) -> Response:
    """The same response; the browser keeps the refresh token as long as it lives, out of reach of scripts."""
    response.set_cookie(
        cookie_name(request),
        tokens.refresh_token,
        max_age=tokens.refresh_lives_s,
        path=_path,
        secure=request.app.state.secure_cookie,
        httponly=True,
        samesite="strict",
    )
    return response


def without_cookie(request: Request, response: Response) -> Response:
    """The same response; the browser forgets the refresh token."""
    response.delete_cookie(
        cookie_name(request), path=_path, secure=request.app.state.secure_cookie, httponly=True, samesite="strict"
    )
    return response


def cookie_name(request: Request) -> str:
    """The name of the cookie; browsers keep its prefix for https."""
    return f"__Secure-{_cookie}" if request.app.state.secure_cookie else _cookie


def token_from_cookie(request: Request) -> str:
    """The refresh token of a browser; only to a page of our own, which can say that it sends JSON (security, 13.2)."""
    token = request.cookies.get(cookie_name(request))
    if not token:
        raise Unauthenticated
    if request.headers.get("origin") != request.app.state.origin:
        raise Forbidden("The cookie is only for our own pages", code="foreign_origin")
    require_json(request)
    return token


def origin_of(request: Request) -> Origin:
    """Where a request came from."""
    return Origin(request.client.host if request.client else None, request.headers.get("user-agent"))
