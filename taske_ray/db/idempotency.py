"""Rows of answers kept a day for their `Idempotency-Key`."""

from typing import Any
from uuid import UUID

from taske_ray.db import queries
from taske_ray.db.database import Database


async def begin(
    database: Database, *, owner: UUID, key: str, request_hash: bytes, claim: UUID
) -> dict[str, Any] | None:
    """Claim a key for this request: None if it is now ours to answer, else `{request_hash, status, body}` as found.

    `status` is null while the first request is being answered.
    """
    values = {"user_id": owner, "key": key, "request_hash": request_hash, "claim": str(claim)}
    rows = await database.fetch(queries.begin_idempotent, values, owner=owner)
    return None if rows[0]["ours"] else rows[0]


async def finish(database: Database, *, owner: UUID, key: str, status: int, body: str) -> None:
    """Keep the answer (JSON text)."""
    values = {"user_id": owner, "key": key, "status": status, "body": body}
    await database.fetch(queries.finish_idempotent, values, owner=owner)


async def abandon(database: Database, *, owner: UUID, key: str) -> None:
    """Forget a claim whose request changed nothing, so that it may be tried again."""
    await database.fetch(queries.abandon_idempotent, {"user_id": owner, "key": key}, owner=owner)
