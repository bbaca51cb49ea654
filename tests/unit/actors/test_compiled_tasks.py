"""Task versions made ready for runs: what a run uses follows from when it was fired."""

from uuid import UUID

import pytest

from actors.compiled_tasks import CompiledTasks
from taske_ray.clock import new_id
from taske_ray.core.ids import made_at_s
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.runs import TaskText
from tests.unit.actors.one_run import CAPABILITIES

TASK = new_id()


class Capabilities:
    """A version 2 was published at second 1,000."""

    async def for_run(self, _name, version, *, born_at_s):
        """By the run's birth."""
        return version if born_at_s < 1000 else 2

    async def pinned(self, name, _version):
        """Any version."""
        return CAPABILITIES[name]


class Store:
    """One task, whose reads are counted."""

    reads = 0

    async def task(self, _task_id, _version):
        """Its text."""
        self.reads += 1
        actions = [{"capability": "http.request"}, {"capability": "http.request@1"}]
        return TaskText(TASK, 1, new_id(), "t", {"actions": actions}, {"http.request": 1})


def run(fired_at_s):
    """A run of the task that was fired then."""
    run_id = UUID(int=(new_id().int & (1 << 80) - 1) | fired_at_s * 1000 << 80)
    assert made_at_s(run_id) == fired_at_s
    return AssignedRun(run_id, new_id(), 1, new_id(), TASK, 1, None, {})


@pytest.fixture
def tasks():
    return CompiledTasks(Capabilities())


async def test_a_run_keeps_the_versions_of_when_it_was_fired(tasks):
    """Taken up again after a compatible change it uses what it used before; one that was fired later, the new one."""
    store = Store()
    old, new = run(900), run(1100)
    versions = [[action.version for action in (await tasks.get(store, one)).actions] for one in (old, new, old)]
    assert versions == [[1, 1], [2, 1], [1, 1]]


async def test_what_was_made_ready_is_kept(tasks):
    """Runs from before and after a change take turns: the text is read once, and each is compiled once."""
    store = Store()
    made = [await tasks.get(store, run(at)) for at in (900, 1100, 901, 1101)]
    assert (made[0] is made[2], made[1] is made[3], made[0] is made[1]) == (True, True, False)
    assert store.reads == 1
