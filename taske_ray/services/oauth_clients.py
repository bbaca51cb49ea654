"""The instance's OAuth clients: an administrator registers the service with a provider once, for everybody."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from taske_ray.clock import new_id
from taske_ray.core.capability import AuthScheme
from taske_ray.db import oauth_clients as rows
from taske_ray.db.database import Database
from taske_ray.db.tables import OAuthClient
from taske_ray.errors import Invalid, NotFound
from taske_ray.security.credentials import hints, seal_client_secret
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import record


class OAuthClients:
    """What an administrator can do with them; the secret goes in and never comes out."""

    def __init__(self, database: Database, *, cache: CapabilityCache, sealer: Sealer, redirect_uri: str) -> None:
        self._database = database
        self._cache = cache
        self._sealer = sealer
        self._redirect_uri = redirect_uri

    async def list(self, *, by: UUID) -> Sequence[dict[str, Any]]:
        """All of them, by module."""
        async with self._database.transaction(owner=by) as tx:
            return [self._view(row) for row in await rows.list_clients(tx)]

    async def get(self, module: str, auth: str, *, by: UUID) -> dict[str, Any]:
        """The client of a scheme. Raises NotFound."""
        async with self._database.transaction(owner=by) as tx:
            row = await rows.get_client(tx, module=module, auth=auth)
        if row is None:
            raise NotFound
        return self._view(row)

    async def put(
        self, module: str, auth: str, *, by: UUID, client_id: str, client_secret: str | None
    ) -> dict[str, Any]:
        """Store the client of a scheme in place of any other. Raises NotFound, Invalid."""
        await self._scheme(module, auth)
        key = await self._sealer.key_for(None, "credentials")
        async with self._database.transaction(owner=by) as tx:
            known = await rows.get_client(tx, module=module, auth=auth)
            row_id = known.id if known is not None else new_id()
            values: dict[str, Any] = {"client_id": client_id, "data_key": None, "sealed": None, "hint": None}
            if client_secret is not None:
                sealed = seal_client_secret(key, row_id, client_secret)
                values |= {"data_key": key.id, "sealed": sealed, **_hint(client_secret)}
            saved = await rows.put_client(tx, id=row_id, module=module, auth=auth, **values)
            await record(tx, "oauth_client.put", by=by, object_=f"{module}/{auth}")
        return self._view(saved)

    async def delete(self, module: str, auth: str, *, by: UUID) -> None:
        """Forget a client: what lives on it cannot be refreshed any more. Raises NotFound."""
        async with self._database.transaction(owner=by) as tx:
            if not await rows.delete_client(tx, module=module, auth=auth):
                raise NotFound
            await record(tx, "oauth_client.delete", by=by, object_=f"{module}/{auth}")

    async def _scheme(self, module: str, auth: str) -> AuthScheme:
        current = (await self._cache.catalog()).modules.get(module)
        scheme = current.module.auth.get(auth) if current is not None else None
        if scheme is None:
            raise NotFound
        if not scheme.takes_client or scheme.client == "connection":
            message = f"{module} by {auth} takes no OAuth client of the instance"
            raise Invalid(message, code="takes_no_client")
        return scheme

    def _view(self, row: OAuthClient) -> dict[str, Any]:
        return {
            "module": row.module,
            "auth": row.auth,
            "client_id": row.client_id,
            "client_secret": row.hint,
            "redirect_uri": self._redirect_uri,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }


def _hint(secret: str) -> dict[str, str]:
    return {"hint": hints({"secret": secret}).get("secret", "")}
