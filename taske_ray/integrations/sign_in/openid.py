"""OpenID providers: authorization code flow with PKCE, state and nonce (security, 7.2, 7.3 and 7.5).

The provider's own metadata says where it listens; what it says is believed as far as its issuer is the configured one
and each address is of the same origin, or one that anybody may be sent to.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from taske_ray.clock import Clock
from taske_ray.core.url import BadUrl, WebUrl, parse_url
from taske_ray.integrations.egress import EgressDenied, EgressGuard
from taske_ray.integrations.sign_in.identity import Identity, ProviderAway, Return, SignInRefused, Visit
from taske_ray.integrations.sign_in.provider_calls import ProviderCalls
from taske_ray.integrations.sign_in.remembered import Remembered
from taske_ray.integrations.transport import Transport
from taske_ray.security.id_tokens import (
    BadIdToken,
    VerificationKey,
    algorithms,
    key_id_of,
    read_address,
    read_key_set,
    verify_id_token,
)
from taske_ray.settings import SocialLogin

scopes = "openid email"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a provider says of itself (OpenID Connect Discovery, section 3), checked."""

    authorization_endpoint: WebUrl
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    algorithms: tuple[str, ...]
    secret_in_header: bool
    names_itself: bool


class OpenIdProvider:
    """One configured provider."""

    def __init__(self, login: SocialLogin, *, transport: Transport, clock: Clock) -> None:
        self._login = login
        self._guard = transport.guard
        self._calls = ProviderCalls(login.name, transport)
        self._clock = clock
        self._metadata = Remembered(self._fetch_metadata)
        self._keys = Remembered(self._fetch_keys)

    async def address(self, visit: Visit) -> str:
        """Where the browser goes. Raises ProviderAway."""
        endpoint = (await self._metadata.get()).authorization_endpoint
        parameters = {
            "response_type": "code",
            "client_id": self._login.client_id,
            "redirect_uri": visit.redirect_uri,
            "scope": scopes,
            "state": visit.state,
            "nonce": visit.nonce,
            "code_challenge": visit.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint.text}{'&' if '?' in endpoint.target else '?'}{urlencode(parameters)}"

    async def identify(self, returned: Return) -> Identity:
        """Who came back. Raises ProviderAway, SignInRefused, BadIdToken."""
        metadata = await self._metadata.get()
        self._check_answerer(returned.answered_by, metadata)
        tokens = await self._exchanged(returned, metadata)
        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise SignInRefused("no id_token")
        claims = verify_id_token(
            text,
            keys=await self._keys_for(text),
            issuer=self._login.issuer,
            client_id=self._login.client_id,
            nonce=returned.nonce,
            allowed=metadata.algorithms,
            now=self._clock.now(),
        )
        email, verified = claims.email, claims.email_verified
        if email is None and metadata.userinfo_endpoint is not None:
            email, verified = await self._asked_address(metadata.userinfo_endpoint, tokens, claims.subject)
        return Identity(claims.issuer, claims.subject, email, verified)

    def _check_answerer(self, answered_by: str | None, metadata: Metadata) -> None:
        """Another provider's answer must not be taken to this one (mix-up, RFC 9207)."""
        if answered_by is None and not metadata.names_itself:
            return
        if answered_by != self._login.issuer:
            raise SignInRefused("iss of the answer")

    async def _exchanged(self, returned: Return, metadata: Metadata) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": returned.code,
            "redirect_uri": returned.redirect_uri,
            "code_verifier": returned.verifier,
        }
        headers = {}
        if metadata.secret_in_header:
            headers["authorization"] = _basic(self._login)
        else:
            form |= {"client_id": self._login.client_id, "client_secret": self._login.client_secret}
        answer = await self._calls.post(metadata.token_endpoint, form, headers=headers)
        if not isinstance(answer, dict):
            raise SignInRefused("no tokens")
        return answer

    async def _keys_for(self, token: str) -> list[VerificationKey]:
        """The issuer's keys; looked at again when the token names one that is not among them."""
        wanted = key_id_of(token)
        keys = await self._keys.get()
        if wanted is not None and all(key.kid != wanted for key in keys):
            keys = await self._keys.get(newer=True)
        return keys

    async def _asked_address(self, url: str, tokens: Mapping[str, Any], subject: str) -> tuple[str | None, bool]:
        """The address from where code-flow providers may keep it (OpenID Connect Core, 5.4)."""
        access = tokens.get("access_token")
        if not isinstance(access, str) or str(tokens.get("token_type")).lower() != "bearer":
            return None, False
        claims = await self._calls.get(url, token=access)
        if not isinstance(claims, dict) or claims.get("sub") != subject:
            raise SignInRefused("sub of the user info")
        return read_address(claims)

    async def _fetch_metadata(self) -> Metadata:
        url = self._login.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            return read_metadata(await self._calls.get(url), issuer=self._login.issuer, guard=self._guard)
        except SignInRefused as refused:
            raise ProviderAway(retry_after_s=5) from refused

    async def _fetch_keys(self) -> list[VerificationKey]:
        url = (await self._metadata.get()).jwks_uri
        try:
            return read_key_set(await self._calls.get(url))
        except (SignInRefused, BadIdToken) as refused:
            raise ProviderAway(retry_after_s=5) from refused


def read_metadata(document: object, *, issuer: str, guard: EgressGuard) -> Metadata:
    """The metadata of the provider `issuer`. Raises SignInRefused for another's, or for an address that may not be."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise SignInRefused("issuer of the metadata")
    home = parse_url(issuer)

    def endpoint(name: str) -> WebUrl:
        return _checked(document.get(name), name, home, guard)

    has_userinfo = document.get("userinfo_endpoint") is not None
    return Metadata(
        authorization_endpoint=endpoint("authorization_endpoint"),
        token_endpoint=endpoint("token_endpoint").text,
        jwks_uri=endpoint("jwks_uri").text,
        userinfo_endpoint=endpoint("userinfo_endpoint").text if has_userinfo else None,
        algorithms=_among(document.get("id_token_signing_alg_values_supported", ["RS256"]), algorithms),
        secret_in_header="client_secret_basic"
        in _texts(document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _checked(address: object, name: str, home: WebUrl, guard: EgressGuard) -> WebUrl:
    if not isinstance(address, str):
        raise SignInRefused(f"{name} of the metadata")
    try:
        url = parse_url(address)
        if url.origin != home.origin:
            guard.check_host(url.host, url.port)
    except (BadUrl, EgressDenied):
        raise SignInRefused(f"{name} of the metadata") from None
    if url.origin != home.origin and url.scheme != "https":
        raise SignInRefused(f"{name} of the metadata")
    return url


def _among(found: object, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in known if one in _texts(found))


def _texts(found: object) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _basic(login: SocialLogin) -> str:
    """RFC 6749, 2.3.1: both halves are form-encoded before they are put together."""
    pair = f"{quote(login.client_id, safe='')}:{quote(login.client_secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
