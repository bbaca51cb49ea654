"""Preparing an instance: master key, catalog, signing key; the demo's addresses and back."""

import asyncio
import stat
from dataclasses import replace

import psycopg
import pytest

from taske_ray.bootstrap import prepare
from taske_ray.security.vault import new_master_key
from taske_ray.services.master_key import derived_key, ensure_master_key, open_keyring
from taske_ray.settings import Settings

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
    after = await start()
    assert after["slack"][1:] == first["slack"][1:]
    assert rows(fresh_database_url, "SELECT count(*) FROM signing_keys") == [(1,)]


def test_the_master_key_is_made_once_and_privately(tmp_path):
    """The key file is 0600, is not made anew, and gives every process the same derived keys."""
    settings = Settings(tmp_path / "data")
    ensure_master_key(settings)
    first = (tmp_path / "data" / "master.key").read_text()
    ensure_master_key(settings)
    assert (tmp_path / "data" / "master.key").read_text() == first
    assert stat.S_IMODE((tmp_path / "data" / "master.key").stat().st_mode) == 0o600
    assert derived_key(settings, "a") == derived_key(settings, "a") != derived_key(settings, "b")
    assert open_keyring(settings, ["auth"]).kek_id
