"""WorkflowRun: one run, from where its rows stand to a terminal state or to sleep.

    decide (core.progress) ──► save (one transaction) ──► act (one call) ──► decide …

Every decision is written before it is acted on, and every write is fenced. Killed before a write: the decision is made
again. Killed between a write and its call, or during the call: the next owner asks the client that was to make it, and
where nobody can tell, the attempt stays `unknown` and the capability's policy decides. A run that waits (retry, delay,
limit) leaves memory: a host claims it when it is due. Once its host drains, a run records the outcome that it waits
for and begins nothing behind it: it goes back to the queue, for another host to go on with.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from actors.compiled_tasks import CompiledTask
from actors.integration_pool import Question
from taske_ray.clock import new_id
from taske_ray.core import progress as brain
from taske_ray.core.call import Call
from taske_ray.core.capability import idempotency_class
from taske_ray.core.delay import wake_at
from taske_ray.core.ids import format_id, parse_id
from taske_ray.core.outcome import Failed, Fetched, Outcome, Succeeded, Unknown
from taske_ray.core.progress import Decision, NextCall
from taske_ray.core.retry import IdempotencyClass
from taske_ray.core.run import Action, Attempt, AttemptStatus, Progress, RunStatus, Step, StepStatus, parse_attempt
from taske_ray.core.times import format_time
from taske_ray.crash_points import reach
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.mail_outbox import message_id
from taske_ray.db.runs import (
    Advance,
    Advanced,
    AttemptClosed,
    AttemptOpened,
    MailWritten,
    RecordedStep,
    StepWritten,
)
from taske_ray.limits import Limits, profiles


class RunLog(Protocol):
    """Where a run's progress is saved."""

    async def advance(self, advance: Advance) -> Advanced:
        """Save; returns after COMMIT."""
        ...


class Integrations(Protocol):
    """Who makes the calls."""

    async def choose(self, user_id: UUID, connection_id: UUID | None, call_id: str) -> UUID | None:
        """The client that is to make a call; None when there is none now."""
        ...

    async def perform(self, call: Call, at: UUID | None) -> Outcome:
        """Have that client make it and return its outcome; never raises."""
        ...

    async def adopt(self, question: Question) -> Outcome | None:
        """What became of an earlier owner's call; None when nobody can tell."""
        ...

    def acknowledge(self, call_id: str, client: UUID) -> None:
        """The outcome of a call is recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """The host as a run sees it: the database's time, until when it may act, who it is, if it begins nothing more."""

    now: Callable[[], datetime]
    ends_at: Callable[[], float]
    host: Callable[[], UUID]
    is_draining: Callable[[], bool] = lambda: False


