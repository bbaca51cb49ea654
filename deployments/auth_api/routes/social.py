"""Logging in with a provider: there, and back."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from deployments.auth_api.handing import handed_out, origin_of, with_cookie
from deployments.auth_api.parts import Services
from deployments.shared.application import router as new_router
from deployments.shared.browser import browser_of, remember_browser
from deployments.shared.gate import needs
from taske_ray.errors import TaskeError
from taske_ray.schemas import auth as wire
from taske_ray.services.entrance import SecondFactorDue
from taske_ray.services.social_logins import Arrival, ProviderAnswer

router = new_router()
_leads_away: dict[int | str, dict[str, Any]] = {303: {"description": "to the provider"}}
_ends: dict[int | str, dict[str, Any]] = {303: {"description": "to a page of ours"}, 401: {}, 403: {}}
_languages = ("ko", "ja", "en")


@router.get(
    "/login/{provider}", status_code=303, response_class=Response, openapi_extra=needs("public"), responses=_leads_away
)
async def go_to_provider(
    provider: str,
    services: Services,
    request: Request,
    to: Annotated[str | None, Query(description="a path of this service, where the browser lands afterwards")] = None,
) -> Response:
    """Begin a login at a provider, to be finished in this browser within ten minutes."""
    secure = request.app.state.secure_cookie
    departure = await services.social_logins.begin(provider, browser=browser_of(request, secure=secure), target=to)
    response = _see_other(departure.address)
    remember_browser(response, departure.browser, secure=secure)
    return response


@router.get(
    "/login/{provider}/callback",
    response_model=wire.TokenPair | wire.SecondFactorDue,
    openapi_extra=needs("public"),
    responses=_ends,
)
async def come_back(
    provider: str,
    services: Services,
    request: Request,
    state: Annotated[str | None, Query()] = None,  # noqa: ARG001 - read where doubles are noticed
    code: Annotated[str | None, Query()] = None,  # noqa: ARG001
    iss: Annotated[str | None, Query(description="who answers (RFC 9207)")] = None,  # noqa: ARG001
    error: Annotated[str | None, Query()] = None,  # noqa: ARG001
) -> Response:
    """Where the provider sends the browser back to.

    A browser, or whoever named a place with `to`, is sent there (303) with the cookie that `/auth/refresh` takes; what
    is missing stands behind `#`: `second_factor` and `methods` for `/auth/login/second-factor`, or `error`. Others get
    the answer of `/auth/login`.
    """
    answer = ProviderAnswer(*(_once(request, name) for name in ("state", "code", "iss", "error")))
    arrival = await services.social_logins.finish(
        provider,
        answer,
        browser=browser_of(request, secure=request.app.state.secure_cookie),
        locale=_locale(request),
        origin=origin_of(request),
    )
    if arrival.asked or "text/html" in request.headers.get("accept", ""):
        return _landed(request, arrival)
    if isinstance(arrival.outcome, TaskeError):
        raise arrival.outcome
    return handed_out(request, arrival.outcome)


def _landed(request: Request, arrival: Arrival) -> Response:
    place, outcome = arrival.target.partition("#")[0], arrival.outcome
    if isinstance(outcome, TaskeError):
        return _see_other(f"{place}#{urlencode({'error': outcome.code})}")
    if isinstance(outcome, SecondFactorDue):
        due = {"second_factor": outcome.challenge, "methods": ",".join(outcome.methods)}
        return _see_other(f"{place}#{urlencode(due)}")
    return with_cookie(request, _see_other(arrival.target), outcome)


def _see_other(address: str) -> Response:
    return Response(status_code=303, headers={"location": address})


def _once(request: Request, name: str) -> str | None:
    """A parameter that is there exactly once: of two, somebody may have added one."""
    values = request.query_params.getlist(name)
    return values[0] if len(values) == 1 else None


def _locale(request: Request) -> str:
    """The first language of the browser that we write mails in."""
    wanted = request.headers.get("accept-language", "").lower().split(",")
    tags = (one.partition(";")[0].strip().partition("-")[0] for one in wanted)
    return next((tag for tag in tags if tag in _languages), "en")
