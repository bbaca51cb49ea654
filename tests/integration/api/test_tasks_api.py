"""Tasks over HTTP: saved, refused with pointers, changed, switched, fired by hand."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.core.ids import parse_id

pytestmark = pytest.mark.integration

WEEKLY = {
    "name": "Weekly",
    "trigger": {"capability": "system.schedule.cron", "params": {"cron": "0 9 * * MON", "timezone": "Asia/Seoul"}},
    "actions": [
        {"capability": "http.request", "params": {"url": "https://example.com/", "method": "POST", "body": {"a": 1}}},
        {
            "capability": "http.request",
            "key": "second",
            "if": "action1.output.status == 200",
            "params": {"url": "https://example.com/{{ action1.output.body.id }}"},
        },
    ],
}
BY_HAND = {"name": "By hand", "trigger": {"capability": "system.manual"}, "actions": WEEKLY["actions"][:1]}
HOOK = {"name": "Hook", "trigger": {"capability": "system.webhook"}, "actions": WEEKLY["actions"][:1]}


async def created(mina, document):
    answer = await mina.post("/tasks", json=document)
    assert answer.status_code == 201, answer.json()
    return answer.json()


async def test_a_task_is_saved_and_read_back(mina, watchers):
    """The answer has id, version, next fires in UTC and the actions with their defaults; the watchers are nudged."""
    answer = await mina.post("/tasks", json=WEEKLY)
    assert answer.status_code == 201, answer.json()
    task = answer.json()
    assert task["id"].startswith("task_")
    assert (task["version"], task["enabled"]) == (1, True)
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"/api/v1/tasks/{task['id']}"
    fires = [datetime.fromisoformat(one) for one in task["trigger"]["next_fires"]]
    assert len(fires) == 5
    assert all((one.weekday(), one.hour, one.tzinfo) == (0, 0, UTC) for one in fires)
    assert task["actions"][1]["if"] == "action1.output.status == 200"
    assert watchers.nudges == 1
    assert (await mina.get(f"/tasks/{task['id']}")).json() == task


async def test_every_error_is_told_at_once_with_its_pointer(mina):
    """A task with many mistakes is one 422 that names them all."""
    answer = await mina.post(
        "/tasks",
        json={
            "name": "x" * 201,
            "colour": "red",
            "trigger": {"capability": "system.schedule.cron", "params": {"cron": "0 0 30 2 *", "timezone": "Mars/X"}},
            "actions": [
                {"capability": "nobody.nothing"},
                {"capability": "slack.chat.post_message", "params": {"channel": "C1", "text": "{{ action3.output }}"}},
                {"capability": "http.request", "params": {"url": "{{ broken"}},
                {
                    "capability": "http.request",
                    "connection": "conn_" + "0" * 32,
                    "params": {"url": "https://x.example"},
                },
            ],
        },
    )
    assert answer.status_code == 422
    found = {(one["pointer"], one["code"]) for one in answer.json()["errors"]}
    assert {
        ("/name", "name_too_long"),
        ("/colour", "unknown_field"),
        ("/actions/0/capability", "unknown_capability"),
        ("/actions/1/connection", "connection_required"),
        ("/actions/1/params/text", "unknown_name"),
        ("/actions/2/params/url", "template_syntax"),
        ("/actions/3/connection", "unknown_connection"),
    } <= found
    assert {"/trigger/params/timezone"} <= {pointer for pointer, _ in found}


@pytest.mark.parametrize(
    ("params", "pointer"),
    [({"cron": "0 0 30 2 *"}, "/trigger/params/cron"), ({"cron": "x"}, "/trigger/params/cron")],
)
async def test_impossible_schedules_are_refused(mina, params, pointer):
    """A cron that never comes is a 422 at the cron."""
    document = WEEKLY | {"trigger": {"capability": "system.schedule.cron", "params": params}}
    assert (await mina.post("/tasks", json=document)).json()["errors"][0]["pointer"] == pointer


async def test_etags_guard_changes(mina):
    """PUT makes the next version, a stale If-Match is 412, and the same text again makes no version."""
    task = await created(mina, WEEKLY)
    place = f"/tasks/{task['id']}"
    second = await mina.put(place, json=WEEKLY | {"name": "Renamed"}, headers={"if-match": '"1"'})
    assert (second.status_code, second.json()["version"], second.headers["etag"]) == (200, 2, '"2"')
    assert second.json()["trigger"]["id"] == task["trigger"]["id"]
    stale = await mina.put(place, json=WEEKLY, headers={"if-match": '"1"'})
    assert stale.status_code == 412
    again = await mina.put(place, json=WEEKLY | {"name": "Renamed"})
    assert again.json()["version"] == 2
    assert (await mina.delete(place, headers={"if-match": '"1"'})).status_code == 412
    assert (await mina.delete(place, headers={"if-match": '"2"'})).status_code == 204
    assert (await mina.get(place)).status_code == 404


async def test_versions_and_rollback(mina):
    """Every version can be read and saved again as the newest."""
    task = await created(mina, WEEKLY)
    place = f"/tasks/{task['id']}"
    await mina.put(place, json=BY_HAND)
    versions = (await mina.get(f"{place}/versions", params={"limit": 1})).json()
    assert [one["version"] for one in versions["items"]] == [2]
    rest = (await mina.get(f"{place}/versions", params={"limit": 1, "cursor": versions["next_cursor"]})).json()
    assert [one["version"] for one in rest["items"]] == [1]
    rolled = (await mina.post(f"{place}/rollback", json={"version": 1})).json()
    assert (rolled["version"], rolled["name"]) == (3, "Weekly")
    assert (await mina.post(f"{place}/rollback", json={"version": 9})).status_code == 422


async def test_switching(mina, watchers, database):
    """Disable and enable answer the task, nudge, and move the trigger's row; an interval counts from enabling."""
    every = {"capability": "system.schedule.interval", "params": {"every": "PT1H"}}
    task = await created(mina, WEEKLY | {"trigger": every, "enabled": False})
    assert task["trigger"]["next_fires"] == []
    place = f"/tasks/{task['id']}"
    on = (await mina.post(f"{place}/enable")).json()
    assert on["enabled"]
    assert len(on["trigger"]["next_fires"]) == 5
    rows = await database.fetch(
        "SELECT next_fire_at - anchor_at AS gap FROM triggers WHERE kind = 'interval' AND enabled"
    )
    assert [row["gap"].total_seconds() for row in rows] == [3600]
    off = (await mina.post(f"{place}/disable", json={})).json()
    assert not off["enabled"]
    assert watchers.nudges == 3
    assert (await mina.post(f"{place}/disable", json={"x": 1})).status_code == 422


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("interval", {"every": "PT1H"}, {"every": "PT2H"}),
        ("cron", {"cron": "0 9 * * *", "timezone": "UTC"}, {"cron": "0 9 * * *", "timezone": "Asia/Seoul"}),
    ],
)
async def test_a_changed_schedule_counts_from_the_edit(mina, database, kind, before, after):
    """Another name leaves the instants alone; another schedule begins anew, and the trigger stays the same one."""
    trigger = {"capability": f"system.schedule.{kind}", "params": before}
    task = await created(mina, WEEKLY | {"trigger": trigger})
    when = {"id": parse_id("trigger", task["trigger"]["id"])}

    async def clock():
        text = "SELECT anchor_at, next_fire_at, clock_timestamp() AS now FROM triggers WHERE id = %(id)s"
        [row] = await database.fetch(text, when)
        return row["anchor_at"], row["next_fire_at"], row["now"]

    await database.fetch(
        "UPDATE triggers SET anchor_at = anchor_at - interval '20 min', next_fire_at = clock_timestamp() +"
        " interval '40 min' WHERE id = %(id)s",
        when,
    )
    anchor, due, edited = await clock()
    renamed = await mina.put(f"/tasks/{task['id']}", json=WEEKLY | {"trigger": trigger, "name": "Renamed"})
    assert (renamed.json()["version"], (await clock())[:2]) == (2, (anchor, due))
    changed = await mina.put(f"/tasks/{task['id']}", json=WEEKLY | {"trigger": trigger | {"params": after}})
    assert changed.json()["trigger"]["id"] == task["trigger"]["id"]
    new_anchor, new_due, now = await clock()
    if kind == "interval":
        assert edited <= new_anchor <= now
        assert new_due == new_anchor + timedelta(hours=2)
    else:
        assert new_anchor is None
        assert (new_due.hour, new_due.minute, new_due > now, new_due <= now + timedelta(days=1)) == (0, 0, True, True)
    assert datetime.fromisoformat(changed.json()["trigger"]["next_fires"][0]) == new_due


