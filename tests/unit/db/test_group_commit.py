"""Group commit: each writer its own result after COMMIT, one bad write alone, a database that is away retried."""

import asyncio

import pytest

from taske_ray.db.group_commit import GroupCommit
from taske_ray.errors import Unavailable
from taske_ray.testing import eventually


class Store:
    """Commits numbers as their doubles; refuses those in `bad`, and everything while it is `away`."""

    def __init__(self, bad=(), away=0):
        self.bad, self.away = set(bad), away
        self.batches = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, writes):
        """Take a batch."""
        self.batches.append(list(writes))
        await self.gate.wait()
        if self.away:
            self.away -= 1
            raise Unavailable
        if self.bad & set(writes):
            raise ValueError(f"bad: {self.bad & set(writes)}")
        return [write * 2 for write in writes]


async def test_each_writer_gets_its_own_result():
    """Writers of one batch get the results of their writes, and what gathers meanwhile goes together."""
    store = Store()
    store.gate.clear()
    group = GroupCommit(store)
    first = asyncio.create_task(group.write(0))
    await eventually(lambda: store.batches == [[0]])
    others = [asyncio.create_task(group.write(n)) for n in range(1, 5)]
    await eventually(lambda: len(group) == 4)
    store.gate.set()
    assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8]
    assert store.batches == [[0], [1, 2, 3, 4]]


async def test_nothing_is_answered_before_the_commit_returned():
    """A writer waits until the batch is committed."""
    store = Store()
    store.gate.clear()
    group = GroupCommit(store)
    writer = asyncio.create_task(group.write(1))
    await eventually(lambda: store.batches)
    assert not writer.done()
    store.gate.set()
    assert await writer == 2


async def test_one_bad_write_fails_alone():
    """A refused batch is retried write by write: only the bad one's writer sees the error."""
    store = Store(bad=[3])
    group = GroupCommit(store)
    answers = await asyncio.gather(*(group.write(n) for n in range(5)), return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, Exception)] == [0, 2, 4, 8]
    assert isinstance(answers[3], ValueError)


async def test_a_database_that_is_away_gets_the_same_batch_again():
    """An unknown outcome is repeated as it was, and the writers notice nothing."""
    store = Store(away=1)
    group = GroupCommit(store, patience_s=5)
    assert await asyncio.gather(group.write(1), group.write(2)) == [2, 4]
    assert store.batches == [[1, 2], [1, 2]]


async def test_patience_ends_for_all_at_once():
    """A database that stays away fails the whole batch as Unavailable, not one writer after another."""
    store = Store(away=100)
    group = GroupCommit(store, patience_s=0)
    answers = await asyncio.gather(*(group.write(n) for n in range(10)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 10
    assert len(store.batches) == 1


async def test_a_database_lost_between_single_retries_is_not_waited_for_by_each():
    """When it goes away while a refused batch is retried write by write, the rest fails together."""

    class Going(Store):
        async def __call__(self, writes):
            answers = await super().__call__(writes)
            self.away = 100  # after the first single write
            return answers

    store = Going(bad=[9])
    group = GroupCommit(store, patience_s=0)
    writes = [0, 1, 2, 3, 9]
    answers = await asyncio.gather(*(group.write(n) for n in writes), return_exceptions=True)
    assert answers[0] == 0
    assert [type(answer) for answer in answers[1:]] == [Unavailable] * 4
    assert store.batches == [writes, [0], [1]]


async def test_a_full_queue_refuses_at_once():
    """Beyond its limit a write is refused as Unavailable without waiting."""
    store = Store()
    store.gate.clear()
    group = GroupCommit(store, limit=2)
    waiting = [asyncio.create_task(group.write(0))]
    await eventually(lambda: store.batches)
    waiting += [asyncio.create_task(group.write(n)) for n in (1, 2)]
    await eventually(lambda: len(group) == 2)
    with pytest.raises(Unavailable):
        await group.write(3)
    store.gate.set()
    assert await asyncio.gather(*waiting) == [0, 2, 4]


async def test_a_writer_that_gives_up_harms_nobody():
    """A cancelled writer's write is left out if it has not begun; if it has, the others still get their answers."""
    store = Store()
    store.gate.clear()
    group = GroupCommit(store)
    begun = [asyncio.create_task(group.write(0))]
    await eventually(lambda: store.batches)
    begun += [asyncio.create_task(group.write(n)) for n in (1, 2)]
    await eventually(lambda: len(group) == 2)
    begun[0].cancel()
    begun[1].cancel()
    await asyncio.sleep(0)
    store.gate.set()
    assert await begun[2] == 4
    assert store.batches == [[0], [2]]


async def test_closing_commits_what_was_accepted():
    """`close` waits for accepted writes; later ones are refused."""
    store = Store()
    store.gate.clear()
    group = GroupCommit(store)
    writer = asyncio.create_task(group.write(1))
    await eventually(lambda: store.batches)
    closing = asyncio.create_task(group.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await group.write(2)
    store.gate.set()
    await closing
    assert await writer == 2
