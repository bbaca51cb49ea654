"""How an app is put together, the same for each: gate, front, problems."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from deployments.shared.front import Front
from deployments.shared.gate import Gate, GatedRoute
from deployments.shared.headers import protecting_headers
from deployments.shared.pages import refusal_page, wants_page
from deployments.shared.problems import invalid_input, problem_of, refusal, request_id_of
from deployments.shared.rates import Rates
from taske_ray.errors import TaskeError
from taske_ray.limits import Limits, profiles


@dataclass(frozen=True, slots=True)
class Appearance:
    """What an app needs to know about where it stands."""

    url: str
    cursor_key: bytes
    cors_origins: tuple[str, ...] = ()
    limits: Limits = profiles["default"]


def router() -> APIRouter:
    """A router whose routes are behind the gate."""
    return APIRouter(route_class=GatedRoute)


def new_app(
    title: str,
    *,
    gate: Gate,
    appearance: Appearance,
    routers: Sequence[APIRouter],
    exempt: Collection[str] = (),
    sign_ups: Collection[str] = (),
) -> FastAPI:
    """An app with these routes. `exempt`, `sign_ups`: paths that no rate holds for, and that a narrow one holds for.

    Its document is served by the console.
    """
    app = FastAPI(title=title, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.gate = gate
    app.state.cursor_key = appearance.cursor_key
    app.state.routes = [route for one in routers for route in one.routes]
    app.add_exception_handler(TaskeError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    for one in routers:
        app.include_router(one)
    app.add_middleware(Rates, appearance.limits, exempt=exempt, sign_ups=sign_ups)
    if appearance.cors_origins:
        app.add_middleware(
            _Cors,
            allow_origins=appearance.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "if-match", "idempotency-key"],
            expose_headers=["etag", "idempotency-replayed", "location", "retry-after", "x-request-id"],
        )
    app.add_middleware(Front, headers=protecting_headers(https=appearance.url.startswith("https:")))
    return app


class _Cors(CORSMiddleware):
    """Exact origins only, and no cookies: who calls from elsewhere sends `Authorization` (security, 13.2 and 13.3)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the library does, but that a refusal is a problem like any other."""
        request = Request(scope)
        asked = scope["method"] == "OPTIONS" and "origin" in request.headers
        if asked and "access-control-request-method" in request.headers:
            response = self.preflight_response(request.headers)
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                response = refusal(response.status_code, request)
            await response(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, TaskeError)
    return _shown(request, problem_of(error, instance=request.scope["path"], request_id=request_id_of(request)))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _refused(request, invalid_input(error))


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _shown(request, refusal(error.status_code, request, {"Allow": ", ".join(_methods(request))}))
    return _shown(request, refusal(error.status_code, request, error.headers))


def _shown(request: Request, problem: Response) -> Response:
    """Programs get the problem; a person who opened the address gets a page that says the same."""
    return refusal_page(problem) if request.method == "GET" and wants_page(request) else problem


def _methods(request: Request) -> list[str]:
    """Every method of this path; the framework names those of the first route only."""
    found: set[str] = set()
    for route in request.app.state.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods or set()
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
