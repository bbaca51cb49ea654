"""Where a user's browser is sent to consent, and what is asked for there."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from taske_ray.core.capability.document.auth import AuthScheme
from taske_ray.core.capability.document.hosts import origin_of
from taske_ray.core.capability.exchange.encode import pairs_of, urlencoded, without_null
from taske_ray.core.capability.module import Capability, Module
from taske_ray.core.capability.tokens.endpoint import extra_params
from taske_ray.core.capability.tokens.parties import Asking


def authorize_url(asking: Asking, *, redirect_uri: str, state: str, challenge: str, scopes: Iterable[str]) -> str:
    """The provider's page of consent. What the document adds may replace what is standard."""
    oauth = asking.oauth
    assert oauth.authorize_url is not None
    params: dict[str, Any] = {
        "response_type": "code",
        "client_id": asking.client.id,
        "redirect_uri": redirect_uri,
        "scope": oauth.scope_separator.join(scopes) or None,
    }
    if oauth.pkce == "S256":
        params |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    params = {**params, **extra_params(asking, oauth.authorize_params), "state": state}
    joint = "&" if urlsplit(oauth.authorize_url).query else "?"
    return oauth.authorize_url + joint + urlencoded(pairs_of(without_null(params), "repeat"))


def scopes_to_ask(
    module: Module, scheme: AuthScheme, capabilities: Iterable[str] | None = None, more: Iterable[str] = ()
) -> tuple[str, ...]:
    """The base scopes and those of the chosen capabilities (None: of all that take this scheme), each once."""
    chosen = module.capabilities.keys() if capabilities is None else list(capabilities)
    asked = [scope for name in chosen for scope in _needed(module.capabilities[name], scheme)]
    base = scheme.oauth.base_scopes if scheme.oauth is not None else ()
    return tuple(dict.fromkeys([*base, *asked, *more]))


def missing_scopes(capability: Capability, granted: Iterable[str] | None) -> tuple[str, ...]:
    """What a capability needs and a connection was not granted; nothing where nobody knows what was."""
    held = None if granted is None else set(granted)
    return () if held is None else tuple(scope for scope in capability.scopes if scope not in held)


def is_from(scheme: AuthScheme, issuer: str) -> bool:
    """Whether an answer that names its issuer (RFC 9207) can be the provider's: same origin as its endpoints."""
    oauth = scheme.oauth
    urls = [] if oauth is None else [url for url in (oauth.authorize_url, oauth.token_url) if url]
    return origin_of(issuer) in {origin_of(url) for url in urls}


def _needed(capability: Capability, scheme: AuthScheme) -> tuple[str, ...]:
    return capability.scopes if scheme.id in capability.auth_ids else ()
