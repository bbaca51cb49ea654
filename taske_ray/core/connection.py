"""Which connections a capability can use, and which it uses where none is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from taske_ray.core.capability import Capability
from taske_ray.core.capability.tokens import missing_scopes
from taske_ray.core.ids import instance_connection_id


@dataclass(frozen=True, slots=True)
class KnownConnection:
    """A connection that a user may use. `scopes` None: nobody knows what was granted."""

    module: str
    auth: str
    status: str = "active"
    scopes: Sequence[str] | None = None


def misfit(capability: Capability, known: KnownConnection | None) -> tuple[str, str] | None:
    """Why a capability cannot use a connection, as code and message; None where it can."""
    if known is None:
        return "unknown_connection", "you have no such connection"
    if known.module != capability.module.id or known.auth not in capability.auth_ids:
        return "wrong_connection_module", f"'{capability.id}' takes connections of {capability.module.id} only"
    missing = missing_scopes(capability, known.scopes)
    if missing:
        return "missing_scopes", f"connect it again with what '{capability.id}' needs: {', '.join(missing)}"
    return None


def default_connection(capability: Capability) -> UUID | None:
    """The connection of the instance that a capability uses where none is named; it need not be there."""
    schemes = (capability.module.auth[name] for name in capability.auth_ids)
    own = next((scheme for scheme in schemes if scheme.owner == "instance" and scheme.type != "none"), None)
    return None if own is None else instance_connection_id(capability.module.id, own.id)
