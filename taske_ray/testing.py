"""What tests of several packages share: a clock that is moved by hand, and a run log in memory. Not for production.

`MemoryRunLog` behaves like `db/runs.py`: writes are fenced, nothing is opened after a cancel, an attempt closes once,
and a second success of one step is refused.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.runs import Advance, Advanced, MailWritten, RecordedStep, StepWritten


class ManualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: datetime = datetime(2027, 5, 4, 12, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The current instant."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return when the clock was advanced by `seconds`."""
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), wake))
        await wake

    @property
    def sleeping(self) -> list[float]:
        """How many seconds each sleeper still has."""
        return sorted(until - self._elapsed for until, _, wake in self._sleepers if not wake.done())

    def advance(self, seconds: float) -> None:
        """Let time pass and wake whoever has slept enough."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            wake = heapq.heappop(self._sleepers)[2]
            if not wake.done():
                wake.set_result(None)


async def eventually(fact: Callable[[], object], *, within_s: float = 5.0) -> None:
    """Return as soon as `fact()` is true; AssertionError when it is not in time."""
    async with asyncio.timeout(within_s):
        try:
            while not fact():  # noqa: ASYNC110 - a fact has no event
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            raise AssertionError(f"{fact} did not become true within {within_s} s") from None


@dataclass(slots=True)
class _Row:
    fence: int
    status: str = "running"
    cancelled: bool = False
    available_at: datetime | None = None
    error: Any = None
    steps: dict[int, StepWritten] = field(default_factory=dict)
    attempts: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)


class MemoryRunLog:
    """The rows of runs, in memory. `before` is called with each advance before it is written: it may raise."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.rows: dict[UUID, _Row] = {}
        self.advances: list[Advance] = []
        self.mails: list[MailWritten] = []
        self.before: Callable[[Advance], None] = lambda _: None

    def assign(self, input_: Any = None, *, fence: int = 1) -> AssignedRun:
        """A run that was just given to a host."""
        run = AssignedRun(new_id(), new_id(), fence, new_id(), new_id(), 1, new_id(), input_)
        self.rows[run.run_id] = _Row(fence)
        return run

    def taken_over(self, run: AssignedRun) -> AssignedRun:
        """The same run after its host was lost and another one claimed it: calls under way are unknown."""
        row = self.rows[run.run_id]
        row.fence, row.status = row.fence + 1, "running"
        for attempt in row.attempts.values():
            if attempt["status"] == "dispatched":
                attempt |= {"status": "unknown", "finished_at": self._now(), "error": {"code": "host_lost"}}
        return replace(run, fence=row.fence, host=new_id())

    def recorded(self, run: AssignedRun) -> list[RecordedStep]:
        """What a run has recorded, as a host loads it."""
        row = self.rows[run.run_id]
        return [
            RecordedStep(
                **{name: getattr(step, name) for name in ("step", "key", "capability", "status")},
                **{name: getattr(step, name) for name in ("input", "output", "error")},
                started_at=self._now(),
                attempts=tuple(dict(one) for (of, _), one in sorted(row.attempts.items()) if of == number),
            )
            for number, step in sorted(row.steps.items())
        ]

    async def advance(self, advance: Advance) -> Advanced:
        """Save; refuses what a fence, a cancel or the unique index would."""
        self.before(advance)
        row = self.rows[advance.run_id]
        if row.fence != advance.fence or row.status != "running":
            return Advanced(owned=False)
        self.advances.append(advance)
        for closed in advance.closed:
            attempt = row.attempts[closed.step, closed.number]
            if attempt["status"] in {"dispatched", "unknown"}:  # unknown: its client still knew
                attempt |= {**asdict(closed), "finished_at": self._now()}
        done = [step for (step, _), one in row.attempts.items() if one["status"] == "succeeded"]
        assert len(done) == len(set(done)), "a step succeeded twice"
        for step in advance.steps:
            if step.status != "running" or not row.cancelled:
                known = row.steps.get(step.step)
                row.steps[step.step] = replace(step, input=known.input) if known and step.input is None else step
        for opened in advance.opened if not row.cancelled else ():
            row.attempts.setdefault(
                (opened.step, opened.number),
                {
                    **asdict(opened),
                    "client": opened.client and str(opened.client),
                    "status": "dispatched",
                    "started_at": self._now(),
                    "finished_at": None,
                },
            )
        self.mails += advance.mails
        over = row.cancelled and advance.status in {"running", "waiting"}
        row.status = "cancelled" if over else advance.status
        row.available_at, row.error = advance.available_at, advance.error
        return Advanced(owned=True, cancelled=row.cancelled)
