"""A run as values: its states and legal moves, its actions, and what it has recorded. `progress` moves it on.

run      queued ─► running ─► succeeded | failed | cancelled
            ▲      │  ▲  └──► needs_attention ─► queued | failed | cancelled
            └──────┘  └─ waiting ─► cancelled
step     pending ─► running ─► succeeded | failed | unknown        pending ─► skipped | failed
attempt  dispatched ─► succeeded | failed | unknown             unknown ─► succeeded | failed, if its client still knew
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from taske_ray.core.retry import OnUnknown, RetryPolicy, Tried, obeyed_wait_s
from taske_ray.limits import Limits, profiles


class RunStatus(StrEnum):
    """Where a run is. The last three never change."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    NEEDS_ATTENTION = "needs_attention"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Where a step is. `unknown`: nobody can know whether its call arrived."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class AttemptStatus(StrEnum):
    """Where an attempt is; `dispatched` is the intent, committed before the call."""

    DISPATCHED = "dispatched"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


Status = TypeVar("Status", RunStatus, StepStatus, AttemptStatus)
_R, _S, _A = RunStatus, StepStatus, AttemptStatus
_run_moves = {
    _R.QUEUED: {_R.RUNNING, _R.CANCELLED},
    _R.RUNNING: {_R.QUEUED, _R.WAITING, _R.NEEDS_ATTENTION, _R.SUCCEEDED, _R.FAILED, _R.CANCELLED},
    _R.WAITING: {_R.RUNNING, _R.CANCELLED},
    _R.NEEDS_ATTENTION: {_R.QUEUED, _R.FAILED, _R.CANCELLED},
}
_step_moves = {
    _S.PENDING: {_S.RUNNING, _S.SKIPPED, _S.FAILED},
    _S.RUNNING: {_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN},
    _S.UNKNOWN: {_S.PENDING, _S.SUCCEEDED, _S.FAILED},  # only by a person: resend, sent, fail
}
_attempt_moves = {
    _A.DISPATCHED: {_A.SUCCEEDED, _A.FAILED, _A.UNKNOWN},
    _A.UNKNOWN: {_A.SUCCEEDED, _A.FAILED},  # only by adoption: the client that made the call still had its outcome
}
# by type, because members of different StrEnums with one text are equal
_moves: dict[type, dict[Any, set[Any]]] = {_R: _run_moves, _S: _step_moves, _A: _attempt_moves}
terminal = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})
_over = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.UNKNOWN})


def can_move(a: Status, b: Status) -> bool:
    """Whether a run, step or attempt may go from `a` to `b`; staying is no move."""
    return type(a) is type(b) and b in _moves[type(a)].get(a, ())


