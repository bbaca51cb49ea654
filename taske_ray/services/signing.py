"""The keys of access tokens: rows, the private half sealed for the purpose `auth` and opened only to mint."""

import asyncio
import time

from taske_ray.db import keys
from taske_ray.db.database import Database
from taske_ray.db.tables import SigningKey as SigningKeyRow
from taske_ray.security.sealed import Place
from taske_ray.security.tokens import SigningKey
from taske_ray.services.sealing import Sealer

_fresh_s = 60.0
_retry_s = 2.0


class PublicKeys:
    """The public halves, as one process last saw them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[str, bytes] = {}
        self._read_at = float("-inf")
        self._turn = asyncio.Lock()

    async def all(self, *, wanted: str | None = None) -> dict[str, bytes]:
        """Every public key by id, at most a minute old; an unknown `wanted` looks again, every two seconds at most."""
        age = time.monotonic() - self._read_at
        if age > _fresh_s or (wanted is not None and wanted not in self._keys and age > _retry_s):
            async with self._turn:
                async with self._database.transaction() as tx:
                    self._keys = {row.kid: bytes(row.public_key) for row in await keys.signing_keys(tx)}
                self._read_at = time.monotonic()
        return self._keys


class SigningKeys:
    """The key that mints; only processes with the purpose `auth` have it."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._current: SigningKey | None = None
        self._read_at = float("-inf")

    async def current(self) -> SigningKey:
        """The newest signing key; made if there is none. Raises Unavailable, VaultError."""
        if self._current is None or time.monotonic() - self._read_at > _fresh_s:
            self._current = await self._newest() or await self._make()
            self._read_at = time.monotonic()
        return self._current

    async def _newest(self) -> SigningKey | None:
        async with self._database.transaction() as tx:
            rows = await keys.signing_keys(tx)
        if not rows:
            return None
        private = await self._sealer.open(bytes(rows[0].sealed_private), _place(rows[0].kid))
        return SigningKey.from_bytes(rows[0].kid, private)

    async def _make(self) -> SigningKey:
        key = SigningKey.generate()
        data_key, sealed = await self._sealer.seal(key.private_bytes, owner=None, purpose="auth", place=_place(key.kid))
        async with self._database.transaction() as tx:
            await keys.lock_signing_keys(tx)
            if not await keys.signing_keys(tx):
                row = SigningKeyRow(kid=key.kid, data_key=data_key, sealed_private=sealed, public_key=key.public_bytes)
                await keys.add_signing_key(tx, row)
        return await self._newest() or key


def _place(kid: str) -> Place:
    return Place("signing_keys", kid, "sealed_private")
