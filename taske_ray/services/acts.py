"""Reading the audit trail, by page."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from taske_ray.core.ids import format_id
from taske_ray.db import audit
from taske_ray.db.audit import ActFilter as ActFilter  # noqa: PLC0414 - the routes' word for what is asked for
from taske_ray.db.database import Database


class Acts:
    """What users did, or was done to their accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, only: ActFilter, *, owner: UUID, after: UUID | None, limit: int, everybody: bool = False
    ) -> Sequence[dict[str, Any]]:
        """A page of a user's acts, newest first; with `everybody` of all users, for an administrator."""
        rows = await audit.list_acts(self._database, only, owner=owner, after=after, limit=limit, everybody=everybody)
        return [_view(row) for row in rows]


def _view(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": format_id("act", row["id"]),
        "at": row["at"],
        "user_id": format_id("user", row["user_id"]) if row["user_id"] else None,
        "session_id": format_id("session", row["session_id"]) if row["session_id"] else None,
        "key_id": format_id("key", row["key_id"]) if row["key_id"] else None,
        "address": row["address"],
        "action": row["action"],
        "object": row["object"],
        "result": row["result"],
        "detail": row["detail"],
    }
