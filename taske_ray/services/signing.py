"""The keys of access tokens: rows, the private half sealed for the purpose `auth` and opened only to mint."""

import asyncio
import time
from datetime import timedelta

from taske_ray.clock import new_id
from taske_ray.db import audit, keys
from taske_ray.db.database import Database
from taske_ray.db.tables import SigningKey as SigningKeyRow
from taske_ray.security.sealed import Place
from taske_ray.security.tokens import SigningKey, leeway, lifetime
from taske_ray.services.sealing import Sealer

_fresh_s = 60.0
_pause_s = 0.1
_signs_for = timedelta(days=90)
_verifies_for = lifetime + leeway


class PublicKeys:
    """The public halves, as one process last saw them; whether a key still counts is asked with each token."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[str, bytes] = {}
        self._read_at = float("-inf")
        self._turn = asyncio.Lock()

    async def all(self, *, wanted: str | None = None) -> dict[str, bytes]:
        """Every public key by id, at most a minute old; an unknown `wanted` waits for the next look, ten a second."""
        asked = time.monotonic()
        if asked - self._read_at > _fresh_s or (wanted is not None and wanted not in self._keys):
            async with self._turn:
                if self._read_at < asked:  # nobody looked since
                    await asyncio.sleep(self._read_at + _pause_s - time.monotonic())
                    await self.read()
        return self._keys

    async def read(self) -> dict[str, bytes]:
        """Every public key by id, as it is now."""
        began = time.monotonic()
        async with self._database.transaction() as tx:
            self._keys = await keys.public_keys(tx)
        self._read_at = began
        return self._keys


class SigningKeys:
    """The key that mints; only processes with the purpose `auth` have it.

    Which one that is, the database says each time: after a rotation nobody signs with the old key any more. It goes on
    to verify for as long as a token lives, unless it was stolen.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._opened: SigningKey | None = None

    async def current(self) -> SigningKey:
        """The key that signs today; made if there is none, replaced after 90 days. Raises Unavailable, VaultError."""
        async with self._database.transaction() as tx:
            row = await keys.signing_key(tx, younger_than=_signs_for)
        if row is None:
            row = await self._replace(unless_younger_than=_signs_for, verify_for=_verifies_for)
        if self._opened is None or self._opened.kid != row.kid:
            private = await self._sealer.open(bytes(row.sealed_private), _place(row.kid), owner=None)
            self._opened = SigningKey.from_bytes(row.kid, private)
        return self._opened

    async def rotate(self, *, stolen: bool = False) -> str:
        """A new key signs from now on; its id. `stolen`: the keys so far verify nothing any more, at once."""
        verify_for = timedelta() if stolen else _verifies_for
        return (await self._replace(unless_younger_than=timedelta(), verify_for=verify_for)).kid

    async def _replace(self, *, unless_younger_than: timedelta, verify_for: timedelta) -> SigningKeyRow:
        key = SigningKey.generate()
        data_key, sealed = await self._sealer.seal(key.private_bytes, owner=None, purpose="auth", place=_place(key.kid))
        async with self._database.transaction() as tx:
            await keys.lock_signing_keys(tx)
            young = await keys.signing_key(tx, younger_than=unless_younger_than)
            if young is not None:  # somebody else was faster
                return young
            await keys.retire_signing_keys(tx, verify_for=verify_for)
            row = SigningKeyRow(kid=key.kid, data_key=data_key, sealed_private=sealed, public_key=key.public_bytes)
            await keys.add_signing_key(tx, row)
            await audit.add_audit(tx, entry_id=new_id(), action="signing_key.rotate", object_=key.kid)
        return row


def _place(kid: str) -> Place:
    return Place("signing_keys", kid, "sealed_private")
