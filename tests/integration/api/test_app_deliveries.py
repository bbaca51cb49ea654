"""Deliveries to the one address of an app keep each user within their limits, and hold up nobody else."""

import json
from dataclasses import replace
from uuid import uuid4

import pytest
from slack_sdk.signature import SignatureVerifier

from taske_ray.clock import SystemClock
from taske_ray.core.ids import parse_id
from taske_ray.core.webhook import depth_header
from taske_ray.db.fires import FireStore
from taske_ray.limits import profiles
from taske_ray.settings import Settings

pytestmark = pytest.mark.integration
SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
LIMITS = replace(profiles["default"], queued_runs=2, hook_per_s=1, hook_burst=2, hook_depth=3)


@pytest.fixture
def settings(tmp_path):
    return Settings(tmp_path, public_url="http://taske.test", limits=LIMITS)


@pytest.fixture
async def store(engine_database):
    found = FireStore(engine_database, limits=LIMITS)
    yield found
    await found.close()


@pytest.fixture
async def app(api, admin, hooks, database):
    """An app of Slack's: what delivers a message of a team, and what makes a task for the messages of that team."""
    put = {"fields": {"signing_secret": SIGNING}}
    made = (await api.put("/admin/modules/slack/app-webhook", json=put, headers=admin["headers"])).json()
    token, team = made["hook_url"].rpartition("/")[2], f"T{uuid4().hex}"

    class App:
        async def task(self, person):
            fields = {"module": "slack", "auth": "bot_token", "name": team, "fields": {"token": "xoxb-0123456789"}}
            connection = (await api.post("/connections", json=fields, headers=person["headers"])).json()["id"]
            await database.fetch(
                "UPDATE connections SET auth = 'oauth', config = %(config)s::jsonb WHERE id = %(id)s",
                {"id": parse_id("conn", connection), "config": json.dumps({"team_id": team})},
            )
            task = {
                "name": "messages",
                "trigger": {"capability": "slack.message.received", "connection": connection, "params": {}},
                "actions": [{"capability": "system.delay", "params": {"for": "PT1H"}}],
            }
            return (await api.post("/tasks", json=task, headers=person["headers"])).json()["id"]

        async def deliver(self, event_id, **more):
            at = str(int(SystemClock().now().timestamp()))
            event = {"type": "message", "channel": "C1", "user": "U1", "text": "hi", "ts": "1.1"}
            body = json.dumps({"type": "event_callback", "team_id": team, "event_id": event_id, "event": event})
            signature = SignatureVerifier(SIGNING).generate_signature(timestamp=at, body=body)
            proof = {"x-slack-request-timestamp": at, "x-slack-signature": signature, **more}
            return await hooks.post(f"/{token}", content=body, headers=proof | {"content-type": "application/json"})

        async def skips(self, person, task_id):
            explained = await api.get(f"/tasks/{task_id}/explain", headers=person["headers"])
            return [(skip["reason"], (skip["sample"] or {}).get("detail")) for skip in explained.json()["skips"]]

        async def runs(self, person):
            return len((await api.get("/runs", headers=person["headers"])).json()["items"])

    return App()


async def test_one_users_full_queue_is_no_others(api, app, person, admin):
    """Whose queue has no room gets a skip; the others get their run, and the sender no reason to send it all again."""
    full, free = await app.task(person), await app.task(admin)
    for _ in range(2):
        assert (await api.post(f"/tasks/{full}/run", json={}, headers=person["headers"])).status_code == 202
    assert (await app.deliver("Ev1")).status_code == 200
    assert (await app.runs(person), await app.runs(admin)) == (2, 1)
    assert (await app.skips(person, full), await app.skips(admin, free)) == ([("quota", "queue_full")], [])


async def test_a_sender_is_refused_where_nothing_ran(api, app, person):
    """The only trigger's queue is full: the delivery is to come again."""
    task = await app.task(person)
    for _ in range(2):
        await api.post(f"/tasks/{task}/run", json={}, headers=person["headers"])
    assert (await app.deliver("Ev1")).status_code == 429


async def test_a_flood_is_kept_to_the_rate_of_each_trigger(app, person):
    """Beyond the burst a trigger's deliveries are refused, with a skip that says why."""
    task = await app.task(person)
    answers = [(await app.deliver(f"Ev{number}")).status_code for number in range(3)]
    assert answers == [200, 200, 429]
    assert await app.skips(person, task) == [("quota", "rate")]


async def test_runs_that_call_their_own_app_come_to_an_end(app, person, database):
    """A run knows how many runs stand behind its delivery; one too many is a loop."""
    task = await app.task(person)
    assert (await app.deliver("Ev1", **{depth_header: "3"})).status_code == 200
    assert await database.fetch("SELECT depth FROM runs WHERE task_id = %(id)s", {"id": parse_id("task", task)}) == [
        {"depth": 3}
    ]
    refused = await app.deliver("Ev2", **{depth_header: "4"})
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "loop")
    assert [reason for reason, _ in await app.skips(person, task)] == ["loop"]


async def test_forged_deliveries_are_on_the_trail(app, trail, database, person):
    """What the provider has not signed is written down for administrators, once for many."""
    await app.task(person)
    before = SIGNING[::-1]
    for _ in range(3):
        refused = await app.deliver("Ev1", **{"x-slack-signature": before})
        assert refused.status_code == 401
    await trail.close()
    found = await database.fetch("SELECT user_id, object, result FROM audit WHERE action = 'hook.signature'", {})
    assert {"user_id": None, "object": "slack", "result": "refused"} in found
