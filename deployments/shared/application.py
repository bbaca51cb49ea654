"""How an app is put together, the same for each: gate, front, problems."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from deployments.shared.front import Front, protecting_headers
from deployments.shared.gate import Gate, GatedRoute
from deployments.shared.problems import invalid_input, problem_of, refusal, request_id_of
from taske_ray.errors import TaskeError


@dataclass(frozen=True, slots=True)
class Appearance:
    """What an app needs to know about where it stands."""

    url: str
    cursor_key: bytes
    cors_origins: tuple[str, ...] = ()


def router() -> APIRouter:
    """A router whose routes are behind the gate."""
    return APIRouter(route_class=GatedRoute)


def new_app(
    title: str, *, gate: Gate, appearance: Appearance, routers: Sequence[APIRouter], personal: bool = True
) -> FastAPI:
    """An app with these routes; `personal`: no cache keeps its answers. Its document is served by the console."""
    app = FastAPI(title=title, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.gate = gate
    app.state.cursor_key = appearance.cursor_key
    app.state.routes = [route for one in routers for route in one.routes]
    app.add_exception_handler(TaskeError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    for one in routers:
        app.include_router(one)
    if appearance.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(appearance.cors_origins),
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "if-match", "idempotency-key"],
            expose_headers=["etag", "retry-after", "x-request-id"],
        )
    app.add_middleware(Front, headers=protecting_headers(https=appearance.url.startswith("https:"), personal=personal))
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, TaskeError)
    return problem_of(error, instance=request.scope["path"], request_id=request_id_of(request))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _refused(request, invalid_input(error))


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return refusal(error.status_code, request, {"Allow": ", ".join(_methods(request))})
    return refusal(error.status_code, request, error.headers)


def _methods(request: Request) -> list[str]:
    """Every method of this path; the framework names those of the first route only."""
    found: set[str] = set()
    for route in request.app.state.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)
