"""Group commit: writes that arrive while a transaction is in flight go together in the next one (durability, 3.3)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from taske_ray.errors import Unavailable
from taske_ray.gather import Gatherer

Write = TypeVar("Write")
Result = TypeVar("Result")

Commit = Callable[[Sequence[Write]], Awaitable[Sequence[Result]]]
_PAUSE_S = 0.2


class GroupCommit(Generic[Write, Result]):
    """Gives each writer its own result, after COMMIT.

    `commit` writes a whole batch in one transaction and returns one result per write, in order. It must be
    repeatable: when the database went away the outcome is unknown, and the same batch is sent again with the same ids
    and keys for `patience_s`. When a batch is refused it is retried write by write, so that one bad row fails alone.
    `turn` says whose a write is, where writers are to take turns.
    """

    def __init__(
        self,
        commit: Commit[Write, Result],
        *,
        turn: Callable[[Write], Hashable] = lambda _: None,
        most: int = 200,
        limit: int = 5_000,
        lanes: int = 1,
        patience_s: float = 4.0,
    ) -> None:
        self._commit = commit
        self._patience_s = patience_s
        self._writes = Gatherer(self._work, turn=lambda waiting: turn(waiting[0]), most=most, limit=limit, lanes=lanes)

    def __len__(self) -> int:
        return len(self._writes)

    async def write(self, write: Write) -> Result:
        """Commit `write` with whatever else is waiting. Raises Unavailable, or what `commit` raised."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        if not self._writes.offer((write, answer)):
            raise Unavailable("Too many writes are waiting")
        return await answer

    async def close(self) -> None:
        """Refuse new writes; return when every accepted one has its result."""
        await self._writes.close()

    async def _work(self, batch: list[tuple[Write, asyncio.Future[Result]]]) -> None:
        wanted = [(write, answer) for write, answer in batch if not answer.cancelled()]
        if not wanted:
            return
        try:
            results = await self._commit_patiently([write for write, _ in wanted])
        except Exception as error:  # noqa: BLE001 - whatever went wrong belongs to the writers
            await self._one_by_one(wanted, error)
        else:
            for (_, answer), result in zip(wanted, results, strict=True):
                _answer(answer, result)

    async def _commit_patiently(self, writes: list[Write]) -> Sequence[Result]:
        until = time.monotonic() + self._patience_s
        while True:
            try:
                return await self._commit(writes)
            except Unavailable:
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(_PAUSE_S)

    async def _one_by_one(self, batch: list[tuple[Write, asyncio.Future[Result]]], error: Exception) -> None:
        over = len(batch) == 1 or isinstance(error, Unavailable)
        for write, answer in batch:
            if over:
                _refuse(answer, error)
                continue
            try:
                _answer(answer, (await self._commit_patiently([write]))[0])
            except Exception as own:  # noqa: BLE001 - this one write is the bad one
                _refuse(answer, own)
                over, error = isinstance(own, Unavailable), own  # away now: the others need not wait one after another


def _answer(future: asyncio.Future[Result], result: Result) -> None:
    if not future.done():
        future.set_result(result)


def _refuse(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
