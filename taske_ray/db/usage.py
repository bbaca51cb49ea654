"""What a user has used of their limits, and what became of a task's latest runs: for whoever asks why."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.limits import Limits

_latest_runs = 200


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """So many of the latest runs are in this status for this reason; `run_id` is the newest of them."""

    status: str
    code: str
    count: int
    run_id: UUID


async def usage_of(database: Database, *, owner: UUID, limits: Limits) -> dict[str, int]:
    """How much a user has used, by the name of the limit, for those that can be counted. Raises Unavailable."""
    values = {"user_id": owner, "queue_limit": limits.queued_runs}
    (row,) = await database.fetch(queries.usage_of_user, values, owner=owner)
    return dict(row)


async def outcomes_of(database: Database, *, owner: UUID, task_id: UUID) -> Sequence[RunOutcome]:
    """What became of a task's latest runs, as far as they did not succeed. Raises Unavailable."""
    values = {"user_id": owner, "task_id": task_id, "most": _latest_runs}
    return [RunOutcome(**row) for row in await database.fetch(queries.outcomes_of_task, values, owner=owner)]
