"""What stands at `/`: health, metrics, the one OpenAPI document, its page. `create_app` knows nothing of Ray."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from deployments.auth_api import app as auth_api
from deployments.console.metrics import prometheus
from deployments.hooks_api.openapi import document as hooks_document
from deployments.shared.answers import answer
from deployments.shared.application import Appearance, new_app
from deployments.shared.application import router as new_router
from deployments.shared.gate import Gate, needs
from deployments.shared.openapi import merged
from deployments.task_api import app as task_api
from taske_ray.errors import NotFound
from taske_ray.schemas.health import Status
from taske_ray.services.authentication import Authentication
from taske_ray.services.health import Health

router = new_router()
_text: dict[str, Any] = {"schema": {"type": "string"}}
_metrics: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": _text}}}
_page: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": _text}}}
_file_of_a_page: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/css": _text, "text/javascript": _text, "image/svg+xml": _text}}
}
_health = ("/healthz", "/readyz")
_pages = {
    "docs.css": "text/css",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(("docs.js", "words.js", "letter.js", "reconnect.js"), "text/javascript"),
}


@dataclass(frozen=True, slots=True)
class ConsoleServices:
    """What the routes of this app call."""

    health: Health
    authentication: Authentication


async def _of_the_app(request: Request) -> ConsoleServices:
    services: ConsoleServices = request.app.state.services
    return services


Services = Annotated[ConsoleServices, Depends(_of_the_app)]


@router.get("/", status_code=303, response_class=RedirectResponse, openapi_extra=needs("public"))
async def home() -> Response:
    """To the page of the HTTP API."""
    return RedirectResponse("/docs", 303)


@router.get("/healthz", response_model=Status, openapi_extra=needs("public"))
async def is_alive() -> Response:
    """This process is alive."""
    return answer({"status": "ok"})


@router.get(
    "/readyz",
    response_model=Status,
    openapi_extra=needs("public"),
    responses={503: {"description": "a part does not answer"}},
)
async def is_ready(services: Services) -> Response:
    """Database, supervisor, run hosts and integration clients answer."""
    ready = await services.health.is_ready()
    if ready:
        return answer({"status": "ready"})
    return answer({"status": "not ready"}, 503, {"Retry-After": "1"})


@router.get("/metrics", response_class=Response, openapi_extra=needs("operator"), responses=_metrics)
async def metrics(services: Services) -> Response:
    """Prometheus text, for an admin's token or API key."""
    return Response(prometheus(*await services.health.figures()), media_type="text/plain; version=0.0.4")


@router.get("/openapi.json", response_model=dict[str, Any], openapi_extra=needs("public"))
async def openapi(request: Request) -> Response:
    """This document."""
    return answer(request.app.state.document)


@router.get("/docs", response_class=Response, openapi_extra=needs("public"), responses=_page)
async def docs() -> Response:
    """The HTTP API, to read."""
    return _file("docs.html", "text/html")


@router.get("/verify", response_class=Response, openapi_extra=needs("public"), responses=_page)
async def verify() -> Response:
    """Where the mail that asks to confirm an address leads."""
    return _file("verify.html", "text/html")


@router.get("/email", response_class=Response, openapi_extra=needs("public"), responses=_page)
async def email() -> Response:
    """Where the mail to an account's new address leads."""
    return _file("email.html", "text/html")


@router.get("/reset", response_class=Response, openapi_extra=needs("public"), responses=_page)
async def reset() -> Response:
    """Where the mail about a forgotten password leads."""
    return _file("reset.html", "text/html")


@router.get("/not-me", response_class=Response, openapi_extra=needs("public"), responses=_page)
async def not_me() -> Response:
    """Where mails about an account lead whoever did not do what they tell of."""
    return _file("not-me.html", "text/html")


@router.get("/reconnect", response_class=Response, openapi_extra=needs("public"), responses=_page)
async def reconnect() -> Response:
    """Where the mail about a connection that has to be made again leads."""
    return _file("reconnect.html", "text/html")


@router.get("/static/{name}", response_class=Response, openapi_extra=needs("public"), responses=_file_of_a_page)
async def static(name: str) -> Response:
    """The files of these pages."""
    if name not in _pages:
        raise NotFound
    return _file(name, _pages[name])


def create_app(services: ConsoleServices, appearance: Appearance) -> FastAPI:
    """The app, to be served at `/`."""
    app = new_app(
        "Taske console", gate=Gate(services.authentication), appearance=appearance, routers=[router], exempt=_health
    )
    app.state.services = services
    app.state.document = document(appearance.url)
    return app


def document(url: str) -> dict[str, Any]:
    """The OpenAPI document of the whole service."""
    apps = {
        auth_api.prefix: auth_api.routers,
        task_api.prefix: task_api.routers,
        "": (router,),
    }
    return merged(apps, paths=hooks_document, version=_version(), url=url)


def _file(name: str, media_type: str) -> Response:
    content = files("deployments.console").joinpath("static", name).read_bytes()
    return Response(content, headers={"cache-control": "no-cache"}, media_type=f"{media_type}; charset=utf-8")


def _version() -> str:
    try:
        return version("taske-ray")
    except PackageNotFoundError:
        return "0"
