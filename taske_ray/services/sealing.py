"""Sealing values under the data key of their owner, and opening those of purpose `auth` and `hooks`.

Data keys are made at first use and committed by themselves. A process does this only for the purposes in its keyring.
"""

import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db import keys
from taske_ray.db.database import Database
from taske_ray.db.tables import DataKey as DataKeyRow
from taske_ray.security.sealed import DataKey, Place, Purpose, VaultError, WrappedKey, key_id_of
from taske_ray.security.vault import Keyring, open_sealed, seal

_kept = 10_000
_fresh_s = 60.0  # after so long a rotation's new key seals everywhere
_seals_for = timedelta(days=365)


class Sealer:
    """The data keys of one process: unwrapped once, the most recent ones kept."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._newest: OrderedDict[tuple[UUID | None, Purpose], tuple[DataKey, float]] = OrderedDict()
        self._by_id: OrderedDict[UUID, DataKey] = OrderedDict()

    async def seal(self, plaintext: bytes, *, owner: UUID | None, purpose: Purpose, place: Place) -> tuple[UUID, bytes]:
        """(id of the data key, stored form) of a value that will stand at `place`; `owner` None is the instance."""
        key = await self.key_for(owner, purpose)
        return key.id, seal(key, place, plaintext)

    async def open(self, stored: bytes, place: Place, *, owner: UUID | None) -> bytes:
        """The plaintext of a value of purpose `auth` or `hooks` of this owner, or the instance. Raises VaultError."""
        key_id = key_id_of(stored)
        found = self._by_id.get(key_id)
        if found is None:
            async with self._database.transaction(owner=owner) as tx:
                row = await keys.get_data_key(tx, key_id)
            if row is None:
                raise VaultError
            found = self._unwrap(_wrapped(row))
        if found.user != owner:
            raise VaultError
        return open_sealed(found, place, stored)

    def open_with(self, wrapped: WrappedKey, stored: bytes, place: Place) -> bytes:
        """The plaintext of a value whose wrapped data key was read beside it. Raises VaultError."""
        return open_sealed(self._by_id.get(wrapped.id) or self._unwrap(wrapped), place, stored)

    async def key_for(self, owner: UUID | None, purpose: Purpose) -> DataKey:
        """The data key that seals new values of a user, or of the instance; made at first use. Raises VaultError."""
        kept = self._newest.get((owner, purpose))
        if kept is not None and time.monotonic() - kept[1] < _fresh_s:
            return kept[0]
        async with self._database.transaction(owner=owner) as tx:
            row = await keys.newest_data_key(tx, owner=owner, purpose=purpose)
            if row is None or _is_old(row):
                version = 1 if row is None else row.version + 1
                fresh = self._keyring.new_data_key(new_id(), owner, purpose, version)
                await keys.add_data_key(tx, _row(self._keyring.wrap(fresh)))
                row = await keys.newest_data_key(tx, owner=owner, purpose=purpose)
        assert row is not None
        found = self._unwrap(_wrapped(row))
        _keep(self._newest, (owner, purpose), (found, time.monotonic()))
        return found

    def _unwrap(self, wrapped: WrappedKey) -> DataKey:
        found = self._keyring.unwrap(wrapped)
        _keep(self._by_id, wrapped.id, found)
        return found


def _is_old(row: DataKeyRow) -> bool:
    """Whether it is time for the next version: a data key seals for a year."""
    return row.created_at is not None and datetime.now(UTC) - row.created_at > _seals_for


def _keep(cache: OrderedDict[Any, Any], key: Any, found: Any) -> None:
    cache[key] = found
    if len(cache) > _kept:
        cache.popitem(last=False)


def _row(key: WrappedKey) -> DataKeyRow:
    return DataKeyRow(
        id=key.id, user_id=key.user, purpose=key.purpose, version=key.version, kek_id=key.kek_id, wrapped=key.wrapped
    )


def _wrapped(row: DataKeyRow) -> WrappedKey:
    return WrappedKey(row.id, row.user_id, row.purpose, row.version, row.kek_id, row.wrapped)  # type: ignore[arg-type]
