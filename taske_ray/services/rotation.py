"""Changing keys while everything goes on (security, 9.4). Killed anywhere and begun again, it goes on where it was.

master key   new key file, then each data key wrapped anew; the earlier key stays to open what is not done yet
data keys    a new version for each owner and purpose, then each value sealed anew; an old version goes at none left
emergency    both, new signing keys, and every connection asks for its credential again
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db import audit, rotation
from taske_ray.db.database import Database
from taske_ray.security.resealing import reseal
from taske_ray.security.sealed import DataKey, Place, VaultError, WrappedKey
from taske_ray.security.vault import Keyring, new_master_key
from taske_ray.services.master_key import key_file, old_key_file, old_keys, read_master_keys, write_private
from taske_ray.services.sealing import Sealer
from taske_ray.services.signing import SigningKeys
from taske_ray.settings import Settings

_kept_for_h = 25  # answers to an Idempotency-Key are sealed, too, and kept for a day


@dataclass(frozen=True, slots=True)
class KeyState:
    """How far it is: `kek_id` names today's master key."""

    kek_id: str
    keys_under_earlier: int
    rows_left: int
    earlier_keys: int


async def key_state(database: Database, settings: Settings) -> KeyState:
    """Data keys under earlier master keys, values under earlier data keys. Raises StartRefused, Unavailable."""
    masters = read_master_keys(settings)
    kek_id = masters.keyring().kek_id
    under = await rotation.keys_under_others(database, kek_id)
    return KeyState(kek_id, under, await rotation.rows_left(database), len(masters.old))


async def begin_master_key(database: Database, settings: Settings) -> bool:
    """A new master key for an embedded instance, unless an earlier rotation is to be finished first."""
    if settings.master_key is not None or settings.database_url is not None:
        return False  # the operator sets TASKE_MASTER_KEY and TASKE_MASTER_KEY_OLD
    if (await key_state(database, settings)).keys_under_earlier:
        return False
    current = key_file(settings).read_text(encoding="ascii").strip()
    earlier = [current, *(key for key in old_keys(settings) if key != current)]
    write_private(old_key_file(settings), "\n".join(earlier) + "\n")  # first: a kill between the two loses no key
    write_private(key_file(settings), new_master_key())
    return True


class Rotation:
    """One rotation, in the operator's own process."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._ring: Keyring = read_master_keys(settings).keyring()
        self._opened: dict[UUID, DataKey] = {}
        self.unreadable = 0

    async def rewrap(self) -> int:
        """Wrap every data key by today's master key; how many. What cannot be opened is counted and stays."""
        total, after = 0, UUID(int=0)
        while True:
            done, last = await rotation.rewrap_batch(self._database, self._ring.kek_id, after, self._rewrapped)
            total += done
            if last is None:
                break
            after = last
        await self._record("key.rotate", {"kek_id": self._ring.kek_id, "moved": total})
        return total

    async def renew_data_keys(self) -> int:
        """A new version of each data key, for all that is sealed from now on; how many. None while rows are left."""
        if await rotation.rows_left(self._database):
            return 0
        newest = await rotation.newest_keys(self._database)
        for row in newest:
            fresh = self._ring.new_data_key(new_id(), row["user_id"], row["purpose"], row["version"] + 1)
            await rotation.add_key(self._database, _columns(self._ring.wrap(fresh)))
        return len(newest)

    async def reseal(self) -> int:
        """Seal every value under its owner's newest data key; how many were moved. Then destroy what is not needed."""
        newest = {(row["user_id"], row["purpose"]): row for row in await rotation.newest_keys(self._database)}
        total = 0
        for place in rotation.sealed_columns:
            after = None
            while True:
                moved = self._resealer(place, newest)
                done, after = await rotation.reseal_batch(self._database, place, after, moved)
                total += done
                if after is None:
                    break
        gone = await rotation.destroy_unused(self._database, kept_for_h=_kept_for_h)
        await self._record("key.rotate_data", {"moved": total, "destroyed": gone})
        return total

    async def ask_for_all_again(self) -> int:
        """New signing keys, the old ones refused; every connection needs its credential again; how many."""
        await SigningKeys(self._database, Sealer(self._database, self._ring)).rotate(stolen=True)
        count = await rotation.ask_for_all_again(self._database, "emergency_rotation")
        await self._record("key.emergency", {"connections": count})
        return count

    def _rewrapped(self, row: dict[str, Any]) -> Mapping[str, Any] | None:
        try:
            wrapped = self._ring.wrap(self._ring.unwrap(_wrapped(row)))
        except VaultError:
            self.unreadable += 1
            return None
        return {"kek_id": wrapped.kek_id, "wrapped": wrapped.wrapped}

    def _resealer(self, place: rotation.SealedColumn, newest: Mapping[Any, dict[str, Any]]) -> rotation.Moved:
        def moved(row: dict[str, Any]) -> Mapping[str, Any] | None:
            old = _wrapped({name.removeprefix("old_"): value for name, value in row.items() if name.startswith("old_")})
            new = _wrapped(newest[old.user, old.purpose])
            try:
                sealed = reseal(
                    self._key(old), self._key(new), Place(place.table, row["row"], place.column), bytes(row["sealed"])
                )
            except VaultError:
                self.unreadable += 1
                return None
            return {"sealed": sealed, "data_key": new.id}

        return moved

    def _key(self, wrapped: WrappedKey) -> DataKey:
        if wrapped.id not in self._opened:
            self._opened[wrapped.id] = self._ring.unwrap(wrapped)
        return self._opened[wrapped.id]

    async def _record(self, action: str, detail: dict[str, Any]) -> None:
        async with self._database.transaction() as tx:
            await audit.add_audit(tx, entry_id=new_id(), action=action, detail=detail)


def _wrapped(row: Mapping[str, Any]) -> WrappedKey:
    return WrappedKey(row["id"], row["user_id"], row["purpose"], row["version"], row["kek_id"], bytes(row["wrapped"]))


def _columns(key: WrappedKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "user_id": key.user,
        "purpose": key.purpose,
        "version": key.version,
        "kek_id": key.kek_id,
        "wrapped": key.wrapped,
    }
