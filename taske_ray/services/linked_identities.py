"""With which providers somebody can log in to their account, and taking one off (security, 6.6 and 7.4)."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from taske_ray.core.ids import format_id, parse_id
from taske_ray.db import identities, sessions, users
from taske_ray.db.database import Database
from taske_ray.db.tables import LinkedIdentity
from taske_ray.errors import Conflict, NotFound, Unauthenticated
from taske_ray.services.letters import write_token_letter
from taske_ray.services.objections import not_me
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.trail import record


class LinkedIdentities:
    """The identities of one account. `providers` are those that this instance lets people log in with."""

    def __init__(self, database: Database, *, providers: Collection[str], url: str) -> None:
        self._database = database
        self._providers = providers
        self._url = url

    async def list(self, *, owner: UUID, after: UUID | None, limit: int) -> list[dict[str, Any]]:
        """A page of an account's, newest first."""
        async with self._database.transaction(owner=owner) as tx:
            rows = await identities.list_identities(tx, owner=owner, after=after, limit=limit)
        return [_view(row) for row in rows]

    async def unlink(self, identity_id: str, principal: Principal, origin: Origin) -> None:
        """Let a provider vouch no more: what was begun with it ends, but the caller's own session; the owner is told.

        Raises NotFound, Conflict for the only way into an account without a password.
        """
        wanted, owner = parse_id("identity", identity_id), principal.user_id
        async with self._database.transaction(owner=owner) as tx:
            user = await users.lock_user(tx, owner=owner)
            if user is None:
                raise Unauthenticated
            rows = await identities.list_identities(tx, owner=owner)
            gone = next((row for row in rows if row.id == wanted), None)
            if gone is None:
                raise NotFound
            if user.password_hash is None and not any(self._opens(row) for row in rows if row is not gone):
                raise Conflict("This is the only way into the account: choose a password first", code="last_way_in")
            await identities.drop_identity(tx, owner=owner, identity_id=wanted)
            await sessions.end_sessions_begun_by(tx, owner=owner, method=gone.provider, but=principal.session_id)
            detail = {"provider": gone.provider}
            await record(tx, "identity.unlink", by=principal, origin=origin, object_=identity_id, detail=detail)
            await write_token_letter(tx, user, "unlinked", purpose=not_me, url=self._url, provider=gone.provider)

    def _opens(self, row: LinkedIdentity) -> bool:
        return row.provider in self._providers


def _view(row: LinkedIdentity) -> dict[str, Any]:
    return {
        "id": format_id("identity", row.id),
        "provider": row.provider,
        "email": row.email,
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
    }
