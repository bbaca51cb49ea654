"""Consents under way, from the side of who exchanges their codes; the API's side is `connection_authorizations`."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from taske_ray.db import queries
from taske_ray.db.database import Database


async def begun_consent(database: Database, *, user_id: UUID, consent_id: UUID) -> dict[str, Any] | None:
    """The row of a consent whose user is still to be sent to the provider."""
    rows = await database.fetch(queries.begun_consent, {"user_id": user_id, "id": consent_id})
    return rows[0] if rows else None


async def take_consent(database: Database, *, user_id: UUID, consent_id: UUID) -> dict[str, Any] | None:
    """The row of a consent that a user came back with, given out once."""
    rows = await database.fetch(queries.take_consent, {"id": consent_id, "user_id": user_id})
    return rows[0] if rows else None


async def keep_consent(database: Database, **values: Any) -> bool:
    """Make the connection or give it its new credential, in one statement; False where it is gone."""
    written = {name: _json(part) if isinstance(part, Mapping) else part for name, part in values.items()}
    return bool(await database.fetch(queries.keep_consent, written))


async def refuse_consent(database: Database, *, user_id: UUID, consent_id: UUID, error: Mapping[str, Any]) -> None:
    """Nothing came of it, because of `error`."""
    await database.fetch(queries.refuse_consent, {"id": consent_id, "user_id": user_id, "error": _json(error)})


async def is_shared(database: Database, connection_id: UUID, *, leaving: UUID | None = None) -> bool:
    """Whether another connection may live on the same account; those of a user who is `leaving` do not count."""
    rows = await database.fetch(queries.is_shared, {"connection_id": connection_id, "leaving": leaving})
    return bool(rows[0]["shared"])


async def with_tokens(database: Database, user_id: UUID) -> Sequence[UUID]:
    """The connections of a user that hold tokens of a provider."""
    rows = await database.fetch(
        "SELECT id FROM connections WHERE user_id = %(user_id)s AND token_at IS NOT NULL ORDER BY id",
        {"user_id": user_id},
    )
    return [row["id"] for row in rows]


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(value)).decode()
