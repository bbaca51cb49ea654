"""The rows of runs, as their hosts write them. Every write is fenced; what does not come back was not written.

             claim, or born owned                 checkpoint + next intent (advance)
    queued ───────────────────────► running ──────────────────────────────► running … succeeded │ failed │ cancelled
      ▲ ▲                            │   │
      │ └── rescue, release ─────────┘   ├──► waiting          (retry, delay, rate limit: no owner, holds no memory)
      └── available_at reached ──────────┘──► needs_attention  (nobody can know whether a call arrived)

Crash before an advance: the step is repeated under the same key, its attempt becomes `unknown`. Crash after it: the
next owner goes on behind the last recorded step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from taske_ray.core.progress import Decision
from taske_ray.crash_points import reach
from taske_ray.db import queries
from taske_ray.db.audit import Entry
from taske_ray.db.database import Database
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.group_commit import GroupCommit

_RESCUE_LOCK = 0x72657363


@dataclass(frozen=True, slots=True)
class AttemptClosed:
    """How an attempt ended."""

    step: int
    number: int
    status: str
    sent: bool | None = None
    counted: bool = True
    http_status: int | None = None
    request: Any = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class AttemptOpened:
    """The intent to make a call, committed before its first byte may leave. `client` is who is to make it."""

    step: int
    number: int
    idempotency_key: str | None = None
    client: UUID | None = None


@dataclass(frozen=True, slots=True)
class StepWritten:
    """A step opened (`running`, with its rendered input), or closed with its output or error."""

    step: int
    key: str
    capability: str
    status: str
    input: Any = None
    output: Any = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class MailWritten:
    """A mail for the outbox, sent after the step that wrote it is recorded."""

    id: UUID
    user_id: UUID
    recipients: tuple[str, ...]
    subject: str
    text: str | None = None
    html: str | None = None
    purpose: str = "action"


@dataclass(frozen=True, slots=True)
class Advance:
    """All that changes for one run in one transaction. `status` is the run's afterwards; `running`: it stays here.

    `user_id`: whose it is, where many are written and users take turns.
    """

    run_id: UUID
    fence: int
    status: str = "running"
    available_at: datetime | None = None
    error: Any = None
    closed: tuple[AttemptClosed, ...] = ()
    steps: tuple[StepWritten, ...] = ()
    opened: tuple[AttemptOpened, ...] = ()
    mails: tuple[MailWritten, ...] = ()
    user_id: UUID | None = None

    @property
    def progressed(self) -> bool:
        """Whether the run got on: taking it up and opening a call again is no progress (durability, 5.7)."""
        return self.status != "running" or any(step.status != "running" for step in self.steps)


@dataclass(frozen=True, slots=True)
class Advanced:
    """`owned` is False when the fence no longer held and nothing was written; `cancelled`: nothing was opened."""

    owned: bool
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step as the database has it."""

    step: int
    key: str
    capability: str
    status: str
    input: Any
    output: Any
    error: Any
    started_at: datetime
    attempts: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class TaskText:
    """A saved version of a task: what its runs execute."""

    task_id: UUID
    version: int
    user_id: UUID
    name: str
    spec: dict[str, Any]
    pins: dict[str, int] = field(default_factory=dict)


_first_user = UUID(int=0)


class RunStore:
    """The runs of one host. `owner` tells the id of its current incarnation."""

    def __init__(self, database: Database, *, owner: Callable[[], UUID], patience_s: float = 20.0) -> None:
        self._database = database
        self._owner = owner
        self._claimed_after = _first_user
        self._advances = GroupCommit(
            self._commit, turn=lambda advance: advance.user_id, most=300, patience_s=patience_s
        )

    async def advance(self, advance: Advance) -> Advanced:
        """Save what happened to one run; returns after COMMIT. Raises Unavailable."""
        return await self._advances.write(advance)

    async def claim(self, *, most: int, share: int | None = None) -> list[AssignedRun]:
        """Take at most `most` due runs.

        A user may have all slots of the cluster, half of them (at least 10) while others have due runs queued, and
        never more running runs than `share`.
        """
        values = {"owner": self._owner(), "share": share, "most": most, "after": self._claimed_after}
        rows = await self._database.fetch(queries.claim_runs, values)
        reached = [row.pop("reached") for row in rows]
        self._claimed_after = reached[0] or _first_user
        return [AssignedRun(**row) for row in rows if row["run_id"] is not None]

    async def claim_suspects(self, *, most: int) -> list[AssignedRun]:
        """Take at most `most` due runs that took two of their hosts along: those that `claim` leaves alone."""
        rows = await self._database.fetch(queries.claim_suspects, {"owner": self._owner(), "most": most})
        return [AssignedRun(**row) for row in rows]

    async def unstarted(self) -> list[AssignedRun]:
        """Runs that were given to this host and whose nudge was lost."""
        rows = await self._database.fetch(queries.unstarted_runs, {"owner": self._owner()})
        return [AssignedRun(**row) for row in rows]

    async def steps(self, run_ids: Sequence[UUID]) -> dict[UUID, list[RecordedStep]]:
        """What these runs have recorded so far."""
        found: dict[UUID, list[RecordedStep]] = {run_id: [] for run_id in run_ids}
        for row in await self._database.fetch(queries.load_steps, {"run_ids": list(run_ids)}):
            found[row.pop("run_id")].append(RecordedStep(**{**row, "attempts": tuple(row["attempts"])}))
        return found

    async def task(self, task_id: UUID, version: int) -> TaskText | None:
        """The task's text that a run pins; None when the task is deleted."""
        rows = await self._database.fetch(queries.task_version, {"task_id": task_id, "version": version})
        return TaskText(**rows[0]) if rows else None

    async def release(self, runs: Sequence[tuple[UUID, int]]) -> None:
        """Give runs (id, fence) that nobody executes here any more back to the queue."""
        await self._database.fetch(
            queries.release_runs,
            {"owner": self._owner(), "run_ids": [r for r, _ in runs], "fences": [f for _, f in runs]},
        )

    async def rescue(self, *, lapsed: bool = True) -> int:
        """Requeue the runs of hosts that are not live; how many. With `lapsed`, first end the leases that ran out."""
        return len(await self._database.fetch(queries.rescue_runs, {"lock": _RESCUE_LOCK, "lapsed": lapsed}))

    async def server(self) -> tuple[datetime, float]:
        """When the database's server started, and how many seconds ago."""
        (row,) = await self._database.fetch(queries.server_age)
        return row["started_at"], row["age_s"]

    async def close(self) -> None:
        """Commit what was accepted, then refuse."""
        await self._advances.close()

    async def _commit(self, advances: Sequence[Advance]) -> list[Advanced]:
        ordered = sorted(advances, key=lambda a: a.run_id.bytes)
        rows = await self._database.fetch(queries.advance_runs, {"owner": self._owner(), **_columns(ordered)})
        reach("C12")
        cancelled = {row["run_id"]: row["cancelled"] for row in rows}
        return [Advanced(a.run_id in cancelled, cancelled.get(a.run_id, False)) for a in advances]


