"""Webhooks that the service registers itself, against a service that keeps registrations and signs what it sends."""

import json

import pytest
from slack_sdk.signature import SignatureVerifier

from taske_ray.clock import SystemClock
from taske_ray.core.ids import parse_id
from tests.integration.api.conftest import URL
from tests.integration.api.shop import BODY, document, signed

pytestmark = pytest.mark.integration


async def standing(api, person, task_id):
    """What `explain` says of the registration."""
    return (await api.get(f"/tasks/{task_id}/explain", headers=person["headers"])).json()["subscription"]


async def test_enabling_registers_and_disabling_ends(api, hooks, keeper, enabled, person, shop):
    """An enabled trigger is registered once, signed deliveries become runs, and switched off it is gone there, too."""
    task_id, token = await enabled("sub1")
    await keeper.work()
    await keeper.work()
    [(method, wanted)] = shop.asked
    assert (method, wanted["url"], len(wanted["secret"])) == ("POST", f"{URL}/hooks/{token}", 64)
    assert (await standing(api, person, task_id))["status"] == "active"
    accepted = await hooks.post(f"/{token}", content=BODY, headers=signed(wanted["secret"]))
    assert accepted.status_code == 202, accepted.json()
    assert accepted.json()["run_id"].startswith("run_")
    for headers in ({}, signed("another"), signed(wanted["secret"], b"{}")):
        assert (await hooks.post(f"/{token}", content=BODY, headers=headers)).status_code == 401
    await api.post(f"/tasks/{task_id}/disable", headers=person["headers"])
    await keeper.work()
    assert shop.hooks == {}
    assert await standing(api, person, task_id) is None


async def test_a_change_registers_the_new_before_the_old_goes(api, hooks, keeper, enabled, person, shop):
    """Changed parameters are a registration of their own; the old one counts until that is there, and no longer."""
    task_id, token = await enabled("sub2", params={"kind": "a"})
    await keeper.work()
    first = shop.asked[0][1]
    task = (await api.get(f"/tasks/{task_id}", headers=person["headers"])).json()
    trigger = {"capability": "sub2.order", "connection": task["trigger"]["connection"], "params": {"kind": "b"}}
    body = {"name": "sub2", "trigger": trigger, "actions": task["actions"]}
    assert (await api.put(f"/tasks/{task_id}", json=body, headers=person["headers"])).status_code == 200
    before = await hooks.post(f"/{token}", content=BODY, headers=signed(first["secret"]))
    assert before.status_code == 202
    await keeper.work()
    await keeper.work()
    assert [method for method, _ in shop.asked] == ["POST", "POST", "DELETE"]
    [left] = shop.hooks.values()
    assert (left["kind"], left["url"]) == ("b", first["url"])
    other = json.dumps({"id": "o-2"}).encode()
    assert (await hooks.post(f"/{token}", content=other, headers=signed(left["secret"], other))).status_code == 202


async def test_deleting_a_task_ends_its_registration(api, keeper, enabled, person, shop):
    """What is needed to end it outlives the trigger."""
    task_id, _ = await enabled("sub3")
    await keeper.work()
    assert (await api.delete(f"/tasks/{task_id}", headers=person["headers"])).status_code == 204
    await keeper.work()
    assert shop.hooks == {}


async def test_a_service_that_forgot_is_told_again(hooks, keeper, enabled, shop):
    """The daily check finds nothing there, and registers anew with a fresh secret."""
    _, token = await enabled("sub4")
    await keeper.work()
    first = shop.asked[0][1]
    shop.hooks.clear()
    await keeper.again()
    await keeper.again()
    [fresh] = shop.hooks.values()
    assert fresh["secret"] != first["secret"]
    assert (await hooks.post(f"/{token}", content=BODY, headers=signed(fresh["secret"]))).status_code == 202
    assert (await hooks.post(f"/{token}", content=BODY, headers=signed(first["secret"]))).status_code == 401


async def test_what_ends_is_replaced_in_time(keeper, enabled, shop):
    """Without a request to renew, a new registration comes first and the old one is ended after it."""
    document_part = {
        "subscribe": {
            "request": {
                "method": "POST",
                "path": "/hooks",
                "body": {"url": "{{ hook.url }}", "until": "{{ now | date_add: 'PT2H' }}"},
            },
            "save": {"id": "{{ response.body.id }}", "secret": "constant-secret"},
        },
        "renew": {"expires_at": "{{ response.body.until }}", "before": "PT1H"},
    }
    await enabled("sub5", **document_part)
    await keeper.work()
    assert list(shop.hooks) == ["1"]
    await keeper.again()  # long before its end: only asked whether it is there
    await keeper.again(expires_at="clock_timestamp() + interval '30 minutes'")
    await keeper.work()
    assert [method for method, _ in shop.asked][:4] == ["POST", "GET", "POST", "DELETE"]
    assert list(shop.hooks) == ["3"]


async def test_a_failure_is_shown_and_tried_again(api, keeper, enabled, person, shop):
    """A trigger whose registration was refused is not silently on; the same secret goes out again until it is taken."""
    shop.status = 503
    task_id, _ = await enabled("sub6")
    await keeper.work()
    told = await standing(api, person, task_id)
    assert (told["status"], told["error"]["code"]) == ("subscribing", "http_error")
    shop.status = 201
    await keeper.again()
    assert (await standing(api, person, task_id))["status"] == "active"
    assert shop.asked[0] == shop.asked[1]


