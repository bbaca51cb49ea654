"""Connections that need a consent: where to send the browser, and where it comes back."""

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from deployments.shared.answers import answer
from deployments.shared.application import router as new_router
from deployments.shared.browser import browser_of, remember_browser
from deployments.shared.gate import Caller, needs
from deployments.shared.pages import onward, page, question, wants_page
from deployments.shared.problems import status_of
from deployments.task_api.parts import Services
from taske_ray.errors import TaskeError
from taske_ray.schemas import connections as wire
from taske_ray.services.consent_wishes import Arrived, Came, ConfirmationNeeded, Wish

router = new_router()
_page: dict[str, Any] = {"text/html": {"schema": {"type": "string"}}}
_from_provider = "as the provider sends it"


@router.post("/connections/authorize", response_model=wire.BegunAuthorization, openapi_extra=needs("write"))
async def authorize(body: wire.NewAuthorization, request: Request, caller: Caller, services: Services) -> Response:
    """Begin a connection that its user has to allow at the provider; open `authorize_url` in a browser.

    It is good once, for ten minutes. A browser that asks (it sends `Origin` or `Sec-Fetch-Site`) gets a cookie, and
    only that browser may come back. A program has no browser: whoever opens the address ends it, and where strangers
    have accounts (`TASKE_LIMITS=public`) they are asked first whose connection it is to be.
    `GET /connections/authorizations/{id}` tells what became of it. The OAuth client is the user's own (`fields`), else
    the one that an administrator stored.
    """
    return await begin(request, services, caller, body, shared=False)


@router.get(
    "/connections/authorizations/{authorization_id}", response_model=wire.Authorization, openapi_extra=needs("read")
)
async def get_authorization(authorization_id: str, caller: Caller, services: Services) -> Response:
    """What became of a consent that the caller began, for a day."""
    return answer(await services.connection_authorizations.get(authorization_id, owner=caller.user_id))


@router.get(
    "/connections/callback",
    response_model=wire.MadeConnection,
    openapi_extra=needs("public"),
    responses={
        200: {"content": _page},
        303: {"description": "the browser goes on to `return_to`"},
        409: {"description": "the user did not allow it, or the provider gave no token"},
    },
)
async def callback(
    request: Request,
    services: Services,
    state: Annotated[str | None, Query(max_length=200, description=_from_provider)] = None,
    code: Annotated[str | None, Query(max_length=4000, description=_from_provider)] = None,
    error: Annotated[str | None, Query(max_length=200, description=_from_provider)] = None,
    error_description: Annotated[str | None, Query(max_length=2000, description=_from_provider)] = None,
    iss: Annotated[str | None, Query(max_length=500, description=_from_provider)] = None,
    confirmed: Annotated[bool, Query(description="a person has pressed the button of our page")] = False,  # noqa: FBT002
) -> Response:
    """Where a provider sends the browser back to: exchanges the code and makes the connection."""
    browser = browser_of(request, secure=_is_secure(request))
    came = Came(state, code, error, error_description, iss, browser, confirmed)
    try:
        arrived = await services.connection_authorizations.finish(came)
    except ConfirmationNeeded as needed:
        return _asked(needed, {"state": state, "code": code, "iss": iss})
    except TaskeError as refused:
        if not wants_page(request):
            raise
        return _told(refused)
    return _arrived(request, arrived)


async def begin(
    request: Request, services: Services, caller: Caller, body: wire.NewAuthorization, *, shared: bool
) -> Response:
    """Begin a consent for a user, or for the instance (`shared`)."""
    wish = Wish(
        module=body.module,
        auth=body.auth,
        name=body.name,
        fields=body.fields,
        capabilities=body.capabilities,
        scopes=body.scopes,
        connection=body.connection,
        target=body.return_to,
        shared=shared,
    )
    secure = _is_secure(request)
    bound = "origin" in request.headers or "sec-fetch-site" in request.headers
    sent = await services.connection_authorizations.begin(
        wish, by=caller, browser=browser_of(request, secure=secure), bound=bound
    )
    response = answer(sent.answer)
    if sent.browser is not None:
        remember_browser(response, sent.browser, secure=secure)
    return response


def _arrived(request: Request, arrived: Arrived) -> Response:
    if not wants_page(request):
        return answer(arrived.answer)
    if arrived.target != "/":
        return onward(arrived.target, arrived.answer["connection"])
    label, module = arrived.answer["label"], arrived.answer["module"]
    text = f"{module} is connected{f' as {label}' if label else ''}. You can close this page."
    return page("Connected", text)


def _asked(needed: ConfirmationNeeded, values: dict[str, str | None]) -> Response:
    account, module = needed.shown["account"], needed.shown["module"]
    text = (
        f"This gives the Taske account {account} access to your account at {module}. "
        "Go on only if that account is yours and you have just asked for it."
    )
    return question("Connect?", text, f"Connect {module} to {account}", values)


def _told(refused: TaskeError) -> Response:
    return page("Not connected", refused.message, status=status_of(refused))


def _is_secure(request: Request) -> bool:
    return bool(request.app.state.secure)
