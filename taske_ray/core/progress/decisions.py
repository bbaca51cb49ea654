"""What is written next and which call is made next; the package says how it is used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from taske_ray.core.outcome import ErrorClass, Failed, Succeeded, Unknown
from taske_ray.core.progress.opening import is_overtime, open_step
from taske_ray.core.progress.recorded import close, failure_error, run_error, unknown_error, with_error
from taske_ray.core.retry import (
    GiveUp,
    IdempotencyClass,
    RetryAt,
    again,
    decide,
    never_began,
    on_unknown,
)
from taske_ray.core.run import (
    Action,
    Attempt,
    AttemptStatus,
    Progress,
    RunStatus,
    Step,
    StepStatus,
    next_step,
    stops,
)
from taske_ray.core.size import is_larger, mib
from taske_ray.core.storable import storable
from taske_ray.core.times import format_time
from taske_ray.limits import codes

Classify = Callable[[Action, dict[str, Any]], IdempotencyClass]
Resolution = Literal["sent", "resend", "fail"]


@dataclass(frozen=True, slots=True)
class NextCall:
    """The call to make once the decision is written: `step.input` are its parameters, `attempt` its number."""

    action: Action
    step: Step
    attempt: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write, and then what to do.

    `status` is the run's afterwards: `running` comes with `call`, `waiting` with `available_at`. `steps` are those
    that changed, `closed` is the attempt that ended (of step `closed_step`). `progress` is
    the run as it will be recorded.
    """

    progress: Progress
    status: RunStatus
    steps: tuple[Step, ...] = ()
    closed: Attempt | None = None
    closed_step: int | None = None
    call: NextCall | None = None
    available_at: datetime | None = None
    error: dict[str, Any] | None = None


def start(actions: Sequence[Action], progress: Progress, classify: Classify, now: datetime) -> Decision:
    """Begin a run, or go on with one that was waiting or whose host died.

    A last attempt without an outcome is taken as lost and closed as `unknown`. Whoever can still ask the client that
    made it (durability, 6.4) does that first and hands the answer to `adopt` instead.
    """
    open_call = lost_call(actions, progress)
    if open_call is None:
        return _go_on(actions, progress, now)
    action, step, number = open_call.action, open_call.step, open_call.step.number
    last = step.attempts[-1]
    lost = Unknown("The process that made this call died before its outcome was recorded.")
    closed = close(last, lost, now) if last.status is AttemptStatus.DISPATCHED else None
    step = step if closed is None else step.with_attempt(closed)
    kind = classify(action, step.input or {})
    if on_unknown(kind, action.on_unknown) == "resend" and step.tried().counted < action.retry.max_attempts:
        decision = _go_on(actions, progress.with_step(step), now)
    else:
        decision = _unknown_for_good(actions, progress, step, lost, now, kind=kind)
    return replace(decision, closed=closed, closed_step=None if closed is None else number)


def lost_call(actions: Sequence[Action], progress: Progress) -> NextCall | None:
    """The call that an earlier owner of the run made, or was about to make, without recording an outcome."""
    number = next_step(actions, progress.steps)
    step = None if number is None else progress.steps.get(number)
    if number is None or step is None or not _is_lost(step):
        return None
    return NextCall(actions[number - 1], step, step.attempts[-1].number)


def adopt(
    actions: Sequence[Action],
    progress: Progress,
    outcome: Succeeded | Failed | Unknown,
    *,
    classify: Classify,
    now: datetime,
    jitter: float,
) -> Decision:
    """Take a run over whose client told what came of its `lost_call`; one that never began is made at once."""
    lost = lost_call(actions, progress)
    assert lost is not None
    number, attempt = lost.step.number, lost.step.attempts[-1]
    if isinstance(outcome, Failed) and outcome.code == never_began:
        closed = close(attempt, outcome, now)
        decision = _go_on(actions, progress.with_step(lost.step.with_attempt(closed)), now)
        return replace(decision, closed=closed, closed_step=number)
    return after(actions, progress, number, attempt, outcome, classify=classify, now=now, jitter=jitter)


def _is_lost(step: Step) -> bool:
    """Whether the step was cut off in an attempt; `pending` means that a person has decided about it since.

    An unknown outcome that the attempt's owner recorded is final, and its client has forgotten it: asked now, it would
    say that the call never began. The owner wrote its class; who rescued the run knew none.
    """
    if step.status is not StepStatus.RUNNING or not step.attempts:
        return False
    last = step.attempts[-1]
    unrecorded = last.status is AttemptStatus.UNKNOWN and "class" not in (last.error or {})
    return last.status is AttemptStatus.DISPATCHED or unrecorded


def after(
    actions: Sequence[Action],
    progress: Progress,
    number: int,
    attempt: Attempt | None,
    outcome: Succeeded | Failed | Unknown,
    *,
    classify: Classify,
    now: datetime,
    jitter: float,
) -> Decision:
    """Digest the outcome of step `number`. `attempt` is the one that was dispatched; None where none was needed."""
    step, action = progress.steps[number], actions[number - 1]
    closed = None if attempt is None else close(attempt, outcome, now)
    if closed is not None:
        step = step.with_attempt(closed)
    match outcome:
        case Succeeded():
            decision = _succeeded(actions, progress, step, outcome, now)
        case Failed():
            decision = _failed(actions, progress, step, outcome, now, jitter)
        case Unknown():
            kind = classify(action, step.input or {})
            decision = _unknown(actions, progress, step, outcome, now, jitter, kind=kind)
    return replace(decision, closed=closed, closed_step=None if closed is None else number)


