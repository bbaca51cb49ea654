"""What the integration client needs from the rest: capabilities, connections, and executors that make no request."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from taske_ray.core.capability import Capability, ConnectionValues, Module
from taske_ray.core.capability.tokens import OAuthClient, Tokens
from taske_ray.core.outcome import Failed


@dataclass(frozen=True, slots=True)
class OpenedConnection:
    """A connection in plain text, for the length of one call. `active` is false once it needs to be made again.

    `owner` None: the instance's own. `version` is that of the credential. `scopes` None: nobody knows what was granted.
    """

    module: str
    values: ConnectionValues
    active: bool = True
    id: UUID | None = None
    owner: UUID | None = None
    version: int = 1
    scopes: tuple[str, ...] | None = None
    token_at: datetime | None = None
    refresh_from: datetime | None = None
    expires_at: datetime | None = None


class Capabilities(Protocol):
    """The catalog."""

    async def pinned(self, capability: str, version: int) -> Capability:
        """Exactly this version; raises NotFound or Unavailable."""
        ...

    async def module(self, module_id: str) -> Module:
        """The module as it is now; raises NotFound or Unavailable."""
        ...


class ConnectionResolver(Protocol):
    """The one way from a connection's id to its secrets (security, 8.2 and 9.5)."""

    async def open(self, user_id: UUID, connection_id: UUID) -> OpenedConnection:
        """A connection of the user's own, or of the instance. Raises NotFound, VaultError, Unavailable."""
        ...

    async def mark_needs_reauth(self, opened: OpenedConnection, reason: str) -> None:
        """The service no longer accepts this version of it: its triggers pause and its owner is told once."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to ask a provider for new tokens, once; `fence` is the store's own."""

    opened: OpenedConnection
    fence: object


class TokenStore(Protocol):
    """Where tokens are kept between calls, and who may get new ones (durability, 6.10)."""

    async def take(self, opened: OpenedConnection) -> Lease | None:
        """The lease on the tokens of this version of a connection, if it is to be had. Raises Unavailable."""
        ...

    async def standing(self, opened: OpenedConnection) -> Literal["moved", "free", "busy", "lost"]:
        """Why it was not: newer tokens are there, it is free again, another process asks, or two died over it."""
        ...

    async def store(
        self, lease: Lease, tokens: Tokens, token_at: datetime, refresh_from: datetime | None
    ) -> OpenedConnection | None:
        """Keep new tokens and end the lease; None where the connection was changed meanwhile. Raises Unavailable."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back. Raises Unavailable."""
        ...

    async def oauth_client(self, module: str, auth: str) -> OAuthClient | None:
        """The instance's client at a provider. Raises Unavailable, VaultError."""
        ...


@dataclass(frozen=True, slots=True)
class Consent:
    """A user came back from a provider: all that its code is exchanged with, in plain text, for the length of that.

    `owner` None: a connection of the instance. `scopes` are those that were asked for.
    """

    id: UUID
    user_id: UUID
    connection_id: UUID
    owner: UUID | None
    reconnects: bool
    module: str
    auth: str
    name: str
    config: dict[str, Any]
    secret: dict[str, Any] = field(repr=False)
    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a consent brought for its connection."""

    config: dict[str, Any]
    secret: dict[str, Any] = field(repr=False)
    label: str | None
    scopes: tuple[str, ...]
    token_at: datetime
    refresh_from: datetime | None
    expires_at: datetime | None


class Consents(Protocol):
    """Where consents wait for the one who exchanges their code, and where what they brought is kept."""

    async def begun(self, user_id: UUID, consent_id: UUID) -> Consent | None:
        """A consent whose user is still to be sent to the provider. Raises Unavailable, VaultError."""
        ...

    async def take(self, user_id: UUID, consent_id: UUID) -> Consent | None:
        """A consent of this user, once; None where there is none, or no more. Raises Unavailable, VaultError."""
        ...

    async def keep(self, consent: Consent, credential: NewCredential) -> bool:
        """Make the connection, or give it its new credential; False where it is gone. Raises Unavailable."""
        ...

    async def refuse(self, user_id: UUID, consent_id: UUID, failed: Failed) -> None:
        """Nothing came of it. Raises Unavailable."""
        ...

    async def with_tokens(self, user_id: UUID) -> Sequence[UUID]:
        """The connections of a user that hold tokens of a provider. Raises Unavailable."""
        ...

    async def is_shared(self, opened: OpenedConnection, *, leaving: UUID | None = None) -> bool:
        """Whether another connection, of whomever, may live on the same account at the provider. Raises Unavailable.

        Those of somebody who is `leaving` do not count.
        """
        ...
