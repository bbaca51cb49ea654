"""What administrators do with accounts: look at them, change roles, disable and enable (security, 8.8).

They cannot read a secret, choose a password or act as a user. Every change acts on the user's next request;
another role ends all sessions, like disabling.
"""

from typing import Any
from uuid import UUID

from taske_ray.core.ids import format_id, parse_id
from taske_ray.db import users
from taske_ray.db.database import Database
from taske_ray.db.tables import User
from taske_ray.errors import Conflict, NotFound
from taske_ray.services.origin import Origin
from taske_ray.services.principal import Principal
from taske_ray.services.sessions import Sessions
from taske_ray.services.trail import record


class Users:
    """The accounts of this instance, for administrators."""

    def __init__(self, database: Database, *, sessions: Sessions, verification_required: bool) -> None:
        self._database = database
        self._sessions = sessions
        self._verification_required = verification_required

    async def list(self, *, after: UUID | None, limit: int, q: str | None = None) -> list[dict[str, Any]]:
        """A page of accounts, newest first; `q`: those whose address contains it."""
        async with self._database.transaction() as tx:
            rows = await users.list_users(tx, after=after, limit=limit, containing=q)
        return [_view(row) for row in rows]

    async def get(self, user_id: str) -> dict[str, Any]:
        """One account. Raises NotFound."""
        wanted = parse_id("user", user_id)
        async with self._database.transaction() as tx:
            found = await users.get_user(tx, owner=wanted)
        if found is None:
            raise NotFound
        return _view(found)

    async def change(
        self, user_id: str, by: Principal, origin: Origin, *, role: str | None = None, status: str | None = None
    ) -> dict[str, Any]:
        """Give an account another role, disable or enable it. Raises NotFound, Conflict."""
        wanted = parse_id("user", user_id)
        async with self._database.transaction() as tx:
            await users.lock_roles(tx)
            user = await users.lock_user(tx, owner=wanted)
            if user is None:
                raise NotFound
            changes = self._changes(user, role, status)
            if not changes:
                return _view(user)
            if _stops_being_admin(user, changes) and await users.count_admins(tx) <= 1:
                raise Conflict("Somebody has to be an administrator", code="last_admin")
            changed = await users.change_user(tx, owner=wanted, **changes)
            if "role" in changes or changes.get("status") == "disabled":
                await self._sessions.end_all(tx, owner=wanted)  # no token outlives what it was given for
            if "status" in changes:
                await users.suspend_tasks(tx, owner=wanted, suspended=changes["status"] == "disabled")
            await record(tx, "user.change", by=by, origin=origin, object_=user_id, detail=changes)
            await record(tx, "account.changed_by_admin", by=wanted, detail=changes)
        return _view(changed or user)

    def _changes(self, user: User, role: str | None, status: str | None) -> dict[str, str]:
        """What is different afterwards. Who never proved the address still has to, once enabled again."""
        changes = {} if role in (None, user.role) else {"role": str(role)}
        if status == "disabled" and user.status != "disabled":
            changes["status"] = "disabled"
        if status == "active" and user.status == "disabled":
            waits = self._verification_required and user.verified_at is None
            changes["status"] = "pending" if waits else "active"
        return changes


def _stops_being_admin(user: User, changes: dict[str, str]) -> bool:
    is_admin = user.role == "admin" and user.status == "active"
    return is_admin and (changes.get("role") == "user" or changes.get("status") == "disabled")


def _view(row: User) -> dict[str, Any]:
    return {
        "id": format_id("user", row.id),
        "email": row.email,
        "name": row.name,
        "role": row.role,
        "status": row.status,
        "verified": row.verified_at is not None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
