"""`respond: result`: a delivery's answer is its run's if that is there in time; who waits in vain loses nothing."""

import asyncio

import psycopg
import pytest

from taske_ray.core.ids import format_id, parse_id
from taske_ray.db import queries
from taske_ray.errors import Unavailable
from taske_ray.services import deliveries
from tests.facts import until

pytestmark = pytest.mark.integration
ID = {"webhook-id": "evt-1"}


async def hook(mina):
    """A task whose webhook answers with the result of its run, and the path of its hook."""
    action = {"capability": "http.request", "params": {"url": "https://example.com/"}}
    trigger = {"capability": "system.webhook", "params": {"respond": "result"}}
    task = (await mina.post("/tasks", json={"name": "Hook", "trigger": trigger, "actions": [action]})).json()
    return task, "/" + task["trigger"]["hook_url"].rpartition("/")[2]


async def first_run(mina, task):
    """The id of a task's only run, once it is there."""

    async def runs():
        return (await mina.get("/runs", params={"task_id": task["id"]})).json()["items"]

    [run] = await until(runs, 10, "a run")
    return parse_id("run", run["id"])


async def succeed(database, run_id):
    """End a run with one step and its output; may be called again."""
    await database.fetch(
        "INSERT INTO steps (run_id, step, key, capability, status, output)"
        " VALUES (%(id)s, 1, 'action1', 'http.request', 'succeeded', '{\"x\": 1}') ON CONFLICT DO NOTHING",
        {"id": run_id},
    )
    await database.fetch("UPDATE runs SET status = 'succeeded', finished_at = now() WHERE id = %(id)s", {"id": run_id})
    return True


async def test_respond_result_waits_for_the_run(mina, hooks, database):
    """With `respond: result` the answer is the run's last output, as soon as the run has one."""
    task, place = await hook(mina)
    waiting = asyncio.create_task(hooks.post(place, json={}))
    run_id = await first_run(mina, task)
    await succeed(database, run_id)
    answer = await waiting
    assert (answer.status_code, answer.json()) == (200, {"x": 1})


async def test_a_failed_result_is_a_problem(mina, hooks, database):
    """With `respond: result` a run that fails is 502 problem+json with the run and its error."""
    task, place = await hook(mina)
    waiting = asyncio.create_task(hooks.post(place, json={}))
    run_id = await first_run(mina, task)
    await database.fetch(
        "UPDATE runs SET status = 'failed', finished_at = now(), error = %(error)s::jsonb WHERE id = %(id)s",
        {"id": run_id, "error": '{"class": "fatal", "code": "http_error", "message": "The service said no"}'},
    )
    answer = await waiting
    assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["detail"], problem["instance"]) == (
        "run_failed",
        "The service said no",
        "/hooks/…",
    )
    assert (problem["run_id"], problem["run_status"]) == (format_id("run", run_id), "failed")
    assert problem["error"]["code"] == "http_error"
    assert problem["request_id"]


async def test_a_run_that_takes_longer_is_answered_with_its_id(mina, hooks, database, monkeypatch):
    """When patience ends the answer is 202 with the run; the same delivery again, later, gets its result."""
    monkeypatch.setattr(deliveries, "_patience_s", 0.1)
    task, place = await hook(mina)
    answer = await hooks.post(place, json={}, headers=ID)
    run_id = await first_run(mina, task)
    assert (answer.status_code, answer.json()) == (202, {"run_id": format_id("run", run_id)})
    monkeypatch.undo()
    await succeed(database, run_id)
    again = await hooks.post(place, json={}, headers=ID)
    assert (again.status_code, again.json()) == (200, {"x": 1})


async def test_a_run_that_needs_a_decision_is_no_result(mina, hooks, database):
    """A run that waits for its owner is answered at once, with 202 and the run: nobody knows how long that takes."""
    task, place = await hook(mina)
    waiting = asyncio.create_task(hooks.post(place, json={}))
    run_id = await first_run(mina, task)
    await database.fetch("UPDATE runs SET status = 'needs_attention' WHERE id = %(id)s", {"id": run_id})
    answer = await asyncio.wait_for(waiting, 15)  # and not when patience ends
    assert (answer.status_code, answer.json()) == (202, {"run_id": format_id("run", run_id)})


async def test_who_hangs_up_loses_nothing(mina, hooks, database):
    """The run of a sender that went away goes on, and the same delivery again gets its result."""
    task, place = await hook(mina)
    waiting = asyncio.create_task(hooks.post(place, json={}, headers=ID))
    run_id = await first_run(mina, task)
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
    assert (await mina.get(f"/runs/{format_id('run', run_id)}")).json()["status"] == "queued"
    again = asyncio.create_task(hooks.post(place, json={}, headers=ID))
    await succeed(database, run_id)
    assert ((await again).status_code, again.result().json()) == (200, {"x": 1})
    assert await first_run(mina, task) == run_id


@pytest.fixture
def power(database_url, postgres_server):
    """Switches the database off, for everybody, and on again."""
    name = database_url.rpartition("/")[2].partition("?")[0]

    def switch(on):
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {on}")
            if not on:
                admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    yield switch
    switch(on=True)


@pytest.fixture
def vain_looks(engine_database, monkeypatch):
    """The looks for a run that found no database."""
    found, fetch = [], engine_database.fetch

    async def watched(statement, *given, **named):
        try:
            return await fetch(statement, *given, **named)
        except Unavailable:
            if statement is queries.read_run:
                found.append(statement)
            raise

    monkeypatch.setattr(engine_database, "fetch", watched)
    return found


async def test_a_database_that_goes_away_meanwhile_is_waited_for(mina, hooks, database, vain_looks, power):
    """Who waits for a result gets it when the database is back, in time, and not a word of its absence."""
    task, place = await hook(mina)
    waiting = asyncio.create_task(hooks.post(place, json={}))
    run_id = await first_run(mina, task)
    power(on=False)
    await until(lambda: vain_looks, 10, "a look in vain")
    power(on=True)
    await until(lambda: succeed(database, run_id), 20, "the database to be back", despite=(Unavailable,))
    answer = await waiting
    assert (answer.status_code, answer.json()) == (200, {"x": 1})
