"""Limits that are kept in the transaction that inserts (security, 8.9)."""

import asyncio

import pytest

from taske_ray.clock import new_id
from taske_ray.db.audit import Entry
from taske_ray.db.tasks import TaskRows, TaskText, TriggerRow
from taske_ray.errors import Unavailable

pytestmark = pytest.mark.integration


async def test_a_hundred_creates_at_the_limit_less_one_make_one(world, api_database):
    """Of a hundred tasks created at once by a user who may have one more, one is made; others go on."""
    rows, text = TaskRows(api_database), TaskText("t", True, "allow", {}, {}, TriggerRow("manual", "x", 1, None, {}))

    async def create(owner):
        try:
            ids = {"task_id": new_id(), "trigger_id": new_id(), "entry": Entry(new_id(), "task.create", owner)}
            return await rows.create(owner=owner, task=text, limit=5, **ids)
        except Unavailable:  # waited too long for a connection: nothing was made
            return False

    owner, other = await world.user(), await world.user()
    for _ in range(4):
        assert await create(owner)
    made = await asyncio.gather(*(create(owner) for _ in range(100)), *(create(other) for _ in range(3)))
    assert sum(made[:100]) == 1
    assert await world.value("SELECT count(*) FROM tasks WHERE user_id = %(id)s", id=owner) == 5
    assert await world.value("SELECT count(*) FROM tasks WHERE user_id = %(id)s", id=other) == sum(made[100:]) == 3
