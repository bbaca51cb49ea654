"""Runs: what happened, what happens now, stop it, do it again."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from taske_ray.schemas.runs import Cancelled, Resolved, Run, RunSummary, finished_statuses
from taske_ray.schemas.tasks import RunStarted
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Emit, Flow, Request, Wait, collect, each, fetch, fields, get, path, post

_SETTLED = finished_statuses | {"needs_attention"}
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


def is_settled(run: Run) -> bool:
    """Whether nothing more happens by itself: finished, or waiting for somebody's decision."""
    return run.status in _SETTLED


class Runs:
    """The caller's runs."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def list(self, **filters: Any) -> Iterator[RunSummary]:
        """Runs, newest first: `task_id`, `status`, `created_after`, `created_before`; pages are asked for as needed."""
        return self._line.stream(each(RunSummary, listing(**filters)))

    def get(self, run_id: str) -> Run:
        """A run with its steps and attempts."""
        return self._line.run(fetch(Run, _one(run_id)))

    def watch(self, run_id: str, *, timeout_s: float | None = None) -> Iterator[Run]:
        """Yield the run now and whenever it has changed, until it is settled; raises TimeoutError."""
        return self._line.stream(watch(run_id, timeout_s))

    def wait(self, run_id: str, *, timeout_s: float | None = 300.0) -> Run:
        """Return the run once it is settled (finished, or in `needs_attention`); raises TimeoutError."""
        return self._line.run(settled(run_id, timeout_s))

    def cancel(self, run_id: str) -> Cancelled:
        """Stop it, whatever it is doing; raises Conflict if it has finished."""
        return self._line.run(fetch(Cancelled, post(path("api", "v1", "runs", run_id, "cancel"))))

    def resolve(self, run_id: str, decision: str) -> Resolved:
        """Decide about a run in `needs_attention`: "sent", "resend" or "fail"; raises Conflict if it is not."""
        return self._line.run(fetch(Resolved, resolving(run_id, decision)))

    def replay(
        self,
        run_id: str,
        *,
        start: str = "start",
        version: str = "pinned",
        input: dict[str, Any] | None = None,  # noqa: A002 - the contract's word
        wait: bool = False,
        timeout_s: float | None = 300.0,
    ) -> Run:
        """Run it again, from `start`: "start", "failed" or the key of a step. Returns the new run."""
        return self._line.run(started(replaying(run_id, start, version, input), timeout_s, wait=wait))


class AsyncRuns:
    """The caller's runs, asynchronously."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    def list(self, **filters: Any) -> AsyncIterator[RunSummary]:
        """Runs, newest first: `task_id`, `status`, `created_after`, `created_before`; pages are asked for as needed."""
        return self._line.stream(each(RunSummary, listing(**filters)))

    async def get(self, run_id: str) -> Run:
        """A run with its steps and attempts."""
        return await self._line.run(fetch(Run, _one(run_id)))

    def watch(self, run_id: str, *, timeout_s: float | None = None) -> AsyncIterator[Run]:
        """Yield the run now and whenever it has changed, until it is settled; raises TimeoutError."""
        return self._line.stream(watch(run_id, timeout_s))

    async def wait(self, run_id: str, *, timeout_s: float | None = 300.0) -> Run:
        """Return the run once it is settled (finished, or in `needs_attention`); raises TimeoutError."""
        return await self._line.run(settled(run_id, timeout_s))

    async def cancel(self, run_id: str) -> Cancelled:
        """Stop it, whatever it is doing; raises Conflict if it has finished."""
        return await self._line.run(fetch(Cancelled, post(path("api", "v1", "runs", run_id, "cancel"))))

    async def resolve(self, run_id: str, decision: str) -> Resolved:
        """Decide about a run in `needs_attention`: "sent", "resend" or "fail"; raises Conflict if it is not."""
        return await self._line.run(fetch(Resolved, resolving(run_id, decision)))

    async def replay(
        self,
        run_id: str,
        *,
        start: str = "start",
        version: str = "pinned",
        input: dict[str, Any] | None = None,  # noqa: A002 - the contract's word
        wait: bool = False,
        timeout_s: float | None = 300.0,
    ) -> Run:
        """Run it again, from `start`: "start", "failed" or the key of a step. Returns the new run."""
        return await self._line.run(started(replaying(run_id, start, version, input), timeout_s, wait=wait))


def listing(
    *,
    task_id: str | None = None,
    status: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    limit: int | None = None,
) -> Request:
    """The first page of runs; `limit` is the size of a page."""
    filters = {"task_id": task_id, "status": status, "limit": limit}
    return get(path("api", "v1", "runs"), created_after=created_after, created_before=created_before, **filters)


def resolving(run_id: str, decision: str) -> Request:
    """Say what became of a parked run's call."""
    return post(path("api", "v1", "runs", run_id, "resolve"), {"decision": decision})


def replaying(run_id: str, start: str, version: str, trigger_output: dict[str, Any] | None) -> Request:
    """Run it again."""
    body = {"from": start, "version": version, **fields(input=trigger_output)}
    return post(path("api", "v1", "runs", run_id, "replay"), body)


def started(request: Request, timeout_s: float | None, *, wait: bool) -> Flow[Run]:
    """Send what starts a run, and return that run: as it is now, or once it is settled."""
    run_id = (yield from fetch(RunStarted, request)).run_id
    if wait:
        return (yield from settled(run_id, timeout_s))
    return (yield from fetch(Run, _one(run_id)))


def settled(run_id: str, timeout_s: float | None) -> Flow[Run]:
    """Ask until the run is settled, and return it."""
    last: Run = (yield from collect(watch(run_id, timeout_s)))[-1]
    return last


def watch(run_id: str, timeout_s: float | None) -> Flow[None]:
    """Emit the run whenever it has changed, until it is settled."""
    last, waited, pause = None, 0.0, _FIRST_PAUSE_S
    while True:
        run = yield from fetch(Run, _one(run_id))
        if run != last:
            yield Emit(run)
            last, pause = run, _FIRST_PAUSE_S
        if is_settled(run):
            return
        if timeout_s is not None and waited >= timeout_s:
            raise TimeoutError(f"Run {run_id} is still {run.status} after {timeout_s:g} s.")
        yield Wait(pause)
        waited, pause = waited + pause, min(pause * 1.5, _LONGEST_PAUSE_S)


def _one(run_id: str) -> Request:
    return get(path("api", "v1", "runs", run_id))
