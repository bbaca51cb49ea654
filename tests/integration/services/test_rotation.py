"""Rotations of keys: cut off anywhere and begun again, every secret still opens."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from actors.connection_resolver import ConnectionResolver
from actors.data_keys import DataKeys
from taske_ray.clock import new_id
from taske_ray.db import rotation as rows
from taske_ray.db.database import Database
from taske_ray.security.credentials import seal_credentials
from taske_ray.security.sealed import VaultError
from taske_ray.security.vault import Keyring, new_master_key, purpose_keys, read_master_key
from taske_ray.services.codes import totp_place
from taske_ray.services.rotation import Rotation, begin_master_key, key_state
from taske_ray.services.sealing import Sealer
from taske_ray.settings import Settings

pytestmark = pytest.mark.integration
PEOPLE = 4


class CutOff(Exception):
    """The process was killed here: what its transaction did is undone."""


@dataclass
class Vault:
    """Users with a connection and a second factor each, sealed under a master key."""

    database: Any
    settings: Settings
    users: dict[Any, Any]

    async def opens(self, *masters):
        """Whether every secret opens with these master keys, the first one being today's."""
        keys = [read_master_key(master) for master in masters]
        ring = Keyring(purpose_keys(keys[0], keys[1:]))
        sealer = Sealer(self.database, ring)
        resolver = ConnectionResolver(self.database, DataKeys(self.database, ring), url="https://x")
        for user, connection in self.users.items():
            assert (await resolver.open(user, connection)).values.secret == {"token": f"secret of {user}"}
            (row,) = await self.database.fetch("SELECT sealed FROM totp_factors WHERE user_id = %(u)s", {"u": user})
            assert await sealer.open(bytes(row["sealed"]), totp_place(user), owner=user) == str(user).encode()
        return True


@pytest.fixture
async def vault(fresh_database, tmp_path):
    """A vault under its first master key."""
    settings = Settings(tmp_path, database_url="postgresql://x", master_key=new_master_key())
    sealer = Sealer(fresh_database, Keyring(purpose_keys(read_master_key(settings.master_key))))
    users = {}
    for _ in range(PEOPLE):
        user, connection = new_id(), new_id()
        await fresh_database.fetch("INSERT INTO users (id, email) VALUES (%(u)s, %(u)s::text)", {"u": user})
        key = await sealer.key_for(user, "credentials")
        values = {"id": connection, "u": user, "key": key.id}
        values["sealed"] = seal_credentials(key, connection, {"token": f"secret of {user}"})
        await fresh_database.fetch(
            "INSERT INTO connections (id, user_id, module, auth, name, data_key, sealed)"
            " VALUES (%(id)s, %(u)s, 'slack', 'bot_token', 'c', %(key)s, %(sealed)s)",
            values,
        )
        factor, sealed = await sealer.seal(str(user).encode(), owner=user, purpose="auth", place=totp_place(user))
        await fresh_database.fetch(
            "INSERT INTO totp_factors (user_id, data_key, sealed) VALUES (%(u)s, %(key)s, %(sealed)s)",
            {"u": user, "key": factor, "sealed": sealed},
        )
        users[user] = connection
    return Vault(fresh_database, settings, users)


def cut_off_after(monkeypatch, count):
    """Let this many rows be moved, each in a batch of its own, and the next one be cut off in its transaction."""
    monkeypatch.setattr(rows, "batch", 1)
    moves = iter(range(count))

    def limited(real):
        def moved(self, *args):
            found = real(self, *args)
            if not callable(found):
                if next(moves, None) is None:
                    raise CutOff
                return found

            def one(row):
                if next(moves, None) is None:
                    raise CutOff
                return found(row)

            return one

        return moved

    for name in ("_rewrapped", "_resealer"):
        monkeypatch.setattr(Rotation, name, limited(getattr(Rotation, name)))


@pytest.mark.parametrize("count", [0, 1, 3, 7])
async def test_a_master_key_rotation_that_is_cut_off_goes_on(vault, monkeypatch, count):
    """Wherever it ends every secret opens; run again it ends, and the former key is needed no more."""
    first, second = vault.settings.master_key, new_master_key()
    rotated = replace(vault.settings, master_key=second, master_key_old=(first,))
    with monkeypatch.context() as patch:
        cut_off_after(patch, count)
        with pytest.raises(CutOff):
            await Rotation(vault.database, rotated).rewrap()
    left = (await key_state(vault.database, rotated)).keys_under_earlier
    assert left == 2 * PEOPLE - count
    assert await vault.opens(second, first)
    assert await Rotation(vault.database, rotated).rewrap() == left
    assert (await key_state(vault.database, rotated)).keys_under_earlier == 0
    assert await vault.opens(second)
    with pytest.raises(VaultError):
        await vault.opens(first)