class WorkflowRun:
    """One live run. `recorded` are its steps in the database; none for a run that was just born."""

    def __init__(
        self,
        run: AssignedRun,
        task: CompiledTask,
        recorded: list[RecordedStep],
        *,
        log: RunLog,
        integrations: Integrations,
        trust: Trust,
        limits: Limits = profiles["default"],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._run = run
        self._task = task
        self._log = log
        self._integrations = integrations
        self._trust = trust
        self._jitter = jitter
        self._wire_id = format_id("run", run.run_id)
        self._client: UUID | None = None  # of the call that is open now
        self._answered: tuple[str, UUID] | None = None  # a call whose outcome is not recorded yet, and its client
        self._progress = Progress(
            trigger_output=run.input,
            run={"id": self._wire_id},
            task={"id": format_id("task", run.task_id), "name": task.name},
            steps={row.step: _step(row) for row in recorded},
            limits=limits,
        )

    async def execute(self) -> RunStatus | None:
        """Work until the run ends, sleeps, is to be given back (`queued`), or is no longer ours (None).

        Raises Unavailable when it cannot be saved.
        """
        reach("C8")
        if self._trust.is_draining():
            return RunStatus.QUEUED
        decision = await self._begin()
        mails: tuple[MailWritten, ...] = ()
        while True:
            leaves = decision.call is not None and self._trust.is_draining()
            saved = await self._save(_without_call(decision) if leaves else decision, mails)
            if not saved.owned:
                return None
            self._acknowledge()
            reach("C13")
            if decision.call is None:
                return decision.status
            if saved.cancelled:
                return RunStatus.CANCELLED
            if leaves:
                return RunStatus.QUEUED
            decision, mails = await self._next(decision.call)

    async def _begin(self) -> Decision:
        """Begin, or take over: first ask the client of a call that has no recorded outcome."""
        lost = brain.lost_call(self._task.actions, self._progress)
        outcome = None if lost is None else await self._adopt(lost)
        if outcome is None:
            return brain.start(self._task.actions, self._progress, self._classify, self._trust.now())
        return brain.adopt(
            self._task.actions,
            self._progress,
            outcome,
            classify=self._classify,
            now=self._trust.now(),
            jitter=self._jitter(),
        )

    async def _adopt(self, lost: NextCall) -> Succeeded | Failed | Unknown | None:
        attempt = lost.step.attempts[-1]
        if attempt.client is None:
            return None
        question = Question(
            call_id=self._call_id(lost),
            client=attempt.client,
            run_id=self._wire_id,
            fence=self._run.fence,
            age_s=(self._trust.now() - attempt.started_at).total_seconds(),
            timeout_s=lost.action.timeout_s,
        )
        outcome = await self._integrations.adopt(question)
        assert not isinstance(outcome, Fetched)  # that is what polls get
        self._answered = (question.call_id, question.client)
        return outcome

    def _acknowledge(self) -> None:
        """The last outcome is in the database now."""
        if self._answered is not None:
            self._integrations.acknowledge(*self._answered)
            self._answered = None

    async def _next(self, call: NextCall) -> tuple[Decision, tuple[MailWritten, ...]]:
        """Carry the call out and digest its outcome."""
        executor = self._task.capabilities[call.action.number].executor
        now = self._trust.now()
        if executor == "delay":
            until = wake_at(call.step.input or {}, now)
            if isinstance(until, datetime) and until > now:
                return brain.sleep(self._progress, call.step.number, until), ()
            done = until if isinstance(until, Failed) else Succeeded({"resumed_at": format_time(now)})
            return self._after(call, None, done), ()
        if executor == "smtp":
            mail = self._mail(call.step.input or {})
            return self._after(call, None, Succeeded({"message_id": message_id(mail.id)})), (mail,)
        attempt = Attempt(call.attempt, AttemptStatus.DISPATCHED, now)
        reach("C9")
        outcome = await self._integrations.perform(self._call(call, now), self._client)
        reach("C11")
        self._answered = None if self._client is None else (self._call_id(call), self._client)
        assert not isinstance(outcome, Fetched)  # that is what polls get
        return self._after(call, attempt, outcome), ()

    def _after(self, call: NextCall, attempt: Attempt | None, outcome: Succeeded | Failed | Unknown) -> Decision:
        return brain.after(
            self._task.actions,
            self._progress,
            call.step.number,
            attempt,
            outcome,
            classify=self._classify,
            now=self._trust.now(),
            jitter=self._jitter(),
        )

    def _classify(self, action: Action, params: dict[str, Any]) -> IdempotencyClass:
        return idempotency_class(self._task.capabilities[action.number], params, self._wire_id, action.key)

    def _call(self, call: NextCall, now: datetime) -> Call:
        action = call.action
        return Call(
            id=self._call_id(call),
            user_id=self._run.user_id,
            capability=action.capability,
            version=action.version,
            params=call.step.input or {},
            now=format_time(now),
            connection_id=_connection(action),
            run_id=self._wire_id,
            step=action.key,
            fence=self._run.fence,
            idempotency_key=self._key(action),
            timeout_s=action.timeout_s,
            lease_ends_at=self._trust.ends_at(),
            host=self._trust.host(),
            is_retry=any(attempt.sent is not False for attempt in call.step.attempts),
            depth=self._run.depth,
        )

    def _call_id(self, call: NextCall) -> str:
        return f"{self._wire_id}:{call.step.number}:{call.attempt}"

    def _key(self, action: Action) -> str:
        return f"{self._wire_id}:{action.key}"

    def _mail(self, params: dict[str, Any]) -> MailWritten:
        return MailWritten(
            id=new_id(),
            user_id=self._run.user_id,
            recipients=tuple(params["to"]),
            subject=params["subject"],
            text=params.get("text"),
            html=params.get("html"),
        )

    async def _save(self, decision: Decision, mails: tuple[MailWritten, ...]) -> Advanced:
        call = decision.call
        opened = () if call is None else await self._intent(call)
        advance = Advance(
            run_id=self._run.run_id,
            fence=self._run.fence,
            status=decision.status.value,
            available_at=decision.available_at,
            error=decision.error,
            closed=() if decision.closed is None else (_closed(decision.closed_step or 0, decision.closed),),
            steps=tuple(self._written(step) for step in decision.steps),
            opened=opened,
            mails=mails,
            user_id=self._run.user_id,
        )
        self._progress = decision.progress
        return await self._log.advance(advance)

    async def _intent(self, call: NextCall) -> tuple[AttemptOpened, ...]:
        """The attempt that is recorded before the call; it names who is to make it, for whoever must ask later."""
        if self._task.capabilities[call.action.number].execution == "internal":
            return ()
        self._client = await self._integrations.choose(self._run.user_id, _connection(call.action), self._call_id(call))
        return (AttemptOpened(call.step.number, call.attempt, self._key(call.action), self._client),)

    def _written(self, step: Step) -> StepWritten:
        known = self._progress.steps.get(step.number)
        unchanged = known is not None and known.input == step.input
        return StepWritten(
            step=step.number,
            key=step.key,
            capability=step.capability,
            status=step.status.value,
            input=None if unchanged else step.input,
            output=step.output,
            error=step.error,
        )


def _without_call(decision: Decision) -> Decision:
    """What came of the last call, and nothing of the next: whoever goes on begins its step."""
    assert decision.call is not None
    number = decision.call.step.number
    return replace(decision, call=None, steps=tuple(step for step in decision.steps if step.number != number))


def _connection(action: Action) -> UUID | None:
    return None if action.connection is None else parse_id("conn", action.connection)


def _step(row: RecordedStep) -> Step:
    return Step(
        number=row.step,
        key=row.key,
        capability=row.capability,
        status=StepStatus(row.status),
        input=row.input,
        output=row.output,
        error=row.error,
        attempts=tuple(parse_attempt(attempt) for attempt in row.attempts),
    )


def _closed(step: int, attempt: Attempt) -> AttemptClosed:
    return AttemptClosed(
        step=step,
        number=attempt.number,
        status=attempt.status.value,
        sent=attempt.sent,
        counted=attempt.counted,
        http_status=attempt.http_status,
        request=attempt.request,
        error=attempt.error,
    )
