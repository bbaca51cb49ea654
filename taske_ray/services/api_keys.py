"""API keys: made, listed and ended by their owner's session, never by another key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.core.ids import format_id, parse_id
from taske_ray.db import api_keys, audit
from taske_ray.db.database import Database
from taske_ray.db.tables import ApiKey
from taske_ray.errors import Invalid, NotFound
from taske_ray.security.tokens import digest, new_api_key


class ApiKeys:
    """The keys of programs."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self, *, owner: UUID, name: str, scopes: Sequence[str], expires_at: datetime | None
    ) -> dict[str, Any]:
        """A new key, shown this once. Raises Invalid."""
        if expires_at is not None and expires_at <= self._clock.now():
            raise Invalid.at("/expires_at", "in_the_past", "A key must expire in the future")
        key_id = new_id()
        text = new_api_key(key_id)
        wanted = list(dict.fromkeys(scopes))
        row = ApiKey(id=key_id, user_id=owner, name=name, hash=digest(text), scopes=wanted, expires_at=expires_at)
        async with self._database.transaction() as tx:
            saved = await api_keys.add_api_key(tx, row)
            await audit.add_audit(
                tx, entry_id=new_id(), action="api_key.create", user_id=owner, object_=format_id("key", key_id)
            )
        return _view(saved) | {"key": text}

    async def list(self, *, owner: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """A page of live keys, newest first."""
        async with self._database.transaction() as tx:
            rows = await api_keys.list_api_keys(tx, owner=owner, after=after, limit=limit)
        return [_view(row) for row in rows]

    async def revoke(self, key_id: str, *, owner: UUID) -> None:
        """End a key: the next request with it is refused. Raises NotFound."""
        found = parse_id("key", key_id)
        async with self._database.transaction() as tx:
            if not await api_keys.revoke_api_key(tx, owner=owner, key_id=found):
                raise NotFound
            await audit.add_audit(tx, entry_id=new_id(), action="api_key.revoke", user_id=owner, object_=key_id)


def _view(row: ApiKey) -> dict[str, Any]:
    return {
        "id": format_id("key", row.id),
        "name": row.name,
        "scopes": row.scopes,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
    }
