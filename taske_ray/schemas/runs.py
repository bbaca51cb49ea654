"""Runs on the wire: what happened, step by step and attempt by attempt, with secrets masked."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from taske_ray.schemas.wire import Input, Json, Output

RunStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled", "needs_attention"]
StepStatus = Literal["pending", "running", "succeeded", "failed", "skipped", "unknown"]
AttemptStatus = Literal["dispatched", "succeeded", "failed", "unknown"]
finished_statuses: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Failure(Output):
    """Why something failed: its class decides what happens next, the message says what went wrong."""

    error_class: str | None = Field(default=None, alias="class", examples=["rate_limited"])
    code: str | None = Field(default=None, examples=["http_error"])
    message: str = ""
    hint: str | None = Field(default=None, description="what to do about it")
    step: str | None = None


class Attempt(Output):
    """One try of a step, numbered from 1."""

    number: int
    status: AttemptStatus
    http_status: int | None = None
    started_at: datetime
    finished_at: datetime | None = None
    error: Failure | None = None
    request: Json = Field(
        default=None, description="as it was sent, or was to be sent if its outcome is unknown; secrets masked"
    )


class Step(Output):
    """One action in a run."""

    key: str
    capability: str
    status: StepStatus
    started_at: datetime | None = None
    finished_at: datetime | None = None
    input: Json = None
    output: Json = None
    error: Failure | None = None
    attempts: list[Attempt] = Field(default_factory=list)


class RunSummary(Output):
    """A run in a list."""

    id: str
    task_id: str
    task_version: int
    status: RunStatus
    trigger_output: Json = None
    scheduled_at: datetime | None = None
    replay_of: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Failure | None = None


class Run(RunSummary):
    """A run with its steps and attempts."""

    steps: list[Step]


class Replay(Input):
    """Run again: from the start, from the failed step, or from the step with this key."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_by_name=False, validate_by_alias=True)

    start: str = Field(default="start", alias="from", examples=["failed"])
    version: Literal["pinned", "latest"] = "pinned"
    input: dict[str, Json] | None = None


class Resolve(Input):
    """What a person knows about the call of a parked run."""

    decision: Literal["sent", "resend", "fail"]


class Resolved(Output):
    """The run goes on (`queued`), or has ended (`failed`)."""

    run_id: str
    status: RunStatus


class Cancelled(Output):
    """What a cancel found: `cancelled` at once, or `cancelling` while its host ends the call in flight."""

    run_id: str
    status: RunStatus
