"""`/hooks` when the database is away, the queue full, or a sender too fast: refused in time, never a false 2xx."""

import asyncio
import dataclasses
import time

import httpx
import psycopg
import pytest

from deployments.hooks_api.app import create_app
from taske_ray import bootstrap
from taske_ray.bootstrap import deliveries as delivery_service
from taske_ray.clock import SystemClock
from taske_ray.db.database import Database
from taske_ray.db.fires import FireStore
from taske_ray.limits import Limits, profiles
from taske_ray.services import deliveries as deliveries_module
from taske_ray.services import known_hooks
from taske_ray.services.trail import Trail

pytestmark = pytest.mark.integration
ACTIONS = [{"capability": "http.request", "params": {"url": "https://example.com/"}}]


async def place_of(mina):
    document = {"name": "Hook", "trigger": {"capability": "system.webhook"}, "actions": ACTIONS}
    task = (await mina.post("/tasks", json=document)).json()
    return "/" + task["trigger"]["hook_url"].rpartition("/")[2]


def client_of(settings, database, keyring, store, hosts, **more):
    service = delivery_service(settings, database, keyring, hosts, store, Trail(database))
    app = create_app(service, clock=SystemClock(), url="http://taske.test", **more)
    transport = httpx.ASGITransport(app=app, root_path="/hooks")
    return httpx.AsyncClient(transport=transport, base_url="http://taske.test/hooks")


async def test_a_database_that_is_gone(settings, keyring, hosts, free_tcp_port):
    """Nobody listens at the database's address: 503 with Retry-After within five seconds, for every one of many."""
    database = await Database(f"postgresql://x@127.0.0.1:{free_tcp_port}/x").open()
    begun = time.monotonic()
    async with client_of(settings, database, keyring, FireStore(database), hosts) as client:
        answers = await asyncio.gather(*(client.post("/" + "a" * 43, json={}) for _ in range(20)))
    assert time.monotonic() - begun < 5
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    await database.close()