async def suspects_due(database: Database) -> bool:
    """Whether there is work for a quarantine host."""
    due: bool = (await database.fetch(queries.suspects_due))[0]["due"]
    return due


async def read_task_text(database: Database, *, owner: UUID, task_id: UUID, version: int) -> TaskText | None:
    """A saved version of a user's task; None when the task is deleted."""
    rows = await database.fetch(queries.task_version, {"task_id": task_id, "version": version}, owner=owner)
    return TaskText(**rows[0]) if rows and rows[0]["user_id"] == owner else None


async def resolve_run(database: Database, *, owner: UUID, run_id: UUID, decision: Decision, entry: Entry) -> bool:
    """Write a person's decision about the parked step of a run of user `owner`; False when it was made already."""
    (step,) = decision.steps
    values = {
        "run_id": run_id,
        "user_id": owner,
        "status": decision.status.value,
        "error": _json(decision.error),
        "step": step.number,
        "step_status": step.status.value,
        "step_error": _json(step.error),
        "act": entry.as_json(),
    }
    return bool(await database.fetch(queries.resolve_run, values, owner=owner))


async def cancel_run(database: Database, *, owner: UUID, run_id: UUID) -> str | None:
    """Cancel a run of user `owner`: its status now (a running one ends behind its call); None when none or ended."""
    rows = await database.fetch(queries.cancel_run, {"run_id": run_id, "user_id": owner}, owner=owner)
    return rows[0]["status"] if rows else None


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _columns(advances: Sequence[Advance]) -> dict[str, Any]:
    closed = [(a, c) for a in advances for c in a.closed]
    steps = [(a, s) for a in advances for s in _last_of_each(a.steps)]
    opened = [(a, o) for a in advances for o in a.opened]
    mails = [(a, m) for a in advances for m in a.mails]
    return {
        "run_ids": [a.run_id for a in advances],
        "fences": [a.fence for a in advances],
        "statuses": [a.status for a in advances],
        "available_ats": [a.available_at for a in advances],
        "errors": [_json(a.error) for a in advances],
        "progressed": [a.progressed for a in advances],
        "closed_attempt_runs": [a.run_id for a, _ in closed],
        "closed_attempt_steps": [c.step for _, c in closed],
        "closed_attempt_numbers": [c.number for _, c in closed],
        "closed_attempt_statuses": [c.status for _, c in closed],
        "closed_attempt_sents": [c.sent for _, c in closed],
        "closed_attempt_counteds": [c.counted for _, c in closed],
        "closed_attempt_http_statuses": [c.http_status for _, c in closed],
        "closed_attempt_requests": [_json(c.request) for _, c in closed],
        "closed_attempt_errors": [_json(c.error) for _, c in closed],
        "step_runs": [a.run_id for a, _ in steps],
        "step_steps": [s.step for _, s in steps],
        "step_keys": [s.key for _, s in steps],
        "step_capabilities": [s.capability for _, s in steps],
        "step_statuses": [s.status for _, s in steps],
        "step_inputs": [_json(s.input) for _, s in steps],
        "step_outputs": [_json(s.output) for _, s in steps],
        "step_errors": [_json(s.error) for _, s in steps],
        "open_runs": [a.run_id for a, _ in opened],
        "open_steps": [o.step for _, o in opened],
        "open_numbers": [o.number for _, o in opened],
        "open_fences": [a.fence for a, _ in opened],
        "open_keys": [o.idempotency_key for _, o in opened],
        "open_clients": [o.client for _, o in opened],
        "mail_runs": [a.run_id for a, _ in mails],
        "mail_ids": [m.id for _, m in mails],
        "mail_users": [m.user_id for _, m in mails],
        "mail_recipients": ["\n".join(m.recipients) for _, m in mails],
        "mail_subjects": [m.subject for _, m in mails],
        "mail_texts": [m.text for _, m in mails],
        "mail_htmls": [m.html for _, m in mails],
        "mail_purposes": [m.purpose for _, m in mails],
    }


def _last_of_each(steps: Sequence[StepWritten]) -> list[StepWritten]:
    """A step written twice in one advance is one row: ON CONFLICT takes a row once a statement."""
    return list({step.step: step for step in steps}.values())
