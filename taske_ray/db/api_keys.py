"""Rows of API keys: their digests, never the keys."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.tables import ApiKey, Task


async def add_api_key(tx: AsyncSession, key: ApiKey) -> ApiKey:
    """Insert a key and answer it with what the database filled in."""
    tx.add(key)
    await tx.flush()
    await tx.refresh(key)
    return key


async def owns_task(tx: AsyncSession, *, owner: UUID, task_id: UUID) -> bool:
    """Whether a key of this user may be bound to this task."""
    return (await tx.exec(select(Task.id).where(Task.id == task_id, Task.user_id == owner))).first() is not None


async def list_api_keys(tx: AsyncSession, *, owner: UUID, after: UUID | None, limit: int) -> Sequence[ApiKey]:
    """The live keys of a user, newest first, beginning behind `after`."""
    query = select(ApiKey).where(ApiKey.user_id == owner, col(ApiKey.revoked_at).is_(None))
    if after is not None:
        query = query.where(col(ApiKey.id) < after)
    return (await tx.exec(query.order_by(col(ApiKey.id).desc()).limit(limit))).all()


async def revoke_api_key(tx: AsyncSession, *, owner: UUID, key_id: UUID) -> bool:
    """End a key; False when the user has no such live key."""
    revoked = await tx.exec(
        update(ApiKey)
        .where(col(ApiKey.id) == key_id, col(ApiKey.user_id) == owner, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(col(ApiKey.id))
    )
    return revoked.first() is not None


async def revoke_keys_of_session(tx: AsyncSession, *, owner: UUID, session_id: UUID) -> int:
    """End the keys that a session made; how many."""
    revoked = await tx.exec(
        update(ApiKey)
        .where(col(ApiKey.session_id) == session_id, col(ApiKey.user_id) == owner, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(col(ApiKey.id))
    )
    return len(revoked.all())


async def revoke_all_keys(tx: AsyncSession, *, owner: UUID) -> None:
    """End every key of a user."""
    await tx.exec(
        update(ApiKey)
        .where(col(ApiKey.user_id) == owner, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.clock_timestamp())
    )


async def authenticate_key(database: Database, *, digest: bytes) -> dict[str, Any] | None:
    """The user and scopes of a live key of an active user, else None."""
    rows = await database.fetch(queries.authenticate_key, {"digest": digest})
    return rows[0] if rows else None