async def test_a_database_that_hangs(mina, hooks, database_url, monkeypatch):
    """A commit that does not come is 503 in time; the same delivery again, once it answers, is one run."""
    monkeypatch.setattr(deliveries_module, "_answered_within_s", 0.4)
    place = await place_of(mina)
    assert (await hooks.post(place, json={"warm": True})).status_code == 202
    headers = {"webhook-id": "evt-hang"}
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        begun = time.monotonic()
        answers = await asyncio.gather(*(hooks.post(place, json={"n": 1}, headers=headers) for _ in range(5)))
        assert time.monotonic() - begun < 2
        assert [answer.status_code for answer in answers] == [503] * 5
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    monkeypatch.undo()
    again = [await hooks.post(place, json={"n": 1}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in again] == [202, 202]
    assert len({answer.json()["run_id"] for answer in again}) == 1
    with psycopg.connect(database_url) as found:
        count = found.execute("SELECT count(*) FROM runs WHERE fire_key = 'evt-hang'").fetchone()
    assert count == (1,)


async def test_many_deliveries_at_once_look_their_hook_up_once(mina, hooks, monkeypatch):
    """A hook that nobody remembers costs one look, not one for each of a hundred that come meanwhile."""
    looks, find = [], known_hooks.find_hook

    async def counted(database, *, digest):
        looks.append(digest)
        return await find(database, digest=digest)

    monkeypatch.setattr(known_hooks, "find_hook", counted)
    place = await place_of(mina)
    answers = await asyncio.gather(*(hooks.post(place, json={"n": n}) for n in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(looks) == 1


async def test_hooks_take_turns(mina, hooks):
    """A delivery behind three hundred to another hook is answered among the first, and theirs are all accepted."""
    flooded, other = await place_of(mina), await place_of(mina)
    for place in (flooded, other):  # known, so that only the line counts
        assert (await hooks.post(place, json={})).status_code == 202
    answered = []

    async def deliver(place):
        answered.append((place, (await hooks.post(place, json={})).status_code))

    await asyncio.gather(*(deliver(flooded) for _ in range(300)), deliver(other))
    assert {status for _, status in answered} == {202}
    assert answered.index((other, 202)) < 4 * deliveries_module._at_once_shared


async def test_a_full_queue_is_429(mina, settings, database, keyring, hosts):
    """What cannot be kept is not accepted: 429 with Retry-After, and no run more than the limit."""
    place = await place_of(mina)
    store = FireStore(database, limits=Limits(queued_runs=3))
    async with client_of(settings, database, keyring, store, hosts) as client:
        answers = [await client.post(place, json={"n": n}) for n in range(5)]
    await store.close()
    assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 2
    assert answers[-1].json()["code"] == "queue_full"
    assert int(answers[-1].headers["retry-after"]) > 0
    assert len((await mina.get("/runs")).json()["items"]) == 3


async def test_a_body_is_as_long_as_the_service_allows(mina, settings, database, keyring, store, hosts):
    """The operator's bound is the one that counts, whatever Content-Length says."""
    place = await place_of(mina)
    async with client_of(settings, database, keyring, store, hosts, body_bytes=2048) as client:
        answers = [await client.post(place, content=b"x" * size) for size in (2048, 2049)]
    assert [answer.status_code for answer in answers] == [202, 413]
    assert answers[1].json()["code"] == "too_large"


async def test_a_spent_day_is_429(mina, settings, database, keyring, hosts):
    """Beyond the runs of a day deliveries are refused, with a code and a skip; a copy of an accepted one is not."""
    place, limits = await place_of(mina), Limits(runs_per_day=2)
    store = FireStore(database, limits=limits)
    async with client_of(settings, database, keyring, store, hosts) as client:
        answers = [await client.post(place, json={}, headers={"webhook-id": f"day-{n}"}) for n in (1, 2, 3, 1)]
    await store.close()
    assert [answer.status_code for answer in answers] == [202, 202, 429, 202]
    assert answers[2].json()["code"] == "runs_per_day"
    assert int(answers[2].headers["retry-after"]) > 0
    assert answers[3].json() == answers[0].json()
    skips = await database.fetch("SELECT sample FROM skips WHERE reason = 'quota' ORDER BY last_at DESC LIMIT 1")
    assert skips[0]["sample"] == {"detail": "runs_per_day"}


@pytest.mark.parametrize(
    ("depth", "status"),
    [("", 202), ("3", 202), ("4", 409), ("999999999", 409), ("-4", 202), ("9" * 11, 202), ("x", 202)],
)
async def test_runs_that_call_each_other_end(mina, hooks, database, depth, status):
    """A delivery behind which three runs of ours stand is the last; the next one is a skip `loop`."""
    answer = await hooks.post(await place_of(mina), json={}, headers={"taske-depth": depth})
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["code"] == "loop"
        skips = await database.fetch("SELECT count FROM skips WHERE reason = 'loop'")
        assert skips
    else:
        run = await database.fetch("SELECT depth FROM runs ORDER BY created_at DESC LIMIT 1")
        assert run[0]["depth"] == (3 if depth == "3" else 0)


class StoppedClock(SystemClock):
    """For counts that are filled again as time passes."""

    def monotonic(self):
        """Always the same."""
        return 1_000_000.0


async def test_a_flood_in_public_is_429_and_leaves_others_alone(
    mina, settings, database, keyring, store, hosts, monkeypatch
):
    """Over its rate a hook answers 429 with a skip; accepted deliveries are runs, and another hook is unaffected."""
    one, other = await place_of(mina), await place_of(mina)
    public = dataclasses.replace(settings, limits=profiles["public"])
    monkeypatch.setattr(bootstrap, "SystemClock", StoppedClock)
    async with client_of(public, database, keyring, store, hosts) as client:
        answers = await asyncio.gather(*(client.post(one, json={"n": n}) for n in range(150)))
        assert (await client.post(other, json={})).status_code == 202
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {202, 429}
    assert codes.count(202) == public.limits.hook_burst
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "1")
    runs = await database.fetch("SELECT count(*)::int AS n FROM runs WHERE input -> 'body' ? 'n'")
    assert runs[0]["n"] >= codes.count(202)
    skips = await database.fetch("SELECT sum(count)::int AS n FROM skips WHERE sample ->> 'detail' = 'rate'")
    assert skips[0]["n"] == codes.count(429)
