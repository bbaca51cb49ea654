"""The providers that the operator configured. Their origins are the operator's word to the egress guard (7.5)."""

from collections.abc import Mapping

from taske_ray.clock import Clock
from taske_ray.core.url import BadUrl, parse_url
from taske_ray.errors import StartRefused
from taske_ray.integrations.own import open_guard
from taske_ray.integrations.sign_in.github import GitHubProvider
from taske_ray.integrations.sign_in.identity import IdentityProvider
from taske_ray.integrations.sign_in.openid import OpenIdProvider
from taske_ray.integrations.transport import Transport
from taske_ray.settings import Settings, SocialLogin

_connections = 50


def open_providers(settings: Settings, *, clock: Clock) -> tuple[Mapping[str, IdentityProvider], Transport | None]:
    """The providers by name and what they call through, if there are any. Raises StartRefused."""
    if not settings.social_logins:
        return {}, None
    allowed = [_place(login) for login in settings.social_logins]
    transport = Transport(guard=open_guard(settings, also=allowed), connections=_connections)
    return {login.name: _provider(login, transport, clock) for login in settings.social_logins}, transport


def _provider(login: SocialLogin, transport: Transport, clock: Clock) -> IdentityProvider:
    if login.name == "github":
        return GitHubProvider(login, transport=transport)
    return OpenIdProvider(login, transport=transport, clock=clock)


def _place(login: SocialLogin) -> str:
    """The issuer's host and port, as an entry of TASKE_EGRESS_ALLOW."""
    try:
        url = parse_url(login.issuer)
    except BadUrl:
        raise StartRefused(f"TASKE_OIDC_{login.name.upper()}_ISSUER is no address: {login.issuer!r}") from None
    return f"[{url.host}]:{url.port}" if ":" in url.host else f"{url.host}:{url.port}"
