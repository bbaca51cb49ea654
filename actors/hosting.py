"""Hosted actors: many plain objects in one process, each with a timer and a failure of its own.

A hosted actor says when it wants to act (`due_at`) and acts (`act`). One heap of timers serves them all: an armed one
costs a few hundred bytes. An exception ends that one actor; it is made afresh after a pause that doubles, and its
neighbours do not notice.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from taske_ray.clock import Clock
from taske_ray.errors import Unavailable

_longest_pause_s = 60.0
_together = 1_000
_log = logging.getLogger(__name__)


class HostedActor(Protocol):
    """A watcher, as its host sees it."""

    @property
    def due_at(self) -> float | None:
        """When to act next, in seconds of the host's time; None: only when poked."""
        ...

    async def act(self) -> None:
        """Do what is due; afterwards `due_at` is the next moment."""
        ...


@dataclass(slots=True)
class _Cell:
    actor: HostedActor
    make: Callable[[], Awaitable[HostedActor]]
    turn: int = 0
    failures: int = 0
    busy: bool = False


class Hosting:
    """The hosted actors of one process by id. `now_s` is their common time."""

    def __init__(self, *, clock: Clock, now_s: Callable[[], float]) -> None:
        self._clock = clock
        self._now_s = now_s
        self._cells: dict[UUID, _Cell] = {}
        self._timers: list[tuple[float, int, UUID]] = []
        self._turns = itertools.count(1)
        self._earlier = asyncio.Event()
        self._room = asyncio.Semaphore(_together)
        self._acting: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._cells)

    def __contains__(self, actor_id: UUID) -> bool:
        return actor_id in self._cells

    def ids(self) -> list[UUID]:
        """Who is hosted."""
        return list(self._cells)

    def start(self, actor_id: UUID, actor: HostedActor, make: Callable[[], Awaitable[HostedActor]]) -> None:
        """Host an actor, in place of one of the same id; `make` makes it afresh after a failure."""
        self._cells[actor_id] = _Cell(actor, make)
        self._arm(actor_id, actor.due_at)

    def stop(self, actor_id: UUID) -> None:
        """Forget an actor; what it is doing ends by itself."""
        self._cells.pop(actor_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._cells.clear()
        self._timers.clear()

    async def keep(self) -> None:
        """Let everyone act when it is due, for ever."""
        while True:
            self._earlier.clear()
            wait_s = self._start_due()
            try:
                async with asyncio.timeout(wait_s):
                    await self._earlier.wait()
            except TimeoutError:
                continue

    def _start_due(self) -> float:
        """Begin what is due now; the seconds until the next timer."""
        now = self._now_s()
        while self._timers and self._timers[0][0] <= now:
            _, turn, actor_id = heapq.heappop(self._timers)
            cell = self._cells.get(actor_id)
            if cell is not None and cell.turn == turn and not cell.busy:
                cell.busy = True
                task = asyncio.get_running_loop().create_task(self._act(actor_id, cell))
                self._acting.add(task)
                task.add_done_callback(self._acting.discard)
        return max(0.0, self._timers[0][0] - now) if self._timers else 60.0

    async def _act(self, actor_id: UUID, cell: _Cell) -> None:
        pause_s, which = 0.0, {"trigger_id": actor_id}
        try:
            async with self._room:
                await cell.actor.act()
            cell.failures = 0
        except Unavailable as error:
            pause_s = self._pause_after(cell)
            _log.warning("a watcher waits %.0f s: %s", pause_s, error, extra=which)
        except Exception:  # noqa: BLE001 - logged; it must not end its neighbours
            pause_s = self._pause_after(cell)
            _log.exception("a watcher failed and is made afresh in %.0f s", pause_s, extra=which)
        finally:
            cell.busy = False
        if self._cells.get(actor_id) is not cell:
            return
        if pause_s:
            await self._afresh(actor_id, cell, pause_s)
        else:
            self._arm(actor_id, cell.actor.due_at)

    async def _afresh(self, actor_id: UUID, cell: _Cell, pause_s: float) -> None:
        while True:
            await self._clock.sleep(pause_s)
            if self._cells.get(actor_id) is not cell:
                return
            try:
                actor = await cell.make()
            except Exception:  # noqa: BLE001 - logged; it must not end its neighbours
                pause_s = self._pause_after(cell)
                _log.exception("a watcher cannot be made; again in %.0f s", pause_s, extra={"trigger_id": actor_id})
                continue
            if self._cells.get(actor_id) is cell:  # not stopped or replaced while it was being made
                cell.actor = actor
                self._arm(actor_id, actor.due_at)
            return

    def _pause_after(self, cell: _Cell) -> float:
        cell.failures += 1
        return min(_longest_pause_s, 2.0 ** min(cell.failures - 1, 10))

    def _arm(self, actor_id: UUID, due_at: float | None) -> None:
        if due_at is None:
            return
        cell = self._cells[actor_id]
        cell.turn = next(self._turns)
        if not self._timers or due_at < self._timers[0][0]:
            self._earlier.set()
        heapq.heappush(self._timers, (due_at, cell.turn, actor_id))
