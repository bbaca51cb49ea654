"""Rows of webhooks that are registered at services: what is wanted, what is due, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson

from taske_ray.clock import new_id
from taske_ray.db import queries
from taske_ray.db.database import Database

_BEGUN_AT_ONCE = 100
Status = Literal["subscribing", "active", "ending"]


@dataclass(frozen=True, slots=True)
class DueSubscription:
    """A registration to look after now. `hook_sealed` is its trigger's, None once that is gone.

    `succeeded`: another registration of the trigger stands. `taken_until` is the fence of who looks after it: when
    another client has it, what comes from the first one changes nothing.
    """

    id: UUID
    trigger_id: UUID
    user_id: UUID
    capability: str
    capability_version: int
    connection_id: UUID | None
    spec: dict[str, Any]
    status: Status
    sealed: bytes | None
    expires_at: datetime | None
    tries: int
    taken_until: datetime
    hook_sealed: bytes | None
    now: datetime
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """How a registration stands after the service was asked."""

    status: Status
    again_s: float
    data_key: UUID | None
    sealed: bytes | None
    expires_at: datetime | None = None
    tries: int = 0
    error: dict[str, Any] | None = None


async def live_subscriptions(database: Database, *, trigger_id: UUID) -> list[dict[str, Any]]:
    """The registrations of a trigger whose deliveries count, each with what it keeps, sealed; the newest first."""
    statement = (
        "SELECT id, sealed FROM subscriptions WHERE trigger_id = %(trigger_id)s AND status <> 'ending'"
        " AND sealed IS NOT NULL ORDER BY created_at DESC LIMIT 5"
    )
    return await database.fetch(statement, {"trigger_id": trigger_id})


async def standing_of(database: Database, *, owner: UUID, trigger_id: UUID) -> dict[str, Any] | None:
    """How a trigger's newest registration stands: `{status, error, expires_at, updated_at}`; None if there is none."""
    statement = (
        "SELECT status, error, expires_at, updated_at FROM subscriptions WHERE trigger_id = %(trigger_id)s"
        " AND user_id = %(owner)s AND status <> 'ending' ORDER BY created_at DESC LIMIT 1"
    )
    rows = await database.fetch(statement, {"trigger_id": trigger_id, "owner": owner}, owner=owner)
    return rows[0] if rows else None


class SubscriptionStore:
    """The registrations of all users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reconcile(self) -> None:
        """Make a row for each registration that is missing, and mark those that nobody wants any more."""
        await self._database.fetch(queries.begin_subscriptions, {"ids": [new_id() for _ in range(_BEGUN_AT_ONCE)]})
        await self._database.fetch(queries.end_subscriptions)

    async def claim(self, *, most: int, lease_s: float) -> list[DueSubscription]:
        """Take registrations that are due; one whose client dies comes back after `lease_s`."""
        rows = await self._database.fetch(queries.claim_subscriptions, {"most": most, "lease_s": lease_s})
        return [DueSubscription(**row) for row in rows]

    async def keep(self, subscription_id: UUID, data_key: UUID | None, sealed: bytes | None) -> None:
        """Keep what the first request will say, before it is made."""
        values = {"id": subscription_id, "data_key": data_key, "sealed": sealed}
        await self._database.fetch(queries.keep_generated, values)

    async def settle(self, due: DueSubscription, settled: Settled) -> None:
        """Record how it stands. One that nobody wants any more by now stays so, and is ended at once."""
        values = {name: getattr(settled, name) for name in Settled.__slots__ if name != "error"}
        error = None if settled.error is None else orjson.dumps(settled.error).decode()
        values |= {"id": due.id, "taken_until": due.taken_until, "error": error}
        await self._database.fetch(queries.settle_subscription, values)

    async def replace(self, old: DueSubscription, left: Settled, left_id: UUID, settled: Settled) -> None:
        """Record a registration that took another's place, and the other one as to be ended."""
        values = {
            "id": left_id,
            "old": old.id,
            "taken_until": old.taken_until,
            "data_key": left.data_key,
            "sealed": left.sealed,
        }
        await self._database.fetch(queries.leave_subscription, values)
        await self.settle(old, settled)

    async def drop(self, due: DueSubscription) -> None:
        """The registration is over."""
        statement = "DELETE FROM subscriptions WHERE id = %(id)s AND taken_until = %(taken_until)s RETURNING id"
        await self._database.fetch(statement, {"id": due.id, "taken_until": due.taken_until})
