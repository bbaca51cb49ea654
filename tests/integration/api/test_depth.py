"""Runs that call our own API: every way to start a run counts how many stand behind it (security, 10.10)."""

import pytest

from taske_ray.core.ids import parse_id
from taske_ray.core.outcome import Succeeded

pytestmark = pytest.mark.integration
TASK = {
    "name": "Round",
    "trigger": {"capability": "system.schedule.cron", "params": {"cron": "0 * * * *", "timezone": "UTC"}},
    "actions": [{"capability": "system.delay", "params": {"for": "PT1S"}}],
}
RANGE = {"from": "2026-01-05T00:30:00Z", "until": "2026-01-05T01:30:00Z"}


@pytest.fixture
async def task(api, person, catalog):  # noqa: ARG001 - loaded first
    """A saved task with one run."""
    made = (await api.post("/tasks", json=TASK, headers=person["headers"])).json()
    run = (await api.post(f"/tasks/{made['id']}/run", json={"input": {}}, headers=person["headers"])).json()
    return made["id"], run["run_id"]


@pytest.mark.parametrize("way", ["run", "backfill", "replay"])
async def test_the_fourth_in_a_row_is_refused(api, person, task, database, way):
    """Three runs may stand behind a request that starts one; the next is a conflict and a skip, not a run."""
    task_id, run_id = task
    path = f"/runs/{run_id}/replay" if way == "replay" else f"/tasks/{task_id}/{way}"
    body = RANGE if way == "backfill" else {}
    refused = await api.post(path, json=body, headers=person["headers"] | {"taske-depth": "4"})
    assert (refused.status_code, refused.json()["code"]) == (409, "loop")
    explained = (await api.get(f"/tasks/{task_id}/explain", headers=person["headers"])).json()
    assert [(skip["reason"], skip["count"]) for skip in explained["skips"]] == [("loop", 1)]
    accepted = await api.post(path, json=body, headers=person["headers"] | {"taske-depth": "3"})
    assert accepted.status_code == 202
    newest = "SELECT depth FROM runs WHERE task_id = %(id)s ORDER BY created_at DESC LIMIT 1"
    assert await database.fetch(newest, {"id": parse_id("task", task_id)}) == [{"depth": 3}]


async def test_an_action_invoked_by_a_run_is_as_deep(api, person, calls, catalog):  # noqa: ARG001 - loaded first
    """What is invoked calls on behalf of the runs behind it, so that the way around by `invoke` ends, too."""
    wanted = {"params": {"url": "https://x.example"}}
    path = "/capabilities/http.request/invoke"
    refused = await api.post(path, json=wanted, headers=person["headers"] | {"taske-depth": "4"})
    assert (refused.status_code, refused.json()["code"]) == (409, "loop")
    calls.outcomes.append(Succeeded({"status": 200}))
    await api.post(path, json=wanted, headers=person["headers"] | {"taske-depth": "2"})
    assert [call.depth for call in calls.asked] == [2]
