"""The same delivery again: at once, after a restart, and for as long as senders repeat (durability, 9.2 and 9.3)."""

import asyncio

import pytest

from taske_ray.db.fires import FireStore
from taske_ray.db.retention import Retention

pytestmark = pytest.mark.integration


async def fifty(client, place):
    """The run of the one answer that fifty copies of a delivery get."""
    copies = (client.post(place, json={"n": 1}, headers={"webhook-id": "evt-1"}) for _ in range(50))
    [(status, run_id)] = {(one.status_code, one.json()["run_id"]) for one in await asyncio.gather(*copies)}
    assert status == 202
    return run_id


async def test_fifty_copies_again_and_again_are_one_run(mina, hooks, replica, database, engine_database):
    """Fifty copies at once, after a restart and six days later are one run; the eighth day's are another."""
    action = {"capability": "http.request", "params": {"url": "https://example.com/"}}
    task = {"name": "Hook", "trigger": {"capability": "system.webhook"}, "actions": [action]}
    saved = (await mina.post("/tasks", json=task)).json()
    place, retention = "/" + saved["trigger"]["hook_url"].rpartition("/")[2], Retention(engine_database)
    first = await fifty(hooks, place)
    store = FireStore(engine_database)
    async with replica(store) as restarted:
        assert await fifty(restarted, place) == first
        for days, is_known in ((6, True), (2, False)):
            shift = "UPDATE events SET recorded_at = recorded_at - make_interval(days => %(d)s)"
            await database.fetch(shift, {"d": days})
            assert await retention.prune_events() == (0 if is_known else 1)
            assert (await fifty(restarted, place) == first) is is_known
    await store.close()
    assert len((await mina.get("/runs", params={"task_id": saved["id"]})).json()["items"]) == 2
