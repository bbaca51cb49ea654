"""Work in batches without added delay: what gathers while one batch is being worked goes together in the next.

An idle gatherer passes a single item on at once; under load the batches grow by themselves. It is the one mechanism
under group commit (`taske_ray/db/group_commit.py`) and outboxes (`actors/outbox.py`). Where items belong to users,
these take turns: whoever has a thousand items waiting delays another's one by a batch and not by a thousand.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from taske_ray.line import Line

Item = TypeVar("Item")
_log = logging.getLogger(__name__)


class Gatherer(Generic[Item]):
    """Hands items to `work`, in order, at most `most` at a time, never more than `limit` waiting.

    `turn` says whose an item is: they take turns, and order holds among the items of one. While several have items, at
    most `portion` go together, so that nobody waits long for another's.
    `work` must not raise: what went wrong with a batch is its own business. `lanes` batches may be in flight
    together; with more than one, order holds within a batch only.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Awaitable[None]],
        *,
        turn: Callable[[Item], Hashable] = lambda _: None,
        most: int = 500,
        portion: int = 64,
        limit: int = 10_000,
        lanes: int = 1,
    ) -> None:
        self._work = work
        self._most = most
        self._portion = min(portion, most)
        self._limit = limit
        self._lanes = lanes
        self._turn = turn
        self._waiting: Line[Item] = Line()
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, item: Item) -> bool:
        """Take an item; False when closed or full, and then nothing was taken."""
        if self._closed or len(self._waiting) >= self._limit:
            return False
        self._waiting.add(self._turn(item), item)
        if len(self._running) < self._lanes:
            self._running.add(asyncio.get_running_loop().create_task(self._drain()))
        return True

    async def close(self) -> None:
        """Take nothing more and return when everything taken has been worked."""
        self._closed = True
        while self._running:
            await asyncio.wait(self._running)

    async def _drain(self) -> None:
        try:
            while self._waiting:
                most = self._portion if self._waiting.is_shared else self._most
                await self._pass_on([self._waiting.next() for _ in range(min(most, len(self._waiting)))])
        finally:
            # Here and not in a callback: an item offered between the two would wait for a lane that has ended.
            lane = asyncio.current_task()
            assert lane is not None
            self._running.discard(lane)

    async def _pass_on(self, batch: list[Item]) -> None:
        try:
            await self._work(batch)
        except Exception:  # noqa: BLE001 - logged; it must not end its neighbours
            _log.exception("a batch of %d was given up", len(batch))
