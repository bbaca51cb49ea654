"""Backfill over HTTP: one run for each past instant that has none, however often it is asked for."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.integration
ACTIONS = [{"capability": "http.request", "params": {"url": "https://example.com/"}}]


async def scheduled(mina, capability="system.schedule.cron", **params):
    params = params or {"cron": "0 * * * *", "timezone": "UTC"}
    document = {"name": "S", "trigger": {"capability": capability, "params": params}, "actions": ACTIONS}
    answer = await mina.post("/tasks", json=document | {"enabled": False})
    assert answer.status_code == 201, answer.json()
    return answer.json()["id"]


def hours(first, last):
    return {"from": f"2027-03-01T{first:02}:00:00Z", "until": f"2027-03-01T{last:02}:00:00Z"}


@pytest.fixture
def yesterday():
    """A range of six whole hours of yesterday, both ends instants of an hourly schedule."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    return {"from": (midnight + timedelta(hours=3)).isoformat(), "until": (midnight + timedelta(hours=8)).isoformat()}


async def test_each_instant_becomes_one_run(mina, yesterday):
    """Both ends are included; the runs say which instant they stand for, oldest first; a disabled task may, too."""
    task_id = await scheduled(mina)
    answer = await mina.post(f"/tasks/{task_id}/backfill", json=yesterday)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert (made["runs"], made["skipped"]) == (6, 0)
    runs = [(await mina.get(f"/runs/{run_id}")).json() for run_id in made["run_ids"]]
    instants = [datetime.fromisoformat(run["trigger_output"]["scheduled_at"]) for run in runs]
    first = datetime.fromisoformat(yesterday["from"])
    assert instants == [first + timedelta(hours=n) for n in range(6)]
    assert {run["trigger_output"]["missed_count"] for run in runs} == {0}


async def test_instants_with_a_run_are_skipped(mina, yesterday, database):
    """Asked for again, at once or after the ledger forgot, nothing runs a second time; a wider range fills the rest."""
    task_id = await scheduled(mina)
    twice = await asyncio.gather(*(mina.post(f"/tasks/{task_id}/backfill", json=yesterday) for _ in range(2)))
    assert sum(answer.json()["runs"] for answer in twice) == 6
    assert sum(answer.json()["skipped"] for answer in twice) == 6
    await database.fetch("DELETE FROM events")
    again = await mina.post(f"/tasks/{task_id}/backfill", json=yesterday)
    assert (again.json()["runs"], again.json()["skipped"]) == (0, 6)
    until = (datetime.fromisoformat(yesterday["until"]) + timedelta(hours=2)).isoformat()
    wider = await mina.post(f"/tasks/{task_id}/backfill", json=yesterday | {"until": until})
    assert (wider.json()["runs"], wider.json()["skipped"]) == (2, 6)
    assert len((await mina.get("/runs", params={"task_id": task_id})).json()["items"]) == 8


async def test_what_is_still_to_come_is_left_to_the_schedule(mina):
    """A range that reaches into the future ends now."""
    task_id = await scheduled(mina)
    now = datetime.now(UTC)
    span = {"from": (now - timedelta(hours=2)).isoformat(), "until": (now + timedelta(days=2)).isoformat()}
    assert (await mina.post(f"/tasks/{task_id}/backfill", json=span)).json()["runs"] == 2


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"from": "2026-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "/until", "too_many_instants"),
        ({"from": "2026-03-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "/until", "empty_range"),
    ],
)
async def test_ranges_that_are_refused(mina, body, pointer, code):
    """More than a thousand instants and a range that ends before it begins are 422 at `/until`, and nothing runs."""
    task_id = await scheduled(mina)
    answer = await mina.post(f"/tasks/{task_id}/backfill", json=body)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]
    assert (await mina.get("/runs", params={"task_id": task_id})).json()["items"] == []


@pytest.mark.parametrize("body", [{}, {"from": "yesterday", "until": "2026-01-01T00:00:00Z"}, hours(1, 2) | {"x": 1}])
async def test_bodies_that_are_refused(mina, body):
    """A missing, unreadable or unknown field is 422 with a pointer."""
    answer = await mina.post(f"/tasks/{await scheduled(mina)}/backfill", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_only_schedules_can_be_backfilled(mina):
    """A task that is started by hand has no instants: 422."""
    document = {"name": "M", "trigger": {"capability": "system.manual"}, "actions": ACTIONS}
    task = (await mina.post("/tasks", json=document)).json()
    answer = await mina.post(f"/tasks/{task['id']}/backfill", json=hours(1, 2))
    assert answer.status_code == 422


async def test_an_interval_has_instants_from_its_enabling_on(mina):
    """An interval that was never enabled has none to make up for."""
    task_id = await scheduled(mina, "system.schedule.interval", every="PT1H")
    answer = await mina.post(f"/tasks/{task_id}/backfill", json=hours(1, 2))
    assert answer.json() == {"runs": 0, "skipped": 0, "run_ids": []}


async def test_somebody_elses_task_looks_missing(mina):
    """A made-up id is 404."""
    answer = await mina.post(f"/tasks/task_{'1' * 32}/backfill", json=hours(1, 2))
    assert answer.status_code == 404