def sleep(progress: Progress, number: int, until: datetime) -> Decision:
    """A `system.delay` has not passed: the run leaves memory, the step shows until when as its output so far."""
    step = replace(progress.steps[number], output={"until": format_time(until)})
    return Decision(progress.with_step(step), RunStatus.WAITING, steps=(step,), available_at=until)


def resolve(progress: Progress, choice: Resolution, *, on_error: Literal["stop", "continue"]) -> Decision | None:
    """A person decides about the step that parked a run; None if no step waits for that. `on_error` is its action's."""
    # it is the last that was reached: nothing goes on behind a parked step
    step = max(progress.steps.values(), key=lambda one: one.number, default=None)
    if step is None or step.status is not StepStatus.UNKNOWN:
        return None
    settled = {"sent": StepStatus.SUCCEEDED, "resend": StepStatus.PENDING, "fail": StepStatus.FAILED}[choice]
    step = replace(step, status=settled, error=step.error if choice == "fail" else None)
    progress = progress.with_step(step)
    if choice == "fail" and on_error == "stop":
        return Decision(progress, RunStatus.FAILED, steps=(step,), error=run_error(step))
    return Decision(progress, RunStatus.QUEUED, steps=(step,))


def _go_on(actions: Sequence[Action], progress: Progress, now: datetime) -> Decision:
    """Walk over steps that make no call until one does, or until the run ends."""
    written: list[Step] = []
    while (number := next_step(actions, progress.steps)) is not None:
        step = open_step(actions, progress, number, now)
        progress = progress.with_step(step)
        written.append(step)
        if step.status is StepStatus.RUNNING:
            call = NextCall(actions[number - 1], step, step.next_attempt)
            return Decision(progress, RunStatus.RUNNING, steps=tuple(written), call=call)
        if is_overtime(step):
            return Decision(progress, RunStatus.FAILED, steps=tuple(written), error=run_error(step))
    stopped = next((step for step in progress.steps.values() if stops(actions[step.number - 1], step)), None)
    status = RunStatus.SUCCEEDED if stopped is None else RunStatus.FAILED
    error = None if stopped is None else run_error(stopped)
    return Decision(progress, status, steps=tuple(written), error=error)


def _succeeded(
    actions: Sequence[Action], progress: Progress, step: Step, outcome: Succeeded, now: datetime
) -> Decision:
    try:
        done = replace(step, status=StepStatus.SUCCEEDED, output=storable(outcome.output), error=None)
    except ValueError as error:
        deep = with_error(step, "output_too_deep", f"The service did it, but its answer is {error}.")
        return _finish_step(actions, progress, deep, now)
    most_mib = progress.limits.context_mib
    if is_larger(progress.with_step(done).outputs(), most_mib * mib):
        message = f"The outputs of this run are larger than {most_mib} MiB together. Ask for less in this step."
        done = with_error(step, codes["context_mib"], message)
    return _finish_step(actions, progress, done, now)


def _failed(
    actions: Sequence[Action], progress: Progress, step: Step, failure: Failed, now: datetime, jitter: float
) -> Decision:
    next_try: RetryAt | GiveUp = GiveUp("not_retryable")
    if step.attempts:
        next_try = decide(step.tried(), failure, actions[step.number - 1].retry, now, jitter)
    if isinstance(next_try, RetryAt):
        return _wait(progress, replace(step, error=failure_error(failure)), next_try)
    if next_try.reason == "auth_revoked":
        connected = actions[step.number - 1].connection is not None
        failure = replace(failure, error_class=ErrorClass.AUTH_REVOKED if connected else ErrorClass.PERMISSION)
    error = failure_error(failure)
    if next_try.reason != "not_retryable":
        error["gave_up"] = next_try.reason
    return _finish_step(actions, progress, replace(step, status=StepStatus.FAILED, error=error), now)


def _unknown(
    actions: Sequence[Action],
    progress: Progress,
    step: Step,
    outcome: Unknown,
    now: datetime,
    jitter: float,
    *,
    kind: IdempotencyClass,
) -> Decision:
    action = actions[step.number - 1]
    if on_unknown(kind, action.on_unknown) == "resend" and step.attempts:
        next_try = again(step.tried(), action.retry, now, jitter)
        if isinstance(next_try, RetryAt):
            return _wait(progress, replace(step, error=unknown_error(outcome)), next_try)
    return _unknown_for_good(actions, progress, step, outcome, now, kind=kind)


def _unknown_for_good(
    actions: Sequence[Action],
    progress: Progress,
    step: Step,
    outcome: Unknown,
    now: datetime,
    *,
    kind: IdempotencyClass,
) -> Decision:
    error = unknown_error(outcome)
    step = replace(step, status=StepStatus.UNKNOWN, error=error)
    if on_unknown(kind, actions[step.number - 1].on_unknown) == "ask":
        return Decision(progress.with_step(step), RunStatus.NEEDS_ATTENTION, steps=(step,), error=run_error(step))
    if kind == "safe":  # a read changes nothing there, whether it arrived or not: it has simply failed
        step = replace(step, status=StepStatus.FAILED, error={**error, "class": ErrorClass.TRANSIENT.value})
    return _finish_step(actions, progress, step, now)


def _finish_step(actions: Sequence[Action], progress: Progress, step: Step, now: datetime) -> Decision:
    decision = _go_on(actions, progress.with_step(step), now)
    return replace(decision, steps=(step, *decision.steps))


def _wait(progress: Progress, step: Step, next_try: RetryAt) -> Decision:
    step = replace(step, error={**(step.error or {}), "retry_at": format_time(next_try.at)})
    return Decision(progress.with_step(step), RunStatus.WAITING, steps=(step,), available_at=next_try.at)
