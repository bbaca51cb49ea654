"""Preparing an instance: master key, catalog, signing key; the demo's addresses and back."""

import asyncio
import stat
from dataclasses import replace

import psycopg
import pytest

from taske_ray.bootstrap import prepare
from taske_ray.clock import new_id
from taske_ray.errors import StartRefused
from taske_ray.security.sealed import VaultError
from taske_ray.security.vault import new_master_key
from taske_ray.services.master_key import ensure_master_key, hand_over, open_keyring
from taske_ray.settings import Settings
from taske_ray.standins.played import client_ids

pytestmark = pytest.mark.integration


def rows(url, statement):
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


async def test_prepare_is_repeatable_and_the_demo_reversible(fresh_database_url, tmp_path):
    """Two starts change nothing; a demo start points the played modules elsewhere, the next one restores them."""
    settings = Settings(tmp_path, database_url=fresh_database_url, master_key=new_master_key())
    current = "SELECT DISTINCT ON (module) module, version, origin, doc->>'base_url' FROM modules ORDER BY 1, 2 DESC"

    async def start(**options):
        await asyncio.to_thread(prepare, replace(settings, **options))
        return {module: rest for module, *rest in rows(fresh_database_url, current)}

    first = await start()
    assert await start() == first
    assert {"system", "http", "google", "slack"} <= first.keys()
    demo = await start(demo_url="http://127.0.0.1:9999")
    assert demo["slack"][1] == "demo"
    assert demo["slack"][2].startswith("http://127.0.0.1:9999")
    assert demo["system"] == first["system"]
    with psycopg.connect(fresh_database_url, autocommit=True) as connection:
        for module, client_id in (("google", client_ids()[0]), ("slack", "a real one")):
            connection.execute(
                "INSERT INTO oauth_clients (id, module, auth, client_id) VALUES (gen_random_uuid(), %s, 'oauth', %s)",
                (module, client_id),
            )
    after = await start()
    assert after["slack"][1:] == first["slack"][1:]
    assert rows(fresh_database_url, "SELECT client_id FROM oauth_clients") == [("a real one",)]
    assert rows(fresh_database_url, "SELECT count(*) FROM signing_keys") == [(1,)]


async def test_another_master_key_is_refused(fresh_database_url, tmp_path):
    """A second service without the database's key is told so and writes nothing; as an earlier key it is enough."""
    settings = Settings(tmp_path, database_url=fresh_database_url, master_key=new_master_key())
    await asyncio.to_thread(prepare, settings)
    stranger = replace(settings, master_key=new_master_key())
    with psycopg.connect(fresh_database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM capabilities")
        connection.execute("DELETE FROM modules")
    with pytest.raises(StartRefused, match=r"The master key is not the one .* set TASKE_MASTER_KEY"):
        await asyncio.to_thread(prepare, stranger)
    assert rows(fresh_database_url, "SELECT count(*) FROM modules") == [(0,)]
    assert rows(fresh_database_url, "SELECT count(*) FROM signing_keys") == [(1,)]
    await asyncio.to_thread(prepare, replace(stranger, master_key_old=(settings.master_key,)))


def test_the_master_key_is_made_once_and_privately(tmp_path):
    """The key file is 0600, is not made anew, and gives every process the same keys."""
    settings = Settings(tmp_path / "data")
    ensure_master_key(settings)
    first = (tmp_path / "data" / "master.key").read_text()
    ensure_master_key(settings)
    assert (tmp_path / "data" / "master.key").read_text() == first
    assert stat.S_IMODE((tmp_path / "data" / "master.key").stat().st_mode) == 0o600
    first, second = open_keyring(settings, ["auth"]), open_keyring(settings, ["auth"])
    assert first.derived("auth", "a") == second.derived("auth", "a") != first.derived("auth", "b")


def test_a_process_gets_the_purposes_that_it_needs(tmp_path):
    """What is handed over is private; a process that is given it reads its purposes without the master key."""
    settings = Settings(tmp_path / "data")
    ensure_master_key(settings)
    hand_over(settings, tmp_path / "keys")
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "keys").iterdir()}
    assert files == dict.fromkeys(["auth.keys", "hooks.keys", "credentials.keys"], 0o600)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    given = replace(settings, keys_dir=tmp_path / "keys")
    (tmp_path / "data" / "master.key").unlink()
    ring = open_keyring(given, ["hooks"])
    sealed = ring.wrap(ring.new_data_key(new_id(), None, "hooks"))
    assert ring.unwrap(sealed).id == sealed.id
    for purpose in ("auth", "credentials"):
        with pytest.raises(VaultError):
            ring.wrap(ring.new_data_key(new_id(), None, purpose))
    (tmp_path / "keys" / "hooks.keys").write_text("{}")
    with pytest.raises(StartRefused, match="cannot be read"):
        open_keyring(given, ["hooks"])


def test_a_rotated_master_key_reaches_a_process_that_runs(tmp_path):
    """A data key under a master key that came later opens: the process reads its file again. A made-up one does not."""
    settings = Settings(tmp_path / "data")
    ensure_master_key(settings)
    hand_over(settings, tmp_path / "keys")
    running = open_keyring(replace(settings, keys_dir=tmp_path / "keys"), ["credentials"])
    before = running.wrap(running.new_data_key(new_id(), None, "credentials"))
    old = (tmp_path / "data" / "master.key").read_text()
    rotated = replace(settings, master_key=new_master_key(), master_key_old=(old,))
    hand_over(rotated, tmp_path / "keys")
    other = open_keyring(rotated, ["credentials"])
    assert running.unwrap(other.wrap(other.new_data_key(new_id(), None, "credentials"))).key
    assert running.unwrap(before).key
    later = [one.wrap(one.new_data_key(new_id(), None, "credentials")).kek_id for one in (running, other)]
    assert later[0] == later[1] != before.kek_id
    with pytest.raises(VaultError):
        running.unwrap(replace(before, kek_id="0" * 16))
