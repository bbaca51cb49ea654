"""API keys: made, listed and ended by their owner's session, never by another key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.clock import Clock, new_id
from taske_ray.core.ids import format_id, parse_id
from taske_ray.db import api_keys
from taske_ray.db.database import Database, Transaction
from taske_ray.db.tables import ApiKey
from taske_ray.errors import Invalid, NotFound
from taske_ray.security.tokens import digest, new_api_key
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.trail import record


class ApiKeys:
    """The keys of programs."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(
        self,
        principal: Principal,
        origin: Origin,
        *,
        name: str,
        scopes: Sequence[str],
        expires_at: datetime | None,
        task_id: str | None = None,
    ) -> dict[str, Any]:
        """A new key, shown this once; `task_id`: the only task that it may touch. Raises Invalid."""
        if expires_at is not None and expires_at <= self._clock.now():
            raise Invalid.at("/expires_at", "in_the_past", "A key must expire in the future")
        owner, key_id = principal.user_id, new_id()
        text = new_api_key(key_id)
        row = ApiKey(
            id=key_id,
            user_id=owner,
            name=name,
            hash=digest(text),
            scopes=list(dict.fromkeys(scopes)),
            expires_at=expires_at,
            session_id=principal.session_id,
        )
        async with self._database.transaction(owner=owner) as tx:
            if task_id is not None:
                row.task_id = await _own_task(tx, task_id, owner)
            saved = await api_keys.add_api_key(tx, row)
            await record(tx, "api_key.create", by=principal, origin=origin, object_=format_id("key", key_id))
        return _view(saved) | {"key": text}

    async def list(self, *, owner: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """A page of live keys, newest first."""
        async with self._database.transaction(owner=owner) as tx:
            rows = await api_keys.list_api_keys(tx, owner=owner, after=after, limit=limit)
        return [_view(row) for row in rows]

    async def revoke(self, key_id: str, principal: Principal, origin: Origin) -> None:
        """End a key: the next request with it is refused. Raises NotFound."""
        found = parse_id("key", key_id)
        async with self._database.transaction(owner=principal.user_id) as tx:
            if not await api_keys.revoke_api_key(tx, owner=principal.user_id, key_id=found):
                raise NotFound
            await record(tx, "api_key.revoke", by=principal, origin=origin, object_=key_id)


async def _own_task(tx: Transaction, task_id: str, owner: UUID) -> UUID:
    """The task that a key is bound to; a foreign one looks like a missing one."""
    try:
        found = parse_id("task", task_id)
    except NotFound:
        found = None
    if found is None or not await api_keys.owns_task(tx, owner=owner, task_id=found):
        raise Invalid.at("/task_id", "unknown_task", "There is no such task")
    return found


def _view(row: ApiKey) -> dict[str, Any]:
    return {
        "id": format_id("key", row.id),
        "name": row.name,
        "scopes": row.scopes,
        "task_id": format_id("task", row.task_id) if row.task_id else None,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
    }
