"""Deliveries of several events over HTTP: one that meets a limit half-way leaves its skip and nothing else (9.1)."""

from dataclasses import replace

import pytest

from taske_ray.db.fires import FireStore
from taske_ray.limits import profiles

pytestmark = pytest.mark.integration
LIMITS = replace(profiles["default"], queued_runs=4)
MODULE = {
    "module": "parcels",
    "name": "Parcels",
    "base_url": "https://parcels.example.com",
    "auth": [{"id": "none", "type": "none"}],
    "capabilities": [
        {
            "capability": "parcels.moved",
            "kind": "trigger",
            "name": "Moved",
            "params": {"type": "object", "properties": {}},
            "webhook": {
                "mode": "manual",
                "verify": [],
                "split": "{{ req.body.items }}",
                "output": {"item": "{{ item }}"},
            },
        }
    ],
}


@pytest.fixture
async def store(engine_database):
    found = FireStore(engine_database, limits=LIMITS)
    yield found
    await found.close()


@pytest.fixture
async def place(mina, admin):
    """The path of a hook whose deliveries carry several items; its user's queue takes four."""
    put = await mina.put("/admin/modules/parcels", json=MODULE, headers=admin["headers"])
    assert put.status_code == 200, put.json()
    action = {"capability": "system.delay", "params": {"for": "PT1H"}}
    task = {"name": "Parcels", "trigger": {"capability": "parcels.moved"}, "actions": [action]}
    made = await mina.post("/tasks", json=task)
    assert made.status_code == 201, made.json()
    return "/" + made.json()["trigger"]["hook_url"].rpartition("/")[2]


async def items_of_runs(mina):
    runs = (await mina.get("/runs")).json()["items"]
    shown = [(await mina.get(f"/runs/{run['id']}")).json() for run in runs]
    return sorted(run["trigger_output"]["item"] for run in shown)


@pytest.mark.parametrize("headers", [{}, {"webhook-id": "evt-1"}])
async def test_a_delivery_that_meets_a_full_queue_half_way_leaves_no_run(mina, hooks, place, headers):
    """429 and no run of it, with an id of its own or without; its skip says how many; what fits is taken whole."""
    first = await hooks.post(place, json={"items": [1, 2, 3]})
    assert (first.status_code, len(first.json()["run_ids"])) == (202, 3)
    refused = await hooks.post(place, json={"items": [4, 5]}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
    assert await items_of_runs(mina) == [1, 2, 3]
    [task] = (await mina.get("/tasks")).json()["items"]
    skips = (await mina.get(f"/tasks/{task['id']}/explain")).json()["skips"]
    assert [(skip["reason"], skip["count"], skip["sample"]) for skip in skips] == [
        ("quota", 2, {"detail": "queue_full"})
    ]
    assert (await hooks.post(place, json={"items": [6]})).status_code == 202
    assert await items_of_runs(mina) == [1, 2, 3, 6]


async def test_a_split_delivery_again_is_the_same_runs(hooks, place):
    """A delivery with an id answers each time with the runs of its first time, also when the queue is full since."""
    answers = [
        (await hooks.post(place, json={"items": [1, 2, 3, 4]}, headers={"webhook-id": "evt-2"})) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