async def test_running_by_hand(mina, hosts):
    """A run by hand exists when it is answered, with the given input, also for a disabled task; a key makes one run."""
    task = await created(mina, BY_HAND | {"enabled": False})
    place = f"/tasks/{task['id']}/run"
    answer = await mina.post(place, json={"input": {"note": "hi"}})
    assert answer.status_code == 202
    run = (await mina.get(f"/runs/{answer.json()['run_id']}")).json()
    assert (run["status"], run["trigger_output"], run["task_id"]) == ("queued", {"note": "hi"}, task["id"])
    assert [step["status"] for step in run["steps"]] == ["pending"]
    assert hosts.nudges == [("queued", None)]
    keyed = {"idempotency-key": "k1"}
    runs = await asyncio.gather(*(mina.post(place, json={}, headers=keyed) for _ in range(5)))
    assert len({one.json()["run_id"] for one in runs}) == 1


async def test_a_schedule_by_hand_is_as_if_due_now(mina):
    """Without input a schedule's run starts from this moment."""
    task = await created(mina, WEEKLY)
    run_id = (await mina.post(f"/tasks/{task['id']}/run")).json()["run_id"]
    output = (await mina.get(f"/runs/{run_id}")).json()["trigger_output"]
    assert output["missed_count"] == 0
    assert output["scheduled_at"] == output["fired_at"]


