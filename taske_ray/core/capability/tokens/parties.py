"""Who asks for tokens, and as whom: a scheme, what its connection holds, and the OAuth client that stands for us."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from taske_ray.core.capability.document.auth import AuthScheme
from taske_ray.core.capability.document.oauth import OAuthSpec
from taske_ray.core.capability.exchange.build import Route, route
from taske_ray.core.capability.exchange.context import ConnectionValues
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.module import Module
from taske_ray.core.outcome import ErrorClass
from taske_ray.core.redaction import Redactor


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """How we are registered at a provider; without a secret it is a public client."""

    id: str
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Asking:
    """One conversation about tokens. `app` is the instance's client; a connection's own goes before it."""

    module: Module
    scheme: AuthScheme
    connection: ConnectionValues
    now: datetime
    app: OAuthClient | None = None

    @property
    def oauth(self) -> OAuthSpec:
        """The provider's dialect."""
        assert self.scheme.oauth is not None
        return self.scheme.oauth

    @property
    def own_client(self) -> OAuthClient | None:
        """The client that the connection brought along."""
        held = {**self.connection.config, **self.connection.secret}
        found = held.get("client_id") if self.scheme.client != "instance" else None
        return OAuthClient(found, held.get("client_secret")) if isinstance(found, str) and found else None

    @property
    def client(self) -> OAuthClient:
        """The client that asks; raises Refusal where nobody brought one."""
        found = self.own_client or self.app
        if found is None:
            message = f"there is no OAuth client for {self.module.id}: bring one, or ask an administrator to store one"
            raise Refusal("no_oauth_client", message, ErrorClass.PERMISSION)
        return found

    @property
    def conn(self) -> dict[str, Any]:
        """The connection as templates see it."""
        return {"config": dict(self.connection.config), "secret": dict(self.connection.secret)}

    @property
    def app_names(self) -> dict[str, Any]:
        """The instance's client as templates see it."""
        return {"client_id": self.app.id, "client_secret": self.app.secret} if self.app is not None else {}

    @property
    def scope(self) -> dict[str, Any]:
        """The names that parameters of token requests may read."""
        return {"conn": self.conn, "app": self.app_names}

    @property
    def secrets(self) -> tuple[Any, ...]:
        """Everything that must not be seen by anybody else."""
        client = self.own_client or self.app
        return (*self.connection.secret.values(), *(one.secret for one in (client, self.app) if one is not None))

    def route(self, *hidden: str, authorised: bool = False) -> Route:
        """Where requests may go; `hidden` are further secrets, `authorised`: with what the scheme puts on requests."""
        way = route(self.module, self.scheme, self.conn)
        redactor = Redactor([*self.secrets, *hidden])
        return replace(way, redactor=redactor, scheme=self.scheme if authorised else None)

    def holding(self, config: Mapping[str, Any], secret: Mapping[str, Any]) -> "Asking":
        """The same with more in the connection."""
        held = self.connection
        more = ConnectionValues(held.auth_id, {**held.config, **config}, {**held.secret, **secret})
        return replace(self, connection=more)
