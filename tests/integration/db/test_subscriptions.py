"""Registrations of webhooks: a client that was away for longer than its lease changes nothing any more."""

import asyncio

import pytest

from taske_ray.clock import new_id
from taske_ray.db.database import Database
from taske_ray.db.subscriptions import Settled, SubscriptionStore

pytestmark = pytest.mark.integration


@pytest.fixture
async def database(fresh_database_url):
    found = await Database(fresh_database_url).open()
    yield found
    await found.close()


WANTED = """
WITH given AS (SELECT id, user_id FROM unnest(%(ids)s::uuid[]) AS t(id), (SELECT id AS user_id FROM users) u),
task AS (INSERT INTO tasks (id, user_id, name, enabled, version) SELECT id, user_id, 'x', true, 1 FROM given)
INSERT INTO triggers (id, user_id, task_id, version, kind, capability, capability_version, spec, enabled, hook_mode,
                      hook_hash)
SELECT id, user_id, id, 1, 'webhook', 'shop.order', 1, '{}', true, 'subscribe', id::text::bytea FROM given
RETURNING id
"""


@pytest.fixture
async def twice(database):
    """A registration that one client had for too long, and another has now: the store, and both claims."""
    user, key = new_id(), new_id()
    await database.fetch("INSERT INTO users (id, email) VALUES (%(id)s, 'a@example.com') RETURNING id", {"id": user})
    await database.fetch(
        "INSERT INTO data_keys (id, user_id, purpose, kek_id, wrapped)"
        " VALUES (%(key)s, %(id)s, 'hooks', 'k', 'w') RETURNING id",
        {"key": key, "id": user},
    )
    await database.fetch(
        "INSERT INTO subscriptions (id, trigger_id, user_id, capability, capability_version, spec)"
        " VALUES (%(new)s, %(new)s, %(id)s, 'shop.order', 1, '{}') RETURNING id",
        {"new": new_id(), "id": user},
    )
    store = SubscriptionStore(database)
    (late,) = await store.claim(most=1, lease_s=0.0)
    (now,) = await store.claim(most=1, lease_s=60.0)
    return store, key, late, now


def settled(key, sealed):
    return Settled("active", 3600.0, key, sealed)


async def test_the_late_one_records_nothing(database, twice):
    """Neither how it stands, nor its end, nor another one in its place."""
    store, key, late, now = twice
    await store.settle(late, settled(key, b"late"))
    await store.replace(late, settled(key, b"left"), new_id(), settled(key, b"late"))
    await store.drop(late)
    await store.settle(now, settled(key, b"now"))
    await store.settle(late, settled(key, b"late"))
    await store.drop(late)
    rows = await database.fetch("SELECT status, sealed FROM subscriptions", {})
    assert [(row["status"], bytes(row["sealed"])) for row in rows] == [("active", b"now")]


async def test_who_has_it_ends_it(database, twice):
    """The one whose lease it is can end it."""
    store, _, _, now = twice
    await store.drop(now)
    assert await database.fetch("SELECT id FROM subscriptions", {}) == []


async def test_what_is_wanted_is_begun_once_under_ids_of_ours(database):
    """A row for each trigger that wants one, with a UUIDv7 of the writer; more rounds, two at once, add none."""
    await database.fetch(
        "INSERT INTO users (id, email) VALUES (%(id)s, 'a@example.com') RETURNING id", {"id": new_id()}
    )
    wanted = {new_id() for _ in range(130)}
    await database.fetch(WANTED, {"ids": list(wanted)})
    stores = (SubscriptionStore(database), SubscriptionStore(database))
    for _ in range(3):
        await asyncio.gather(*(store.reconcile() for store in stores))
    rows = await database.fetch("SELECT id, trigger_id FROM subscriptions")
    assert sorted(row["trigger_id"] for row in rows) == sorted(wanted)
    assert {row["id"].version for row in rows} == {7}