class Evaluated(Protocol):
    """A compiled template, as far as a run needs it."""

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Its value in this scope; TemplateError if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Action:
    """One *Then* of a task version, compiled. `number` counts from 1 and is the step's number.

    `key` is its own key or `actionN`; a template reaches it by both. `condition` None: always. `fill` completes and
    checks rendered parameters, given `now` (`ParamsSchema.fill`); it raises Invalid.
    """

    number: int
    key: str
    capability: str
    version: int
    params: Evaluated
    condition: Evaluated | None = None
    connection: str | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    on_error: Literal["stop", "continue"] = "stop"
    timeout_s: float = 30.0
    on_unknown: OnUnknown | None = None
    fill: Callable[[dict[str, Any], str], dict[str, Any]] | None = None

    @property
    def aliases(self) -> tuple[str, ...]:
        """The names that templates use for it."""
        return tuple(dict.fromkeys((f"action{self.number}", self.key)))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step, as recorded. `error` is `{class, code, message}` and what a service ordered us to wait.

    `client` is the incarnation of the integration client that was to make the call.
    """

    number: int
    status: AttemptStatus
    started_at: datetime
    finished_at: datetime | None = None
    counted: bool = True
    sent: bool | None = None
    http_status: int | None = None
    request: Any = None
    error: dict[str, Any] | None = None
    client: UUID | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One action in one run, as recorded. `input` is rendered once and reused by every attempt."""

    number: int
    key: str
    capability: str
    status: StepStatus
    input: dict[str, Any] | None = None
    output: Any = None
    error: dict[str, Any] | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the run goes on behind it."""
        return self.status in _over

    @property
    def next_attempt(self) -> int:
        """The number of its next attempt."""
        return self.attempts[-1].number + 1 if self.attempts else 1

    def with_attempt(self, attempt: Attempt) -> "Step":
        """The same step with this attempt in place of the one with its number, or added."""
        others = [known for known in self.attempts if known.number != attempt.number]
        return replace(self, attempts=tuple(sorted([*others, attempt], key=lambda one: one.number)))

    def tried(self) -> Tried:
        """Its attempts as the retry rules count them; there must be one."""
        errors = [attempt.error or {} for attempt in self.attempts]
        return Tried(
            number=self.attempts[-1].number,
            counted=sum(attempt.counted for attempt in self.attempts),
            first_started_at=self.attempts[0].started_at,
            expired=sum(error.get("class") == "auth_expired" for error in errors),
            ordered_wait_s=sum(obeyed_wait_s(error.get("retry_after_s")) or 0.0 for error in errors[:-1]),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """All that a run knows: what fired it, what `run` and `task` mean in its templates, and its steps by number.

    `limits` bound how long it may be active and how much it may hold.
    """

    trigger_output: Any
    run: Mapping[str, Any]
    task: Mapping[str, Any]
    steps: Mapping[int, Step] = field(default_factory=dict)
    limits: Limits = profiles["default"]

    def with_step(self, step: Step) -> "Progress":
        """The same run after this step was written."""
        return replace(self, steps={**self.steps, step.number: step})

    def active_time(self, now: datetime) -> timedelta:
        """How long calls of this run have been under way in all."""
        attempts = (attempt for step in self.steps.values() for attempt in step.attempts)
        return sum(((attempt.finished_at or now) - attempt.started_at for attempt in attempts), timedelta())

    def outputs(self) -> list[Any]:
        """Everything its templates can reach."""
        return [self.trigger_output, *(step.output for step in self.steps.values())]


def parse_attempt(row: Mapping[str, Any]) -> Attempt:
    """An attempt from a row as JSON gives it: statuses as text, times as RFC 3339."""
    finished = row.get("finished_at")
    return Attempt(
        number=row["number"],
        status=AttemptStatus(row["status"]),
        started_at=_time(row["started_at"]),
        finished_at=None if finished is None else _time(finished),
        counted=row.get("counted", True),
        sent=row.get("sent"),
        http_status=row.get("http_status"),
        request=row.get("request"),
        error=row.get("error"),
        client=None if row.get("client") is None else UUID(row["client"]),
    )


def _time(value: str | datetime) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def next_step(actions: Sequence[Action], steps: Mapping[int, Step]) -> int | None:
    """The number of the step to work on; None when the run is over, by its end or by a step that stops it."""
    for action in actions:
        step = steps.get(action.number)
        if step is None or not step.is_over:
            return action.number
        if stops(action, step):
            return None
    return None


def stops(action: Action, step: Step) -> bool:
    """Whether this step ends the run as failed."""
    return step.status in {StepStatus.FAILED, StepStatus.UNKNOWN} and action.on_error == "stop"


def scope(actions: Sequence[Action], progress: Progress, now: str) -> dict[str, Any]:
    """The names that a step's templates see (format, 2.4): trigger, earlier actions by number and key, run, task, now.

    `now` is RFC 3339 and stays the same for all templates of a step.
    """
    names: dict[str, Any] = {
        "trigger": {"output": progress.trigger_output},
        "run": dict(progress.run),
        "task": dict(progress.task),
        "now": now,
    }
    for action in actions:
        step = progress.steps.get(action.number)
        if step is not None and step.is_over:
            seen = {"output": step.output, "status": step.status.value, "error": step.error}
            names.update(dict.fromkeys(action.aliases, seen))
    return names
