"""Logging in at a provider: one that cannot be reached, or a public one whose metadata leads elsewhere.

The public one keeps nothing: its issuer says which of its endpoints is where.
"""

import base64
import time
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from joserfc import jwk, jwt

from taske_ray.clock import SystemClock
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded
from taske_ray.errors import TaskeError
from taske_ray.integrations.sign_in.identity import Return, Visit
from taske_ray.integrations.sign_in.openid import OpenIdProvider
from taske_ray.integrations.sign_in.providers import open_providers
from taske_ray.integrations.transport import Transport
from taske_ray.settings import Settings, SocialLogin
from tests.integration.egress.stand import CANARY, PUBLIC, Stand, secure

ENDPOINTS = {"token_endpoint": 1, "jwks_uri": 2, "userinfo_endpoint": 3}
"""What the metadata names, and how many requests go to the provider before it is asked there."""
_back, _nonce = "https://taske.example/auth/login/corp/callback", "n" * 43


async def discovered(stand: Stand, url: str) -> Any:
    """The provider itself is at this address, and no word of an operator opens it."""
    login = SocialLogin("corp", "client", CANARY, secure(url))
    return await _came_to(OpenIdProvider(login, transport=stand.transport, clock=SystemClock()).address(_visit()))


def led_to(endpoint: str) -> Callable[[Stand, str], Awaitable[Any]]:
    """A sink: the metadata of a configured provider says that this endpoint of it is at the URL."""

    async def sink(_: Stand, url: str) -> Any:
        login = SocialLogin("corp", "client", CANARY, _issuer(endpoint, secure(url)))
        provider = OpenIdProvider(login, transport=_opened_by_the_operator(), clock=SystemClock())
        return await _came_to(provider.identify(Return(_back, "code", None, "v" * 43, _nonce)))

    return sink


def document(path: str) -> dict[str, Any] | None:
    """What the public provider answers at a path; None where it is not the provider's."""
    if not path.startswith("/openid/"):
        return None
    _, _, endpoint, where, *rest = path.split("/")
    issuer = f"http://{PUBLIC}/openid/{endpoint}/{where}"
    if rest == ["token"]:
        return {"access_token": CANARY, "token_type": "Bearer", "id_token": _id_token(issuer)}
    if rest == ["jwks"]:
        return {"keys": [_key().as_dict(private=False)]}
    usual = {"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token"}
    return {**usual, "jwks_uri": f"{issuer}/jwks", endpoint: base64.urlsafe_b64decode(where).decode()}


def _issuer(endpoint: str, url: str) -> str:
    where = base64.urlsafe_b64encode(url.encode("utf-8", "surrogatepass")).decode()
    return f"http://{PUBLIC}/openid/{endpoint}/{where}"


def _visit() -> Visit:
    return Visit(_back, "s" * 43, "c" * 43, _nonce)


@cache
def _opened_by_the_operator() -> Transport:
    """What calls go through where somebody configured the public provider: its own place is open, and nothing else."""
    login = SocialLogin("corp", "client", CANARY, f"http://{PUBLIC}")
    _, transport = open_providers(Settings(data_dir=Path("unused"), social_logins=(login,)), clock=SystemClock())
    assert transport is not None
    return transport


async def _came_to(asked: Awaitable[Any]) -> Succeeded | Failed:
    try:
        return Succeeded({"found": str(await asked)})
    except TaskeError as error:
        return Failed(ErrorClass.TRANSIENT, error.code, error.message, sent=False)


@cache
def _key() -> Any:
    return jwk.RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})


def _id_token(issuer: str) -> str:
    now = int(time.time())
    claims = {"iss": issuer, "aud": "client", "sub": "mina", "iat": now, "exp": now + 300, "nonce": _nonce}
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, _key())
