"""What the routes of `/api/v1` call."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from deployments.shared.gate import Caller
from taske_ray.bootstrap import TaskServices
from taske_ray.core.depth import depth_header, read_depth
from taske_ray.services.labels import preferred


async def _of_the_app(request: Request) -> TaskServices:
    services: TaskServices = request.app.state.services
    return services


Services = Annotated[TaskServices, Depends(_of_the_app)]


async def _depth(request: Request) -> int:
    """How many runs of ours stand behind the request."""
    return read_depth(request.headers.get(depth_header))


Depth = Annotated[int, Depends(_depth)]


async def _locale(request: Request, caller: Caller) -> str:
    """The language of `Accept-Language` that the catalog speaks and the caller likes best, else the caller's own."""
    return preferred(request.headers.get("accept-language", "")) or caller.locale


Locale = Annotated[str, Depends(_locale)]
