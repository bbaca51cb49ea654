"""A call: one attempt of a step, or one check of a poll, for an IntegrationClient. It carries ids, never secrets."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Call:
    """What an IntegrationClient needs to do one thing for one user.

    `id` is unique for the attempt (its outcome can be asked for by it). `capability` and `version` name the pinned
    row; `params` are rendered and complete. `now` is RFC 3339 and fixed for the attempt. `timeout_s` bounds the
    whole conversation, wall clock. `lease_ends_at` is the caller's lease in seconds of the database's clock since
    the epoch: past it nothing may be sent (durability, 5.4); None where no lease guards the call (a test by hand).
    `host` is whose lease that is, which may have been renewed since; `client` is who is meant to make the call.
    `is_retry`: an earlier attempt of the step may have been sent. `depth`: how many runs of ours stand behind this one.
    `task_id` is whose trigger a check belongs to; a step has its run.
    """

    id: str
    user_id: UUID
    capability: str
    version: int
    params: dict[str, Any]
    now: str
    connection_id: UUID | None = None
    run_id: str = ""
    step: str = ""
    fence: int = 0
    idempotency_key: str | None = None
    timeout_s: float = 30.0
    lease_ends_at: float | None = None
    host: UUID | None = None
    client: UUID | None = None
    cursor: dict[str, Any] | None = None
    validators: dict[str, str] = field(default_factory=dict)
    is_retry: bool = False
    depth: int = 0
    task_id: UUID | None = None
