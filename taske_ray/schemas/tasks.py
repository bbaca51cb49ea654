"""Tasks on the wire: their shape only. `core/task.py` holds the rules and names each one that is broken."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from taske_ray.schemas.wire import Input, Instant, Json, Label, Output

Params = dict[str, Json]
OnError = Literal["stop", "continue"]
OnUnknown = Literal["resend", "ask", "fail"]
Overlap = Literal["allow", "skip", "queue"]


class Retry(Input):
    """How often a step may be tried."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] | None = None


class TriggerSpec(Input):
    """The *When*: one trigger capability."""

    capability: str = Field(examples=["system.schedule.cron"])
    connection: str | None = None
    params: Params = Field(default_factory=dict, examples=[{"cron": "0 9 * * MON", "timezone": "Asia/Seoul"}])


class ActionSpec(Input):
    """One *Then*: an action capability with templates in its parameters."""

    capability: str = Field(examples=["slack.chat.post_message"])
    connection: str | None = None
    params: Params = Field(default_factory=dict)
    key: str | None = Field(default=None, examples=["post"])
    name: Label | None = None
    condition: str | bool | None = Field(default=None, alias="if", examples=["action1.output.count > 0"])
    retry: Retry | None = None
    on_error: OnError | None = None
    timeout_s: Annotated[int, Field(ge=1, le=300)] | None = None
    on_unknown: OnUnknown | None = None


class TaskSpec(Input):
    """What a user defines: one trigger and an ordered list of actions."""

    name: Label
    enabled: bool = True
    overlap: Overlap = "allow"
    trigger: TriggerSpec
    actions: Annotated[list[ActionSpec], Field(max_length=50)] = Field(default_factory=list)


class Trigger(Output):
    """The trigger of a saved task."""

    id: str
    capability: str
    connection: str | None = None
    params: Params
    hook_url: str | None = Field(default=None, description="where to send deliveries; webhooks only")
    signed: bool | None = Field(default=None, description="whether deliveries must carry a signature; webhooks only")
    next_fires: list[datetime] | None = Field(default=None, description="the next five instants; schedules only")
    paused_reason: str | None = None


class Action(Output):
    """An action of a saved task, with its defaults filled in."""

    capability: str
    connection: str | None = None
    params: Params
    key: str | None = None
    name: str | None = None
    condition: str | bool | None = Field(default=None, alias="if")
    retry: dict[str, Any] | None = None
    on_error: OnError | None = None
    timeout_s: int | None = None
    on_unknown: OnUnknown | None = None


class Task(Output):
    """A saved task."""

    id: str
    version: int
    name: str
    enabled: bool
    overlap: Overlap = "allow"
    trigger: Trigger
    actions: list[Action]
    created_at: datetime
    updated_at: datetime


class TaskVersion(Output):
    """One saved version of a task."""

    version: int
    created_at: datetime
    spec: dict[str, Json] = Field(description="name, trigger, actions, overlap as saved")


class Rollback(Input):
    """Save an earlier version again, as the newest."""

    version: Annotated[int, Field(ge=1)]


class RunTask(Input):
    """Fire by hand; `input` becomes `trigger.output`."""

    input: dict[str, Json] | None = None


class Backfill(Input):
    """A range of the past, both ends included."""

    since: Instant = Field(alias="from", examples=["2027-01-01T00:00:00Z"])
    until: Instant = Field(examples=["2027-01-31T00:00:00Z"])


class Backfilled(Output):
    """What a backfill did: runs made, and instants that had one already."""

    runs: int
    skipped: int
    run_ids: list[str] = Field(default_factory=list, description="the runs made, oldest instant first")


class RunStarted(Output):
    """The run that was created."""

    run_id: str


class PlannedRequest(Output):
    """A request that a run would send, with secrets masked; or why there is none."""

    step: str
    capability: str
    skipped: bool = False
    method: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    body: Json = None
    encoding: str | None = None
    unresolved: list[str] = Field(default_factory=list)
    error: str | None = None


class Plan(Output):
    """What a run would send, step by step."""

    requests: list[PlannedRequest]


class Check(Output):
    """One check of a polling trigger."""

    checked_at: datetime
    result: dict[str, Json]


class Skip(Output):
    """Occurrences that did not become a run, counted by reason and minute."""

    reason: str
    first_at: datetime
    last_at: datetime
    count: int
    sample: Json = None


class Subscription(Output):
    """A webhook that this service registers at another one."""

    status: Literal["subscribing", "active"]
    error: Json = None
    expires_at: datetime | None = None
    updated_at: datetime


class RunsByReason(Output):
    """So many of the task's latest 200 runs are in this status for this reason; `run_id` is the newest of them."""

    status: str
    code: str
    count: int
    run_id: str


class LimitInUse(Output):
    """One limit of this user (reference/settings): null for none; `code` is what its excess is called."""

    name: str
    limit: int | None = None
    code: str | None = None
    used: int | None = Field(default=None, description="where it can be counted")


class Explain(Output):
    """Why a task did or did not run."""

    task_id: str
    enabled: bool
    paused_reason: str | None = None
    misfire: str | None = None
    next_fires: list[datetime]
    checks: list[Check]
    subscription: Subscription | None = Field(
        default=None, description="how the webhook stands at its service, where this service registers it"
    )
    skips: list[Skip]
    outcomes: list[RunsByReason] = Field(default_factory=list, description="runs that wait or failed, and why")
    limits: list[LimitInUse] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list, description="the same in words")
