"""Tokens of connections, kept in the database under a lease, for IntegrationClients alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from actors.data_keys import DataKeys
from taske_ray.core.capability.tokens import OAuthClient, Tokens
from taske_ray.db import connection_tokens, oauth_clients
from taske_ray.db.connection_tokens import RefreshLease, SealedTokens
from taske_ray.db.database import Database
from taske_ray.integrations.credentials import open_client_secret
from taske_ray.integrations.ports import Lease, OpenedConnection
from taske_ray.integrations.token_keeper import lease_s
from taske_ray.security.credentials import seal_credentials
from taske_ray.services.sealing import Sealer


class TokenStore:
    """The store of one IntegrationClient; `client` is its row in `hosts` at this moment."""

    def __init__(self, database: Database, keys: DataKeys, sealer: Sealer, *, client: Callable[[], UUID]) -> None:
        self._database = database
        self._keys = keys
        self._sealer = sealer
        self._client = client

    async def take(self, opened: OpenedConnection) -> Lease | None:
        """The lease on the tokens of this version, if it is to be had."""
        assert opened.id is not None
        fence = await connection_tokens.take_refresh(
            self._database,
            owner=opened.owner,
            connection_id=opened.id,
            version=opened.version,
            client=self._client(),
            lease_s=lease_s,
        )
        return None if fence is None else Lease(opened, fence)

    async def standing(self, opened: OpenedConnection) -> Literal["moved", "free", "busy", "lost"]:
        """Why there was none; a connection that is gone has moved."""
        assert opened.id is not None
        found = await connection_tokens.refresh_standing(
            self._database, owner=opened.owner, connection_id=opened.id, version=opened.version
        )
        return found or "moved"

    async def store(
        self, lease: Lease, tokens: Tokens, token_at: datetime, refresh_from: datetime | None
    ) -> OpenedConnection | None:
        """Seal and store new tokens, and end the lease."""
        opened, fence = lease.opened, lease.fence
        assert isinstance(fence, RefreshLease)
        secret = tokens.kept_in(opened.values.secret)
        key = await self._sealer.key_for(opened.owner, "credentials")
        sealed = seal_credentials(key, fence.connection_id, secret)
        new = SealedTokens(sealed, key.id, token_at, refresh_from, tokens.expires_at, tokens.scopes)
        version = await connection_tokens.store_tokens(self._database, fence, new)
        if version is None:
            return None
        return replace(
            opened,
            values=replace(opened.values, secret=secret),
            active=True,
            version=version,
            scopes=tokens.scopes or opened.scopes,
            token_at=token_at,
            refresh_from=refresh_from,
            expires_at=tokens.expires_at,
        )

    async def release(self, lease: Lease) -> None:
        """Give the lease back."""
        assert isinstance(lease.fence, RefreshLease)
        await connection_tokens.release_refresh(self._database, lease.fence)

    async def oauth_client(self, module: str, auth: str) -> OAuthClient | None:
        """The instance's client at a provider, opened."""
        async with self._database.transaction() as tx:
            row = await oauth_clients.get_client(tx, module=module, auth=auth)
        if row is None or row.sealed is None:
            return None if row is None else OAuthClient(row.client_id)
        key = await self._keys.get(row.data_key, None)
        return OAuthClient(row.client_id, open_client_secret(key, row.id, bytes(row.sealed)))
