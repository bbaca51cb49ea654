"""Rows of the one address that a module has for all users of its app."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from taske_ray.db import queries
from taske_ray.db.database import Database


@dataclass(frozen=True, slots=True)
class StoredAppHook:
    """An app's hook: its token and the app's secrets, sealed together."""

    module: str
    data_key: UUID
    sealed: bytes
    updated_at: datetime


class AppHookRows:
    """The hooks of apps; written by admins."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, module: str, *, admin: UUID) -> StoredAppHook | None:
        """The hook of a module's app."""
        statement = "SELECT module, data_key, sealed, updated_at FROM app_hooks WHERE module = %(module)s"
        rows = await self._database.fetch(statement, {"module": module}, owner=admin)
        return StoredAppHook(**rows[0]) if rows else None

    async def put(self, module: str, *, admin: UUID, digest: bytes, data_key: UUID, sealed: bytes) -> None:
        """Save the hook of a module's app."""
        values = {"module": module, "hook_hash": digest, "data_key": data_key, "sealed": sealed}
        statement = (
            "INSERT INTO app_hooks (module, hook_hash, data_key, sealed)"
            " VALUES (%(module)s, %(hook_hash)s, %(data_key)s, %(sealed)s)"
            " ON CONFLICT (module) DO UPDATE SET hook_hash = EXCLUDED.hook_hash, data_key = EXCLUDED.data_key,"
            " sealed = EXCLUDED.sealed, updated_at = clock_timestamp() RETURNING module"
        )
        await self._database.fetch(statement, values, owner=admin)

    async def delete(self, module: str, *, admin: UUID) -> bool:
        """Remove it; False if there is none."""
        statement = "DELETE FROM app_hooks WHERE module = %(module)s RETURNING module"
        return bool(await self._database.fetch(statement, {"module": module}, owner=admin))


async def find_app_hook(database: Database, *, digest: bytes) -> dict[str, Any] | None:
    """The app's hook behind a token's digest."""
    rows = await database.fetch(queries.find_app_hook, {"digest": digest})
    return rows[0] if rows else None


async def triggers_of_app(database: Database, *, module: str, match: str, tenant: str) -> list[dict[str, Any]]:
    """The triggers that a delivery to an app is for."""
    return await database.fetch(queries.triggers_of_app, {"module": module, "match": match, "tenant": tenant})
