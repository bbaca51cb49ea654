"""The data keys of credentials as an IntegrationClient holds them: unwrapped once, and each for its owner alone."""

from collections import OrderedDict
from uuid import UUID

from taske_ray.db import keys
from taske_ray.db.database import Database
from taske_ray.security.sealed import DataKey, VaultError, WrappedKey
from taske_ray.security.vault import Keyring

_kept = 10_000


class DataKeys:
    """The keys that seal values of users, and of the instance (owner None)."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._known: OrderedDict[UUID, DataKey] = OrderedDict()

    async def get(self, key_id: UUID | None, owner: UUID | None) -> DataKey:
        """The key that a stored value of this owner names. Raises VaultError, Unavailable."""
        if key_id is None:
            raise VaultError
        found = self._known.get(key_id) or await self._load(key_id)
        if found.user != owner or found.purpose != "credentials":
            raise VaultError
        return found

    async def _load(self, key_id: UUID) -> DataKey:
        async with self._database.transaction() as tx:
            row = await keys.get_data_key(tx, key_id)
        if row is None or row.purpose != "credentials":
            raise VaultError
        wrapped = WrappedKey(row.id, row.user_id, "credentials", row.version, row.kek_id, bytes(row.wrapped))
        found = self._known[key_id] = self._keyring.unwrap(wrapped)
        if len(self._known) > _kept:
            self._known.popitem(last=False)
        return found
