"""What the routes of `/api/v1` call."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from deployments.shared.gate import Caller
from taske_ray.services.authentication import Authentication
from taske_ray.services.connections import Connections
from taske_ray.services.explanations import Explanations
from taske_ray.services.idempotency import Idempotency
from taske_ray.services.invocations import Invocations
from taske_ray.services.labels import locales
from taske_ray.services.modules import Modules
from taske_ray.services.plans import Plans
from taske_ray.services.runs import Runs
from taske_ray.services.tasks import Tasks


@dataclass(frozen=True, slots=True)
class TaskServices:
    """What the routes of this app call."""

    tasks: Tasks
    plans: Plans
    explanations: Explanations
    runs: Runs
    connections: Connections
    modules: Modules
    invocations: Invocations
    authentication: Authentication
    idempotency: Idempotency


async def _of_the_app(request: Request) -> TaskServices:
    services: TaskServices = request.app.state.services
    return services


Services = Annotated[TaskServices, Depends(_of_the_app)]


async def _locale(request: Request, caller: Caller) -> str:
    """The first language of `Accept-Language` that the catalog speaks, else the caller's own."""
    for part in request.headers.get("accept-language", "").split(","):
        language = part.partition(";")[0].strip().lower()[:2]
        if language in locales:
            return language
    return caller.locale


Locale = Annotated[str, Depends(_locale)]