async def test_a_wrong_method_names_the_right_ones(mina):
    """405 lists every method of the path, not those of one route."""
    answer = await mina.put("/tasks", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_a_plan_masks_what_stands_in_a_secret_place(mina):
    """A credential that somebody wrote into the task itself is not repeated by its plan."""
    request = {"url": "https://example.com/?api_key=k1", "headers": {"Authorization": "Bearer written-by-hand"}}
    task = await created(mina, BY_HAND | {"actions": [{"capability": "http.request", "params": request}]})
    (planned,) = (await mina.post(f"/tasks/{task['id']}/plan", json={})).json()["requests"]
    assert planned["headers"]["authorization"] == "••••"
    assert planned["url"] == "https://example.com/?api_key=••••"


async def test_cancel_and_replay(mina):
    """A queued run is cancelled at once; a replay is a new run of the same input; what never failed cannot restart."""
    task = await created(mina, BY_HAND)
    run_id = (await mina.post(f"/tasks/{task['id']}/run", json={"input": {"n": 1}})).json()["run_id"]
    cancelled = await mina.post(f"/runs/{run_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    replayed = await mina.post(f"/runs/{run_id}/replay", json={"from": "start"})
    assert replayed.status_code == 202, replayed.json()
    fresh = (await mina.get(f"/runs/{replayed.json()['run_id']}")).json()
    assert (fresh["replay_of"], fresh["trigger_output"], fresh["status"]) == (run_id, {"n": 1}, "queued")
    assert (await mina.post(f"/runs/{run_id}/replay", json={"from": "failed"})).status_code == 422
    assert (await mina.post(f"/runs/{run_id}/replay", json={"from": "nowhere"})).status_code == 422
    listed = (await mina.get("/runs", params={"task_id": task["id"], "status": "cancelled"})).json()
    assert [one["id"] for one in listed["items"]] == [run_id]


async def test_plan_builds_requests_and_sends_none(mina, calls):
    """The plan shows the requests with earlier outputs filled in from examples, and what a condition skips."""
    task = await created(mina, WEEKLY)
    plan = (await mina.post(f"/tasks/{task['id']}/plan", json={})).json()["requests"]
    assert [one["step"] for one in plan] == ["action1", "second"]
    assert (plan[0]["method"], plan[0]["url"]) == ("POST", "https://example.com/")
    assert calls.asked == []


async def test_explain(mina):
    """Explain tells the next instants, and in words."""
    task = await created(mina, WEEKLY)
    found = (await mina.get(f"/tasks/{task['id']}/explain")).json()
    assert len(found["next_fires"]) == 5
    assert any("next due" in note for note in found["notes"])


async def test_foreign_things_look_missing(mina, auth, auth_services):
    """Another user gets for every id of mine exactly what a made-up id gets, on every verb."""
    task = await created(mina, BY_HAND)
    run_id = (await mina.post(f"/tasks/{task['id']}/run")).json()["run_id"]
    await auth_services.accounts.create_user("stranger@example.com", "seven green bottles")
    login = {"email": "stranger@example.com", "password": "seven green bottles"}
    tokens = (await auth.post("/login", json=login)).json()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    ids = {"task": (task["id"], "task_" + "0" * 32), "run": (run_id, "run_" + "0" * 32)}
    requests = [
        ("GET", "/tasks/{task}", None),
        ("PUT", "/tasks/{task}", BY_HAND),
        ("DELETE", "/tasks/{task}", None),
        ("POST", "/tasks/{task}/enable", None),
        ("POST", "/tasks/{task}/run", {}),
        ("POST", "/tasks/{task}/plan", {}),
        ("GET", "/tasks/{task}/explain", None),
        ("GET", "/tasks/{task}/versions", None),
        ("POST", "/tasks/{task}/rollback", {"version": 1}),
        ("GET", "/runs/{run}", None),
        ("POST", "/runs/{run}/cancel", None),
        ("POST", "/runs/{run}/replay", {}),
    ]
    for method, path, body in requests:
        seen = []
        for which in (0, 1):
            place = path.format(task=ids["task"][which], run=ids["run"][which])
            answer = await mina.request(method, place, json=body, headers=headers)
            problem = answer.json()
            own = {"x-request-id"}
            rest = sorted((name, value) for name, value in answer.headers.items() if name not in own)
            seen.append((answer.status_code, rest, {**problem, "instance": "", "request_id": ""}))
        assert seen[0] == seen[1], path
        assert seen[0][0] == 404, path
    assert (await mina.get("/tasks", headers=headers)).json()["items"] == []
    assert (await mina.get("/tasks/not-an-id")).status_code == 404


async def test_nobody_gets_in_without_a_token(api):
    """Every call without a token is 401, whatever its body."""
    for method, path in [("GET", "/tasks"), ("POST", "/tasks"), ("GET", "/modules"), ("PUT", "/admin/modules/x")]:
        assert (await api.request(method, path, content=b"nonsense")).status_code == 401
