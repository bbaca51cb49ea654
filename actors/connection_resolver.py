"""From a connection's id to its secrets, for the IntegrationClient alone: read at every use, opened, never kept.

All calls that come up while one read is under way share the next one, so that a burst costs a few statements and nobody
sees a connection as it was before they asked.
"""

import asyncio
from uuid import UUID

from actors.data_keys import DataKeys
from taske_ray.clock import new_id
from taske_ray.core.capability import ConnectionValues, Module
from taske_ray.core.ids import format_id
from taske_ray.db import audit, connection_tokens, connections
from taske_ray.db.connections import SealedConnection
from taske_ray.db.database import Database
from taske_ray.errors import NotFound, Unavailable
from taske_ray.gather import Gatherer
from taske_ray.integrations.credentials import open_credentials
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.security.sealed import VaultError
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.reauthorization import most_told, reauth_letters

_at_once = 200
_Wish = tuple[tuple[UUID, UUID], asyncio.Future[SealedConnection | None]]


class ConnectionResolver:
    """Opens connections for those who may use them. `url` is where a user makes a connection anew."""

    def __init__(self, database: Database, keys: DataKeys, *, url: str) -> None:
        self._database = database
        self._keys = keys
        self._url = url
        self._wishes: Gatherer[_Wish] = Gatherer(self._read, most=_at_once, lanes=2)

    async def open(self, user_id: UUID, connection_id: UUID) -> OpenedConnection:
        """The connection, if this user may use it. Raises NotFound, VaultError, Unavailable."""
        found: asyncio.Future[SealedConnection | None] = asyncio.get_running_loop().create_future()
        if not self._wishes.offer(((user_id, connection_id), found)):
            raise Unavailable("Too many connections are asked for at once")
        row = await found
        if row is None:
            raise NotFound
        try:
            return _opened(row, await self._values(row))
        except VaultError as error:
            if row.status != "needs_reauth":  # said once; whoever uses it all the same adds nothing
                await self._record_unreadable(row)
                await self.mark_needs_reauth(_opened(row, ConnectionValues(row.auth, row.config)), error.code)
            raise

    async def _record_unreadable(self, row: SealedConnection) -> None:
        """A value that was moved or changed is somebody's doing (security, 9.2): who looks into it finds when."""
        async with self._database.transaction() as tx:
            await audit.add_audit(
                tx,
                entry_id=new_id(),
                action="connection.unreadable",
                result="refused",
                user_id=row.user_id,
                object_=format_id("conn", row.id),
            )

    async def mark_needs_reauth(self, opened: OpenedConnection, reason: str) -> None:
        """Nothing uses this version of the connection again; who can make it anew is told once."""
        assert opened.id is not None
        await connection_tokens.mark_needs_reauth(
            self._database,
            owner=opened.owner,
            connection_id=opened.id,
            version=opened.version,
            reason=reason,
            letters=reauth_letters(self._url, format_id("conn", opened.id)),
            mail_ids=[new_id() for _ in range(most_told)],
        )

    async def _read(self, wishes: list[_Wish]) -> None:
        wanted = list(dict.fromkeys(who for who, _ in wishes))
        try:
            rows = await connections.sealed_connections(self._database, wanted)
        except Exception as error:  # noqa: BLE001 - whatever it is, they who wait must learn of it
            for _, found in wishes:
                if not found.done():
                    found.set_exception(error)
            return
        for who, found in wishes:
            if not found.done():
                found.set_result(rows.get(who))

    async def _values(self, row: SealedConnection) -> ConnectionValues:
        if row.sealed is None:
            return ConnectionValues(auth_id=row.auth, config=row.config, secret={})
        key = await self._keys.get(row.data_key, row.user_id)
        return open_credentials(key, row.id, bytes(row.sealed), auth_id=row.auth, config=row.config)


class CatalogOfCalls:
    """The catalog as the IntegrationClient asks for it."""

    def __init__(self, cache: CapabilityCache) -> None:
        self.pinned = cache.pinned
        self._cache = cache

    async def module(self, module_id: str) -> Module:
        """The module as it is now. Raises NotFound, Unavailable."""
        current = (await self._cache.catalog()).modules.get(module_id)
        if current is None:
            raise NotFound(f"There is no module {module_id}")
        return current.module


def _opened(row: SealedConnection, values: ConnectionValues) -> OpenedConnection:
    return OpenedConnection(
        module=row.module,
        values=values,
        active=row.status == "active",
        id=row.id,
        owner=row.user_id,
        version=row.version,
        scopes=None if row.scopes is None else tuple(row.scopes),
        token_at=row.token_at,
        refresh_from=row.refresh_from,
        expires_at=row.token_expires_at,
    )
