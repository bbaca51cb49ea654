"""The audit trail: what is in it, who reads it, and that nobody changes it."""

from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.core.ids import parse_id
from taske_ray.db.audit import Entry
from taske_ray.services import trail as trail_module
from taske_ray.services.trail import Trail
from tests.cluster.documents import weather
from tests.facts import until
from tests.integration.api.conftest import log_in
from tests.integration.api.test_hooks_api import SIGNED, hook

pytestmark = pytest.mark.integration
TASK = {
    "name": "Watched",
    "trigger": {"capability": "system.webhook"},
    "actions": [{"capability": "http.request", "params": {"url": "https://example.com/"}}],
}
SECRET = "s3cret-of-the-hook"


async def acts(auth, person, **only):
    answer = await auth.get("/audit", headers=person["headers"], params=only)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_the_life_of_a_task_is_on_record(mina, auth, person, database):
    """Create, change, switch, roll back, replay, resolve and delete: each is one entry, with session and address."""
    task = (await mina.post("/tasks", json=TASK)).json()
    place = f"/tasks/{task['id']}"
    await mina.put(place, json=TASK | {"name": "Renamed"})
    await mina.put(place, json=TASK | {"name": "Renamed"})  # the same again changes nothing
    await mina.post(f"{place}/disable")
    await mina.post(f"{place}/enable")
    await mina.post(f"{place}/rollback", json={"version": 1})
    run_id = (await mina.post(f"{place}/run")).json()["run_id"]
    replayed = await mina.post(f"/runs/{run_id}/replay", json={})
    await park(database, run_id)
    resolved = await mina.post(f"/runs/{run_id}/resolve", json={"decision": "fail"})
    assert (replayed.status_code, resolved.status_code) == (202, 202), resolved.text
    await mina.delete(place)
    found = await acts(auth, person, action="task")
    assert [(each["action"], each["object"]) for each in reversed(found)] == [
        (f"task.{verb}", task["id"]) for verb in ("create", "change", "disable", "enable", "change", "delete")
    ]
    runs = await acts(auth, person, action="run")
    assert [(each["action"], each["object"]) for each in reversed(runs)] == [
        ("run.replay", run_id),
        ("run.resolve", run_id),
    ]
    assert {each["address"] for each in found + runs} == {"127.0.0.1"}
    [session] = {each["session_id"] for each in found + runs}
    begun = await acts(auth, person, action="session.begin")
    assert session in {each["session_id"] for each in begun}


async def park(database, run_id):
    run = {"id": parse_id("run", run_id)}
    await database.fetch("UPDATE runs SET status = 'needs_attention' WHERE id = %(id)s", run)
    await database.fetch(
        "INSERT INTO steps (run_id, step, key, capability, status) VALUES (%(id)s, 1, 'a', 'http.request', 'unknown')",
        run,
    )


async def test_what_was_refused_is_not_said_to_be_done(mina, auth, person):
    """A stale change, an impossible task and a foreign id leave no entry."""
    task = (await mina.post("/tasks", json=TASK)).json()
    await mina.put(f"/tasks/{task['id']}", json=TASK | {"name": "x"}, headers={"if-match": '"7"'})
    await mina.delete(f"/tasks/{task['id']}", headers={"if-match": '"7"'})
    await mina.post("/tasks", json=TASK | {"trigger": {"capability": "nobody.knows"}})
    await mina.delete("/tasks/task_" + "0" * 32)
    assert [each["action"] for each in await acts(auth, person, action="task")] == ["task.create"]


async def test_connections_and_modules_are_on_record(mina, auth, auth_services, person):
    """Create, change and delete of a connection; an administrator's change of the catalog; never a secret."""
    body = {"module": "slack", "auth": "bot_token", "name": "x", "fields": {"token": "xoxb-very-secret-token"}}
    made = (await mina.post("/connections", json=body)).json()
    await mina.patch(f"/connections/{made['id']}", json={"name": "y"})
    await mina.delete(f"/connections/{made['id']}")
    found = await acts(auth, person, action="connection")
    assert [each["action"].partition(".")[2] for each in reversed(found)] == ["create", "change", "delete"]
    assert {each["object"] for each in found} == {made["id"]}
    assert "very-secret" not in str(found)
    boss = await log_in(auth, auth_services, admin=True)
    document = weather("http://weather.example")
    saved = await mina.put("/admin/modules/weather", json=document, headers=boss["headers"])
    assert saved.status_code == 200, saved.text
    assert (await mina.delete("/admin/modules/weather", headers=boss["headers"])).status_code == 204
    done = await acts(auth, boss, action="module")
    assert [(each["action"], each["object"]) for each in reversed(done)] == [
        ("module.change", "weather"),
        ("module.retire", "weather"),
    ]
    assert {each["address"] for each in done} == {"127.0.0.1"}


