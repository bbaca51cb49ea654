"""What a call whose outcome nobody knows was to send: built again from what is recorded, never sent, secrets masked.

An attempt that ended shows the request that its client sent. One that was cut off has none on record; its step's input,
its capability's version and the connection's open half are, and the same request comes of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.core.capability import CallContext, Capability, ConnectionValues, plan_request
from taske_ray.core.ids import format_id, made_at_s, parse_id
from taske_ray.core.task import parse_capability
from taske_ray.core.times import format_time
from taske_ray.db.connections import get_connection
from taske_ray.db.database import Database
from taske_ray.db.history import StoredRun, StoredStep
from taske_ray.db.runs import TaskText, read_task_text
from taske_ray.errors import Invalid, NotFound
from taske_ray.services.catalog_cache import CapabilityCache

_open = frozenset({"dispatched", "unknown"})


class SentRequests:
    """Completes the attempts of runs."""

    def __init__(self, database: Database, *, cache: CapabilityCache) -> None:
        self._database = database
        self._cache = cache

    async def complete(self, run: StoredRun, steps: Sequence[StoredStep], *, owner: UUID) -> Sequence[StoredStep]:
        """The same steps; attempts without outcome and without request show the one that was perhaps sent."""
        if not any(_lacks_request(attempt) for step in steps for attempt in step.attempts):
            return steps
        text = await read_task_text(self._database, owner=owner, task_id=run.task_id, version=run.task_version)
        if text is None:
            return steps
        return [await self._completed(run, step, text, owner) for step in steps]

    async def _completed(self, run: StoredRun, step: StoredStep, text: TaskText, owner: UUID) -> StoredStep:
        if not any(_lacks_request(attempt) for attempt in step.attempts):
            return step
        try:
            capability, connection = await self._parts(run, text.spec["actions"][step.step - 1], text, owner)
        except NotFound:
            return step
        attempts = [
            {**attempt, "request": _request(capability, connection, run, step, attempt)}
            if _lacks_request(attempt)
            else attempt
            for attempt in step.attempts
        ]
        return replace(step, attempts=attempts)

    async def _parts(
        self, run: StoredRun, action: dict[str, Any], text: TaskText, owner: UUID
    ) -> tuple[Capability, ConnectionValues | None]:
        name, pin = parse_capability(action["capability"])
        version = pin or await self._cache.for_run(name, text.pins[name], born_at_s=made_at_s(run.id))
        capability = await self._cache.pinned(name, version)
        if action.get("connection") is None:
            return capability, None
        async with self._database.transaction(owner=owner) as tx:
            row = await get_connection(tx, owner=owner, connection_id=parse_id("conn", action["connection"]))
        return capability, None if row is None else ConnectionValues(auth_id=row.auth, config=row.config)


def _lacks_request(attempt: dict[str, Any]) -> bool:
    return attempt["status"] in _open and attempt.get("request") is None


def _request(
    capability: Capability,
    connection: ConnectionValues | None,
    run: StoredRun,
    step: StoredStep,
    attempt: dict[str, Any],
) -> dict[str, Any] | None:
    run_id = format_id("run", run.id)
    context = CallContext(
        params=step.input or {},
        now=format_time(datetime.fromisoformat(attempt["started_at"])),
        connection=connection,
        run_id=run_id,
        step=step.key,
        idempotency_key=f"{run_id}:{step.key}",
    )
    try:
        return plan_request(capability, context) or None
    except Invalid:
        return None
