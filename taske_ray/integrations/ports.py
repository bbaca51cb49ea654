"""What the integration client needs from the rest: capabilities, connections, and executors that make no request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from taske_ray.core.call import Call
from taske_ray.core.capability import Capability, ConnectionValues, Module
from taske_ray.core.outcome import Failed, Succeeded


@dataclass(frozen=True, slots=True)
class OpenedConnection:
    """A connection in plain text, for the length of one call. `active` is false once it needs to be made again."""

    module: str
    values: ConnectionValues
    active: bool = True


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
        """The user's own connection; raises NotFound for anyone else's, VaultError or Unavailable."""
        ...

    async def mark_needs_reauth(self, user_id: UUID, connection_id: UUID, reason: str) -> None:
        """The service no longer accepts it: its triggers pause and its owner is told once."""
        ...


InternalExecutor = Callable[[Call], Awaitable[Succeeded | Failed]]
