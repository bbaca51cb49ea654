"""What the routes of `/auth` call."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from taske_ray.bootstrap import AccountServices


async def _of_the_app(request: Request) -> AccountServices:
    services: AccountServices = request.app.state.services
    return services


Services = Annotated[AccountServices, Depends(_of_the_app)]
