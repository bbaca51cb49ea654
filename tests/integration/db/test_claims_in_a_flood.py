"""Claims while many users have due runs: everybody's turn comes, and no claim visits everybody (durability, 12.1)."""

import json
from collections import Counter
from uuid import UUID

import pytest

from taske_ray.db import queries

pytestmark = pytest.mark.integration
MOST = 50


async def flood(world, users, each):
    """So many due runs of each of so many users."""
    await world.rows(
        "INSERT INTO users (id, email) SELECT uuidv7(), 'user ' || n FROM generate_series(1, %(n)s) AS n", n=users
    )
    await world.rows(
        "INSERT INTO runs (id, user_id, task_id, task_version, fire_key, status, available_at, input)"
        " SELECT uuidv7(), u.id, u.id, 1, 'k' || n, 'queued', clock_timestamp() - interval '1 minute', '{}'"
        " FROM users u, generate_series(1, %(n)s) AS n",
        n=each,
    )
    await world.rows("ANALYZE runs")


async def test_users_take_turns_in_rounds(world):
    """Of 600 users with two runs each, all have had their first before anybody has the second."""
    await flood(world, users=600, each=2)
    store, turns = world.store(await world.host(capacity=2_000)), Counter()
    for _ in range(12):
        claimed = await store.claim(most=MOST)
        assert len(claimed) == MOST
        turns.update(run.user_id for run in claimed)
    assert (len(turns), set(turns.values())) == (600, {1})
    while claimed := await store.claim(most=MOST):
        turns.update(run.user_id for run in claimed)
    assert (len(turns), set(turns.values())) == (600, {2})


async def test_users_at_their_share_hold_up_nobody(world):
    """Those who may have no more at first are passed over: behind them one is found who may, in one claim."""
    await flood(world, users=200, each=30)
    last = (await world.rows("SELECT id FROM users ORDER BY id DESC LIMIT 1"))[0]["id"]
    host = await world.host(capacity=20)
    await world.rows(
        "UPDATE runs SET status = 'running', owner = %(host)s WHERE user_id <> %(last)s AND id IN"
        " (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id) AS n FROM runs) r"
        " WHERE n <= 10)",
        host=host,
        last=last,
    )
    claimed = await world.store(host).claim(most=MOST)
    assert {run.user_id for run in claimed} == {last}
    assert len(claimed) == 10


async def test_a_claim_visits_no_more_users_than_it_needs(world):
    """With 2,000 users waiting, a claim of 50 looks at a hundred of them and at few of each one's runs."""
    await flood(world, users=2_000, each=5)
    values = {"owner": await world.host(), "share": None, "most": MOST, "after": UUID(int=0)}
    rows = await world.rows("EXPLAIN (ANALYZE, FORMAT JSON) " + queries.claim_runs, **values)
    plan = rows[0]["QUERY PLAN"]
    read = dict(_read(json.loads(plan) if isinstance(plan, str) else plan))
    assert 2 * MOST <= read["CTE queued"] <= 2 * MOST + 1
    assert read["CTE candidate"] <= 6 * MOST


def _read(plan):
    """How many rows each named part of a plan gave."""
    if isinstance(plan, list):
        for each in plan:
            yield from _read(each)
    elif isinstance(plan, dict):
        if "Subplan Name" in plan and "Actual Rows" in plan:
            yield plan["Subplan Name"], plan["Actual Rows"]
        for value in plan.values():
            yield from _read(value)


async def asleep(world, users):
    """A run of each of so many users, for whom it is night."""
    await world.rows(
        "INSERT INTO users (id, email) SELECT uuidv7(), 'sleeper ' || n FROM generate_series(1, %(n)s) AS n", n=users
    )
    await world.rows(
        "INSERT INTO runs (id, user_id, task_id, task_version, fire_key, status, available_at, input)"
        " SELECT uuidv7(), u.id, u.id, 1, 'night', 'waiting', clock_timestamp() + interval '1 day', '{}'"
        " FROM users u WHERE u.email LIKE 'sleeper %%'"
    )


async def test_one_users_flood_among_sleepers(world):
    """Beside 5,000 users whose runs sleep, a claim passes a thousand of them, and takes of the one who has due runs."""
    await flood(world, users=1, each=600)
    await asleep(world, users=5_000)
    await world.rows("ANALYZE runs")
    host = await world.host(capacity=2_000)
    values = {"owner": host, "share": None, "most": MOST, "after": UUID(int=0)}
    rows = await world.rows("EXPLAIN (ANALYZE, FORMAT JSON) " + queries.claim_runs, **values)
    plan = rows[0]["QUERY PLAN"]
    read = dict(_read(json.loads(plan) if isinstance(plan, str) else plan))
    assert read["CTE queued"] <= 1_001
    assert len(await world.store(host).claim(most=MOST)) == MOST


async def test_whoever_stands_behind_sleepers_is_found(world):
    """A flood is at its share; another's newer run behind 3,000 sleepers is taken within a round of claims."""
    await flood(world, users=1, each=600)
    await asleep(world, users=3_000)
    await world.rows("INSERT INTO users (id, email) VALUES (uuidv7(), 'last')")
    await world.rows(
        "INSERT INTO runs (id, user_id, task_id, task_version, fire_key, status, available_at, input)"
        " SELECT uuidv7(), id, id, 1, 'new', 'queued', clock_timestamp(), '{}' FROM users WHERE email = 'last'"
    )
    await world.rows("ANALYZE runs")
    store = world.store(await world.host(capacity=20))
    last = (await world.rows("SELECT id FROM users WHERE email = 'last'"))[0]["id"]
    taken = [run.user_id for _ in range(6) for run in await store.claim(most=MOST)]
    assert last in taken
    assert taken.count(last) == 1
