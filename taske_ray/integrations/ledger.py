"""Which calls this process has, and had: so that a caller who lost the answer can ask for it (durability, 6.4).

Finished outcomes that nobody acknowledged are kept for ten minutes, within bounds of number and size.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from taske_ray.core.call import Call
from taske_ray.core.outcome import Outcome, Unknown

keep_s = 600.0
max_finished = 5_000
max_bytes = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """An outcome and about how many bytes it holds."""

    outcome: Outcome
    size: int


@dataclass(frozen=True, slots=True)
class _Kept:
    finished: Finished
    at: float


class CallLedger:
    """Calls in flight as tasks, finished ones as outcomes. `monotonic` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._flights: dict[str, asyncio.Task[Finished]] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0
        self._fences: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._forgot_at = float("-inf")

    @property
    def in_flight(self) -> int:
        """How many calls are under way."""
        return len(self._flights)

    def is_fenced_out(self, call: Call) -> bool:
        """Whether a newer owner of the run has asked about it, so that this call may not begin."""
        known = self._fences.get(call.run_id)
        return bool(call.run_id) and known is not None and call.fence < known[0]

    async def once(self, call: Call, start: Callable[[], Coroutine[Any, Any, Finished]]) -> Outcome:
        """The outcome of a call that is started at most once for its id, however often it is handed in.

        The call goes on when the one who waits here is cancelled: its outcome is still wanted.
        """
        kept = self._kept.get(call.id)
        if kept is not None:
            return kept.finished.outcome
        task = self._flights.get(call.id)
        if task is None:
            task = asyncio.create_task(start(), name=f"call {call.id}")
            self._flights[call.id] = task
            task.add_done_callback(lambda done: self._landed(call.id, done))
        return (await asyncio.shield(task)).outcome

    async def find(self, call_id: str, *, run_id: str = "", fence: int = 0, age_s: float = 0.0) -> Outcome | None:
        """The outcome of a call, waited for while it is in flight; None: this process never had it.

        Asking as the owner with `fence` shuts out every older owner of the run. `age_s` is how long ago the call was
        meant to be made: where outcomes of that time had to be forgotten, the answer is Unknown.
        """
        if run_id:
            known = self._fences.pop(run_id, (0, 0.0))[0]
            self._fences[run_id] = (max(known, fence), self._monotonic())
        self._forget_old()
        task = self._flights.get(call_id)
        if task is not None:
            return (await asyncio.shield(task)).outcome
        kept = self._kept.get(call_id)
        if kept is None and self._monotonic() - age_s < self._forgot_at:
            return Unknown("The integration client no longer knows what came of this call.", "outcome_forgotten")
        return kept.finished.outcome if kept else None

    def acknowledge(self, call_ids: Iterable[str]) -> None:
        """These outcomes are recorded: forget them."""
        for call_id in call_ids:
            self._drop(call_id)

    def _landed(self, call_id: str, task: asyncio.Task[Finished]) -> None:
        del self._flights[call_id]
        if task.cancelled() or task.exception() is not None:
            return
        finished = task.result()
        self._kept[call_id] = _Kept(finished, self._monotonic())
        self._bytes += finished.size
        self._forget_old()

    def _forget_old(self) -> None:
        horizon = self._monotonic() - keep_s
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].at > horizon and len(self._kept) <= max_finished and self._bytes <= max_bytes:
                break
            self._forgot_at = max(self._forgot_at, self._kept[oldest].at)
            self._drop(oldest)
        while self._fences and next(iter(self._fences.values()))[1] <= horizon:
            self._fences.popitem(last=False)

    def _drop(self, call_id: str) -> None:
        kept = self._kept.pop(call_id, None)
        if kept is not None:
            self._bytes -= kept.finished.size
