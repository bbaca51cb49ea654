"""Gathering: no delay when idle, batches under load, bounded, and nobody is left behind."""

import asyncio

import pytest

from taske_ray.gather import Gatherer
from taske_ray.testing import eventually


class Worker:
    """Works batches when it is let."""

    def __init__(self):
        self.batches = []
        self.gate = asyncio.Event()
        self.error = None

    async def __call__(self, batch):
        """Take a batch."""
        self.batches.append(batch)
        await self.gate.wait()
        if self.error:
            raise self.error


@pytest.fixture
async def worker():
    return Worker()


async def test_an_idle_gatherer_passes_on_at_once(worker):
    """The first item is worked in the next turn of the loop, alone."""
    gatherer = Gatherer(worker)
    assert gatherer.offer(1)
    await asyncio.sleep(0)
    assert worker.batches == [[1]]
    worker.gate.set()
    await gatherer.close()


async def test_what_gathers_during_a_batch_goes_next_in_order(worker):
    """Items that come while a batch is in flight form the next one, in order, `most` at a time."""
    gatherer = Gatherer(worker, most=3)
    gatherer.offer(0)
    await asyncio.sleep(0)
    for item in range(1, 6):
        gatherer.offer(item)
    assert len(gatherer) == 5
    worker.gate.set()
    await gatherer.close()
    assert worker.batches == [[0], [1, 2, 3], [4, 5]]
    assert len(gatherer) == 0


async def test_portions_while_several_have_items(worker):
    """What one user alone has waiting goes together; with another's among it, in portions, by turns."""
    gatherer = Gatherer(worker, turn=lambda item: item[0], most=4, portion=2)
    for item in ("a0", "a1", "a2", "a3", "a4", "a5"):
        gatherer.offer(item)
    await asyncio.sleep(0)
    gatherer.offer("b0")
    worker.gate.set()
    await gatherer.close()
    assert worker.batches == [["a0", "a1", "a2", "a3"], ["a4", "b0"], ["a5"]]


async def test_a_full_gatherer_takes_nothing(worker):
    """Beyond the limit an item is refused and never worked; when there is room again, items are taken."""
    gatherer = Gatherer(worker, most=1, limit=2)
    gatherer.offer("in flight")
    await asyncio.sleep(0)
    assert [gatherer.offer(item) for item in "abc"] == [True, True, False]
    worker.gate.set()
    await eventually(lambda: not len(gatherer))
    assert gatherer.offer("d")
    await gatherer.close()
    assert worker.batches == [["in flight"], ["a"], ["b"], ["d"]]


async def test_those_who_have_items_take_turns(worker):
    """One item of somebody passes by the many of another, whose own order stays."""
    gatherer = Gatherer(worker, turn=lambda item: item[0], most=3)
    for item in ("a0", "a1", "a2", "a3", "a4", "b0", "c0", "b1"):
        gatherer.offer(item)
    await asyncio.sleep(0)
    worker.gate.set()
    await gatherer.close()
    assert worker.batches == [["a0", "b0", "c0"], ["a1", "b1", "a2"], ["a3", "a4"]]


async def test_a_failed_batch_does_not_end_the_next(worker):
    """An exception of `work` gives one batch up; what comes later is worked."""
    worker.error = RuntimeError("no")
    worker.gate.set()
    gatherer = Gatherer(worker)
    gatherer.offer(1)
    await eventually(lambda: worker.batches == [[1]])
    gatherer.offer(2)
    await gatherer.close()
    assert worker.batches == [[1], [2]]


async def test_lanes_work_side_by_side(worker):
    """With two lanes a second batch begins while the first is in flight; a third waits."""
    gatherer = Gatherer(worker, most=1, lanes=2)
    for item in "abc":
        gatherer.offer(item)
    await eventually(lambda: len(worker.batches) == 2)
    assert len(gatherer) == 1
    worker.gate.set()
    await gatherer.close()
    assert worker.batches == [["a"], ["b"], ["c"]]


async def test_closing_works_everything_and_takes_nothing_more(worker):
    """`close` returns when all that was taken is worked; later items are refused."""
    gatherer = Gatherer(worker)
    gatherer.offer(1)
    closing = asyncio.create_task(gatherer.close())
    await eventually(lambda: worker.batches)
    assert not gatherer.offer(2)
    assert not closing.done()
    worker.gate.set()
    await closing
    assert worker.batches == [[1]]


async def test_an_item_offered_by_the_last_of_a_batch_is_not_forgotten():
    """An item that comes in the very moment a lane ends is worked."""
    seen = []

    async def work(batch):
        seen.extend(batch)
        if batch[0] < 50:
            asyncio.get_running_loop().call_soon(gatherer.offer, batch[0] + 1)

    gatherer = Gatherer(work)
    gatherer.offer(0)
    await eventually(lambda: len(seen) == 51)
    assert seen == list(range(51))
