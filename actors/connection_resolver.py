"""From a connection's id to its secrets, for the IntegrationClient alone: read at every use, opened, never kept."""

from uuid import UUID

from taske_ray.core.capability import ConnectionValues, Module
from taske_ray.db import connections
from taske_ray.db.connections import SealedConnection
from taske_ray.db.database import Database
from taske_ray.errors import NotFound
from taske_ray.integrations.credentials import open_credentials
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.security.sealed import DataKey, VaultError, WrappedKey
from taske_ray.security.vault import Keyring
from taske_ray.services.catalog_cache import CapabilityCache

_kept_keys = 10_000


class ConnectionResolver:
    """Opens users' own connections."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._keys: dict[UUID, DataKey] = {}

    async def open(self, user_id: UUID, connection_id: UUID) -> OpenedConnection:
        """The connection, if it is this user's. Raises NotFound, VaultError, Unavailable."""
        row = await connections.sealed_connection(self._database, owner=user_id, connection_id=connection_id)
        if row is None:
            raise NotFound
        return OpenedConnection(row.module, self._opened(row), active=row.status == "active")

    async def mark_needs_reauth(self, user_id: UUID, connection_id: UUID, reason: str) -> None:
        """Nothing uses the connection again until its owner gives a new credential."""
        await connections.mark_needs_reauth(self._database, owner=user_id, connection_id=connection_id, reason=reason)

    def _opened(self, row: SealedConnection) -> ConnectionValues:
        if row.sealed is None:
            return ConnectionValues(auth_id=row.auth, config=row.config, secret={})
        return open_credentials(self._key(row), row.id, bytes(row.sealed), auth_id=row.auth, config=row.config)

    def _key(self, row: SealedConnection) -> DataKey:
        if row.data_key is None or row.wrapped is None or row.kek_id is None or row.key_version is None:
            raise VaultError
        key = self._keys.get(row.data_key)
        if key is None:
            wrapped = WrappedKey(
                row.data_key, row.key_owner, "credentials", row.key_version, row.kek_id, bytes(row.wrapped)
            )
            key = self._keyring.unwrap(wrapped)
            if len(self._keys) >= _kept_keys:
                self._keys.clear()
            self._keys[row.data_key] = key
        return key


class CatalogOfCalls:
    """The catalog as the IntegrationClient asks for it."""

    def __init__(self, cache: CapabilityCache) -> None:
        self.pinned = cache.pinned
        self._cache = cache

    async def module(self, module_id: str) -> Module:
        """The module as it is now. Raises NotFound, Unavailable."""
        current = (await self._cache.catalog()).modules.get(module_id)
        if current is None:
            raise NotFound(f"There is no module {module_id}")
        return current.module
