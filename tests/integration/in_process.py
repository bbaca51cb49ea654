"""An IntegrationClient's process without Ray: the real parts in this process, kept to the ports of the services."""

from actors.connection_resolver import CatalogOfCalls, ConnectionResolver
from actors.consent_store import ConsentStore
from actors.data_keys import DataKeys
from actors.token_store import TokenStore
from taske_ray.clock import SystemClock, new_id
from taske_ray.db.database import Database
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.connector import Connector
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.transport import Transport
from taske_ray.security.vault import Keyring
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.sealing import Sealer


class InProcess:
    """Calls and consents. `clock` may be moved by a test: `database_time` follows it."""

    def __init__(self, database: Database, keyring: Keyring, *, url: str) -> None:
        self.id = new_id()
        self.late_s = 0.0
        self.patience_s = 8.0
        self._database = database
        keys, sealer, clock = DataKeys(database, keyring), Sealer(database, keyring), SystemClock()
        capabilities = CatalogOfCalls(CapabilityCache(database))
        connections = ConnectionResolver(database, keys, url=url)
        tokens = TokenStore(database, keys, sealer, client=lambda: self.id)
        self._client = IntegrationClient(
            capabilities=capabilities,
            connections=connections,
            tokens=tokens,
            transport=Transport(guard=EgressGuard(["127.0.0.0/8"])),
            clock=clock,
            database_time=self._now,
        )
        self._connector = Connector(
            capabilities=capabilities,
            connections=connections,
            consents=ConsentStore(database, keys, sealer),
            tokens=tokens,
            send=self._client.ask,
            database_time=self._now,
        )

    async def open(self) -> "InProcess":
        """Be a live host."""
        await self._database.fetch(
            "INSERT INTO hosts (id, kind, name, node, boot_id, pid, pid_started, capacity, expires_at)"
            " VALUES (%(id)s, 'client', %(name)s, 'n', 'b', 1, 1, 1, clock_timestamp() + interval '10 minutes')",
            {"id": self.id, "name": self.id.hex},
        )
        return self

    async def close(self) -> None:
        """End."""
        await self._client.close()

    async def perform(self, call):
        """Make a call."""
        return await self._client.perform(call)

    async def test_connection(self, user_id, connection_id):
        """Make a connection's test request."""
        return await self._client.test_connection(user_id, connection_id)

    async def connect(self, user_id, _connection_id, consent_id):
        """Exchange a code."""
        return await self._connector.connect(user_id, consent_id)

    async def authorize_url(self, user_id, consent_id, *, state, challenge):
        """Make an address that takes secrets."""
        return await self._connector.authorize_url(user_id, consent_id, state=state, challenge=challenge)

    async def revoke(self, user_id, connection_id):
        """Have the provider forget tokens."""
        return await self._connector.revoke(user_id, connection_id)

    async def revoke_all(self, user_id):
        """Have the providers forget everything of a user."""
        return await self._connector.revoke_all(user_id, self.patience_s)

    def _now(self) -> float:
        return SystemClock().now().timestamp() + self.late_s
