"""Tokens of a provider whose addresses a module or a connection names: got, renewed and given back."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from taske_ray.core.capability import parse_module
from taske_ray.core.capability.tokens import OAuthClient
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded
from taske_ray.errors import Invalid
from taske_ray.integrations.connector import Connector
from taske_ray.integrations.ports import Consent
from tests.integration.egress.stand import CANARY, PUBLIC, Stand, bound_to, secure
from tests.unit.integrations.memory_tokens import USER

_fields = {
    "type": "object",
    "properties": {
        "url": {"type": "string"},
        "hosts": {"type": "array"},
        "token": {"type": "string", "x-secret": True},
    },
}
_long_ago = datetime.now(UTC) - timedelta(hours=1)


@dataclass
class _Consents:
    """One consent, and no other connection that lives on the same account."""

    consent: Consent | None = None

    async def take(self, _user_id: UUID, _consent_id: UUID) -> Consent | None:
        return self.consent

    async def keep(self, *_: Any) -> bool:
        return True

    async def refuse(self, *_: Any) -> None:
        """Nothing to remember."""

    async def is_shared(self, *_: Any, **__: Any) -> bool:
        return False


async def exchanged(stand: Stand, url: str) -> Any:
    """A code becomes tokens at this address."""
    if refusal := _applied(stand, token_url=url):
        return refusal
    consent = Consent(
        id=uuid4(),
        user_id=USER,
        connection_id=uuid4(),
        owner=USER,
        reconnects=False,
        module="shop",
        auth="oauth",
        name="Shop",
        config=_bound(url),
        secret={},
        code=CANARY,
        verifier="v" * 43,
        redirect_uri="https://taske.example/api/v1/connections/callback",
        scopes=(),
    )
    return await _connector(stand, consent).connect(USER, consent.id)


async def refreshed(stand: Stand, url: str) -> Any:
    """A call finds that its token is over; the next one is to be had at this address."""
    if refusal := _applied(stand, refresh_url=url):
        return refusal
    secret = {"access_token": CANARY, "refresh_token": CANARY}
    connection = stand.tokens.add("oauth", secret, config=_bound(url), expires_at=_long_ago, refresh_from=_long_ago)
    return await stand.perform("shop.orders", {}, connection_id=connection)


async def logged_in(stand: Stand, url: str) -> Any:
    """A call needs a token first, by a request of the module's own to where the connection says."""
    if refusal := _applied(stand):
        return refusal
    connection = stand.connected("shop", "login", {"url": secure(url), **_bound(url)})
    return await stand.perform("shop.orders", {}, connection_id=connection)


async def revoked(stand: Stand, url: str) -> Any:
    """A connection is deleted; whoever gave its tokens listens at this address. Nobody is told why it did not work."""
    if refusal := _applied(stand, revoke_url=url):
        return refusal
    connection = stand.connected("shop", "oauth", _bound(url), access_token=CANARY)
    if await _connector(stand).revoke(USER, connection):
        return Succeeded({})
    return Failed(ErrorClass.FATAL, "not_revoked", "", sent=False)


def _bound(url: str) -> dict[str, Any]:
    """A connection whose credentials may go to this URL: nothing but the guard is in the way."""
    return {"hosts": [bound_to(secure(url))]}


def _connector(stand: Stand, consent: Consent | None = None) -> Connector:
    return Connector(
        capabilities=stand,
        connections=stand.tokens,
        consents=_Consents(consent),
        tokens=stand.tokens,
        send=stand.client.ask,
        database_time=datetime.now(UTC).timestamp,
    )


def _applied(stand: Stand, **addresses: str) -> Failed | None:
    """The module of somebody who names these addresses, over https; what is no address at all is refused with it."""
    named = {name: secure(url) for name, url in addresses.items()}
    usual = {"authorize_url": f"https://{PUBLIC}/authorize", "token_url": f"https://{PUBLIC}/token"}
    try:
        stand.modules["shop"] = parse_module(_shop({**usual, **named}))
    except Invalid as error:
        return Failed(ErrorClass.FATAL, error.code, error.message, sent=False)
    stand.tokens.app = OAuthClient("client", CANARY)
    return None


def _shop(oauth: dict[str, str]) -> dict[str, Any]:
    return {
        "module": "shop",
        "name": "Shop",
        "allowed_hosts": ["*"],
        "auth": [
            {
                "id": "oauth",
                "type": "oauth2_code",
                "allowed_hosts": "{{ conn.config.hosts }}",
                "oauth": oauth,
                "fields": _fields,
            },
            {
                "id": "login",
                "type": "token_request",
                "allowed_hosts": "{{ conn.config.hosts }}",
                "token": {
                    "request": {
                        "method": "POST",
                        "url": "{{ conn.config.url }}",
                        "body": {"p": "{{ conn.secret.token }}"},
                    },
                    "access": "{{ response.body.token }}",
                },
                "fields": _fields,
            },
        ],
        "capabilities": [
            {
                "capability": "shop.orders",
                "kind": "action",
                "name": "orders",
                "params": {"type": "object"},
                "auth": ["oauth", "login"],
                "request": {"url": f"https://{PUBLIC}/orders"},
            }
        ],
    }