async def test_a_process_that_died_over_it_sends_the_same_again(keeper, enabled, shop, monkeypatch):
    """Killed between the service's answer and the COMMIT, the next process registers with the secret that was kept."""
    await enabled("sub7")
    store = keeper._store

    async def die(*_):
        raise RuntimeError("killed here")

    monkeypatch.setattr(store, "settle", die)
    with pytest.raises(RuntimeError, match="killed here"):
        await keeper.work()
    monkeypatch.undo()
    await keeper.work()
    assert len(shop.asked) == 1  # whoever has it may still be at work
    await keeper.again()
    assert shop.asked[0] == shop.asked[1]


async def test_without_a_public_address_nothing_can_be_registered(api, admin, person, shop, task_services):
    """Enabling is refused with the trigger that asks instead of being called; saving it disabled is allowed."""
    task_services.tasks._reachable = False
    await api.put("/admin/modules/sub8", json=document("sub8", shop.port), headers=admin["headers"])
    fields = {"module": "sub8", "auth": "token", "name": "x", "fields": {"token": "token-of-mina"}}
    connection = (await api.post("/connections", json=fields, headers=person["headers"])).json()
    action = {"capability": "system.delay", "params": {"for": "PT1S"}}
    trigger = {"capability": "sub8.order", "connection": connection["id"], "params": {}}
    body = {"name": "x", "trigger": trigger, "actions": [action]}
    refused = await api.post("/tasks", json=body, headers=person["headers"])
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["code"]) == (422, "public_url_required")
    assert "sub8.order.new" in error["message"]
    saved = await api.post("/tasks", json=body | {"enabled": False}, headers=person["headers"])
    assert saved.status_code == 201
    again = await api.post(f"/tasks/{saved.json()['id']}/enable", headers=person["headers"])
    assert again.json()["errors"][0]["code"] == "public_url_required"


async def test_secrets_of_registrations_are_sealed(keeper, enabled, shop, database):
    """Neither the secret nor the address stands in any row in the open."""
    _, token = await enabled("sub9")
    await keeper.work()
    secret = shop.asked[0][1]["secret"]
    rows = await database.fetch("SELECT row_to_json(s)::text AS row FROM subscriptions s")
    assert rows
    assert [row for row in rows if secret in row["row"] or token in row["row"]] == []


SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"


def from_slack(team, text, event_id, at):
    """(body, headers) of an event as Slack's own library signs it."""
    event = {"type": "message", "channel": "C1", "user": "U1", "text": text, "ts": "1.1"}
    body = json.dumps({"type": "event_callback", "team_id": team, "event_id": event_id, "event": event})
    signature = SignatureVerifier(SIGNING).generate_signature(timestamp=at, body=body)
    return body, {"x-slack-request-timestamp": at, "x-slack-signature": signature, "content-type": "application/json"}


async def test_one_address_for_all_users_of_an_app(api, admin, person, hooks, database):
    """Slack's deliveries reach every trigger of the team that they name, by its own filter, and no other team's."""
    headers = person["headers"]
    assert (await api.get("/admin/modules/slack/app-webhook", headers=headers)).status_code == 403
    bad = await api.put("/admin/modules/slack/app-webhook", json={"fields": {}}, headers=admin["headers"])
    assert bad.json()["errors"][0]["pointer"] == "/fields/signing_secret"
    put = {"fields": {"signing_secret": SIGNING}}
    made = (await api.put("/admin/modules/slack/app-webhook", json=put, headers=admin["headers"])).json()
    assert made["fields"] == {"signing_secret": {"set": True}}
    token = made["hook_url"].rpartition("/")[2]
    tasks = {}
    for team, params in (("T1", {}), ("T1", {"channel": "C2"}), ("T2", {})):
        fields = {"module": "slack", "auth": "bot_token", "name": team, "fields": {"token": "xoxb-0123456789"}}
        connection = (await api.post("/connections", json=fields, headers=headers)).json()["id"]
        change = {"id": parse_id("conn", connection), "config": json.dumps({"team_id": team})}
        await database.fetch(
            "UPDATE connections SET auth = 'oauth', config = %(config)s::jsonb WHERE id = %(id)s", change
        )
        trigger = {"capability": "slack.message.received", "connection": connection, "params": params}
        action = {"capability": "system.delay", "params": {"for": "PT1S"}}
        saved = await api.post("/tasks", json={"name": team, "trigger": trigger, "actions": [action]}, headers=headers)
        assert saved.status_code == 201, saved.json()
        tasks[team, str(params)] = saved.json()["id"]
    at = str(int(SystemClock().now().timestamp()))
    challenge = json.dumps({"type": "url_verification", "challenge": "ch4"})
    signature = SignatureVerifier(SIGNING).generate_signature(timestamp=at, body=challenge)
    proof = {"x-slack-request-timestamp": at, "x-slack-signature": signature, "content-type": "application/json"}
    answered = await hooks.post(f"/{token}", content=challenge, headers=proof)
    assert (answered.status_code, answered.text) == (200, "ch4")
    body, proof = from_slack("T1", "안녕", "Ev1", at)
    for _ in range(2):  # and once more, as Slack does when it saw no answer
        assert (await hooks.post(f"/{token}", content=body, headers=proof)).status_code == 200
    assert (await hooks.post(f"/{token}", content=body + " ", headers=proof)).status_code == 401
    runs = (await api.get("/runs", headers=headers)).json()["items"]
    assert [run["task_id"] for run in runs] == [tasks["T1", "{}"]]
    explained = (await api.get(f"/tasks/{tasks['T1', str({'channel': 'C2'})]}/explain", headers=headers)).json()
    assert [skip["reason"] for skip in explained["skips"]] == ["filtered"]
    assert (await api.delete("/admin/modules/slack/app-webhook", headers=admin["headers"])).status_code == 204
    assert (await hooks.post(f"/{token}", content=body, headers=proof)).status_code == 404
