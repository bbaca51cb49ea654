"""What is handed over when a trigger fires, and the answer: one event, a due schedule, a page of a poll, a skip."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from taske_ray.limits import codes


@dataclass(frozen=True, slots=True)
class Fire:
    """One observed occurrence. `run_id` is made by the caller; `host` is where the run would like to execute.

    `overlap` is the policy of the trigger in `trigger_version`: all but `allow` are recorded one at a time. `depth` is
    how many runs of ours stand behind it, each of which called a hook of ours.
    """

    trigger_id: UUID
    user_id: UUID
    task_id: UUID
    task_version: int
    fire_key: str
    run_id: UUID
    input: Any
    scheduled_at: datetime | None = None
    host: UUID | None = None
    trigger_version: int | None = None
    overlap: str = "allow"
    must_be_enabled: bool = True
    replay_of: UUID | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class AssignedRun:
    """A run that its host may start without reading it back; `orphaned`: its task was deleted before."""

    run_id: UUID
    host: UUID
    fence: int
    user_id: UUID
    task_id: UUID
    task_version: int
    trigger_id: UUID | None
    input: Any
    depth: int = 0
    orphaned: bool = False


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a Fire.

    `gone`: the trigger is deleted, disabled or another version; `full`: the queue is; `spent`: the runs that its user
    may have in a day are; `overlap`: another run of the task is live (and, where one may wait, one waits), which the
    skip on record says.
    """

    run_id: UUID
    status: Literal["created", "duplicate", "gone", "full", "spent", "overlap"]
    assigned: AssignedRun | None = None


details = {"full": codes["queued_runs"], "spent": codes["runs_per_day"], "overlap": "overlap"}
"""What a skip `quota` says, by what became of the event."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Why an occurrence did not become a run; `sample` shows one of them."""

    trigger_id: UUID
    reason: str
    count: int = 1
    sample: Any = None


@dataclass(frozen=True, slots=True)
class ScheduleFire:
    """A schedule that is due: its instants become runs, and its next instant replaces the expected one."""

    trigger_id: UUID
    version: int
    expected: datetime
    next_fire_at: datetime | None
    fires: tuple[Fire, ...] = ()
    skips: tuple[Skip, ...] = ()


@dataclass(frozen=True, slots=True)
class PollFire:
    """A checked page of a poll: candidates by (key, version key), and the cursor that replaces the one that was read.

    `seed`: the candidates go into the ledger and become no runs (the first check).
    """

    trigger_id: UUID
    cursor_version: int
    cursor: dict[str, Any]
    candidates: tuple[tuple[str, str, Fire], ...] = ()
    seed: tuple[tuple[str, str], ...] = ()
    skips: tuple[Skip, ...] = ()
    check: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PollFired:
    """What a page became: `fired` for the new items.

    Nothing was recorded of it when `lost`, because another check moved the cursor first or the trigger was edited, nor
    when `full`, because the user's queue, or day, has no room.
    """

    fired: tuple[Fired, ...] = ()
    duplicates: int = 0
    lost: bool = False
    full: bool = False
