"""What the routes of `/auth` call."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from taske_ray.services.accounts import Accounts
from taske_ray.services.api_keys import ApiKeys
from taske_ray.services.authentication import Authentication
from taske_ray.services.idempotency import Idempotency
from taske_ray.services.sessions import Sessions
from taske_ray.services.signing import PublicKeys


@dataclass(frozen=True, slots=True)
class AuthServices:
    """What the routes of this app call."""

    accounts: Accounts
    sessions: Sessions
    api_keys: ApiKeys
    public_keys: PublicKeys
    authentication: Authentication
    idempotency: Idempotency


async def _of_the_app(request: Request) -> AuthServices:
    services: AuthServices = request.app.state.services
    return services


Services = Annotated[AuthServices, Depends(_of_the_app)]
