"""Rows of the audit trail: append only."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.tables import Audit


@dataclass(frozen=True, slots=True)
class Entry:
    """An act, ready to be recorded: who did what to which thing, from where, and what came of it."""

    id: UUID
    action: str
    user_id: UUID | None
    object: str | None = None
    result: str = "ok"
    session_id: UUID | None = None
    key_id: UUID | None = None
    address: str | None = None
    detail: Any = None

    def as_json(self) -> str:
        """For a statement that records it together with what it does (`db/sql/create_task.sql` and others)."""
        return orjson.dumps(asdict(self)).decode()


@dataclass(frozen=True, slots=True)
class ActFilter:
    """Which acts are asked for. `action` is a whole one or the first words of several: `task` is `task.create`, too."""

    action: str | None = None
    result: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    user_id: UUID | None = None


async def add_audit(  # noqa: PLR0913 - one argument a column
    tx: AsyncSession,
    *,
    entry_id: UUID,
    action: str,
    result: str = "ok",
    user_id: UUID | None = None,
    session_id: UUID | None = None,
    key_id: UUID | None = None,
    address: str | None = None,
    object_: str | None = None,
    detail: Any = None,
) -> None:
    """Record who did what to which thing, in the transaction that does it."""
    values = {
        "id": entry_id,
        "action": action,
        "result": result,
        "user_id": user_id,
        "session_id": session_id,
        "key_id": key_id,
        "address": address,
        "object": object_,
        "detail": detail,
    }
    await tx.exec(insert(Audit).values(**{name: value for name, value in values.items() if value is not None}))


async def record_acts(database: Database, entries: Sequence[Entry], *, owner: UUID | None = None) -> None:
    """Record acts in a transaction of their own; one that is there already stays. Raises Unavailable."""
    acts = orjson.dumps([asdict(entry) for entry in entries]).decode()
    await database.fetch(queries.record_acts, {"acts": acts}, owner=owner)


async def list_acts(
    database: Database, only: ActFilter, *, owner: UUID, after: UUID | None, limit: int, everybody: bool = False
) -> list[dict[str, Any]]:
    """A page of a user's acts, newest first; with `everybody` of all users, if `owner` is an administrator."""
    values = {**asdict(only), "after": after, "limit": limit, "owner": owner}
    return await database.fetch(queries.list_all_acts if everybody else queries.list_acts, values, owner=owner)