async def test_everybody_reads_their_own_and_administrators_all(mina, auth, auth_services, person):
    """A user's list has no foreign act, whatever is asked for; an administrator filters by user; others get 403."""
    other, boss = await log_in(auth, auth_services), await log_in(auth, auth_services, admin=True)
    task = (await mina.post("/tasks", json=TASK)).json()
    mine = (await auth.get("/me", headers=person["headers"])).json()["id"]
    assert task["id"] not in str(await acts(auth, other))
    assert {each["user_id"] for each in await acts(auth, person)} == {mine}
    for headers, status in ((other["headers"], 403), ({"authorization": "Bearer x"}, 401), (boss["headers"], 200)):
        answer = await mina.get("/admin/audit", headers=headers, params={"user_id": mine, "action": "task"})
        assert answer.status_code == status
    assert [each["object"] for each in answer.json()["items"]] == [task["id"]]
    every = (await mina.get("/admin/audit", headers=boss["headers"], params={"limit": 200})).json()["items"]
    assert len({each["user_id"] for each in every}) >= 3
    wrong = await mina.get("/admin/audit", headers=boss["headers"], params={"user_id": "task_1"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "?user_id")


async def test_pages_and_filters(auth, person, trail):
    """Pages cover the list once, newest first; action, result and time narrow it; nonsense is refused."""
    user = parse_id("user", (await auth.get("/me", headers=person["headers"])).json()["id"])
    for number in range(25):
        result = "refused" if number % 5 == 0 else "ok"
        trail.note(Entry(trail_module.new_id(), f"probe.n{'' if number else 'one'}", user, str(number), result))
    await trail.close()
    seen, cursor = [], None
    while True:
        params = {"action": "probe", "limit": 10} | ({"cursor": cursor} if cursor else {})
        page = (await auth.get("/audit", headers=person["headers"], params=params)).json()
        seen += [int(each["object"]) for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(reversed(range(25)))
    assert len(await acts(auth, person, action="probe", result="refused")) == 5
    assert [each["object"] for each in await acts(auth, person, action="probe.none")] == ["0"]
    assert await acts(auth, person, action="prob") == []
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert await acts(auth, person, since=soon) == []
    assert len(await acts(auth, person, action="probe", until=soon, limit=200)) == 25
    for wrong in ({"action": "%"}, {"result": "x"}, {"since": "yesterday"}, {"action": "a\0b"}):
        assert (await auth.get("/audit", headers=person["headers"], params=wrong)).status_code == 422


async def test_a_flood_of_false_signatures_is_few_entries(mina, auth, person, hooks, trail):
    """The first is on record at once, the rest of the minute as one entry with their number; they are the owner's."""
    task, place = await hook(mina, verify=SIGNED | {"secret": SECRET})
    answers = [(await hooks.post(place, json={}, headers={"x-signature": "00" * 32})).status_code for _ in range(20)]
    assert answers == [401] * 20
    found = await until(lambda: acts(auth, person, action="hook.signature"), 5, "an entry")
    assert len(found) == 1
    await trail.close()
    last, first = await acts(auth, person, action="hook.signature")
    assert (first["object"], first["result"]) == (task["id"], "refused")
    assert last["detail"]["count"] == 19
    assert SECRET not in str([first, last])


async def test_no_role_changes_what_is_written(api_database, auth_database, engine_database):
    """Whoever works for users or runs may add entries and read their own; nobody may change or remove one."""
    for database in (api_database, auth_database, engine_database):
        for statement in ("UPDATE audit SET result = 'ok'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(Exception, match="permission denied"):
                await database.fetch(statement)


async def test_entries_wait_for_a_database_that_is_away(engine_database, monkeypatch):
    """What cannot be written at once is tried again, and nothing is written twice."""
    from taske_ray.db import audit
    from taske_ray.errors import Unavailable

    monkeypatch.setattr(trail_module, "_pause_s", 0.01)
    tries, written = [], audit.record_acts

    async def sometimes(database, entries, **more):
        tries.append(len(entries))
        if len(tries) < 3:
            raise Unavailable
        await written(database, entries, **more)

    monkeypatch.setattr(trail_module.audit, "record_acts", sometimes)
    found = Trail(engine_database)
    found.note(Entry(trail_module.new_id(), "probe.away", None))
    await found.close()
    assert tries == [1, 1, 1]