@pytest.mark.parametrize("count", [0, 1, 3, 7])
async def test_a_data_key_rotation_that_is_cut_off_goes_on(vault, monkeypatch, count):
    """New data keys at once; wherever the resealing ends every secret opens, and the next run seals the rest."""
    master = vault.settings.master_key
    assert await Rotation(vault.database, vault.settings).renew_data_keys() == 2 * PEOPLE
    with monkeypatch.context() as patch:
        cut_off_after(patch, count)
        with pytest.raises(CutOff):
            await Rotation(vault.database, vault.settings).reseal()
    left = (await key_state(vault.database, vault.settings)).rows_left
    assert left == 2 * PEOPLE - count
    assert await vault.opens(master)
    again = Rotation(vault.database, vault.settings)
    assert await again.renew_data_keys() == 0  # first what is left
    assert await again.reseal() == left
    assert (await key_state(vault.database, vault.settings)).rows_left == 0
    assert await vault.opens(master)


async def test_an_old_data_key_is_destroyed_when_nothing_needs_it(vault):
    """Old versions stay for a day, and go when no value is under them; what is sealed is never taken along."""
    work = Rotation(vault.database, vault.settings)
    await work.renew_data_keys()
    assert await rows.destroy_unused(vault.database, kept_for_h=0) == 0
    await work.reseal()
    assert await rows.destroy_unused(vault.database, kept_for_h=25) == 0
    assert await rows.destroy_unused(vault.database, kept_for_h=0) == 2 * PEOPLE
    assert await vault.opens(vault.settings.master_key)


async def test_an_emergency_asks_for_every_credential_again(vault):
    """No connection is used again until its owner gives a new credential, and the audit trail says why."""
    assert await Rotation(vault.database, vault.settings).ask_for_all_again() == PEOPLE
    found = await vault.database.fetch("SELECT DISTINCT status, status_reason FROM connections")
    assert found == [{"status": "needs_reauth", "status_reason": "emergency_rotation"}]
    acts = await vault.database.fetch("SELECT action, detail FROM audit WHERE action LIKE 'key.%%'")
    assert [(act["action"], act["detail"]) for act in acts] == [("key.emergency", {"connections": PEOPLE})]


async def test_an_embedded_instance_makes_its_own_next_key(vault, tmp_path):
    """The former key is kept before the new one is in use; an unfinished rotation is finished before another begins."""
    embedded = Settings(tmp_path)
    (tmp_path / "master.key").write_text(vault.settings.master_key)
    assert await begin_master_key(vault.database, embedded)
    current = (tmp_path / "master.key").read_text()
    assert current != vault.settings.master_key
    assert (tmp_path / "master.key.old").read_text().split() == [vault.settings.master_key]
    assert not await begin_master_key(vault.database, embedded)
    assert (tmp_path / "master.key").read_text() == current
    await Rotation(vault.database, embedded).rewrap()
    assert await vault.opens(current)
    assert await begin_master_key(vault.database, embedded)
    assert len((tmp_path / "master.key.old").read_text().split()) == 2


@pytest.mark.parametrize("swap", ["row", "user", "bit"])
async def test_a_moved_or_changed_value_fails_closed(vault, fresh_database_url, swap):
    """A credential moved to another row or user, or changed in one bit, opens nowhere.

    Its connection asks for it again, the audit trail has it once, and a rotation leaves it as it is and goes on.
    """
    (user, one), (_, two) = list(vault.users.items())[:2]
    if swap == "bit":
        change = "UPDATE connections SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) WHERE id = %(one)s"
    else:
        change = (
            "UPDATE connections c SET sealed = o.sealed, data_key = o.data_key FROM connections o"
            " WHERE c.id = %(one)s AND o.id = %(two)s"
        )
    if swap == "row":
        await vault.database.fetch("UPDATE connections SET user_id = %(u)s WHERE id = %(two)s", {"u": user, "two": two})
    await vault.database.fetch(change, {"one": one, "two": two})
    ring = Keyring(purpose_keys(read_master_key(vault.settings.master_key)))
    engine = await Database(fresh_database_url, role="taske_engine").open()
    for _ in range(2):
        with pytest.raises(VaultError):
            await ConnectionResolver(engine, DataKeys(engine, ring), url="https://x").open(user, one)
    await engine.close()
    acts = await vault.database.fetch("SELECT user_id, result FROM audit WHERE action = 'connection.unreadable'")
    assert acts == [{"user_id": user, "result": "refused"}]
    (row,) = await vault.database.fetch("SELECT status FROM connections WHERE id = %(one)s", {"one": one})
    assert row["status"] != "active"
    work = Rotation(vault.database, vault.settings)
    await work.renew_data_keys()
    await work.reseal()
    assert work.unreadable > 0
