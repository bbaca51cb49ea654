"""Who is calling: found anew in the database on every request, never kept."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from taske_ray.db.database import confine_to_task
from taske_ray.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Principal:
    """A known caller: a session of a user, or one of their API keys with its scopes.

    `task_id`: the only task that a key may touch. `recent`: the user proved who they are within the last ten minutes.
    `password_due`: the account was in danger, and its user has not chosen another password since.
    """

    user_id: UUID
    email: str
    role: str
    locale: str
    session_id: UUID | None
    key_id: UUID | None
    scopes: tuple[str, ...]
    task_id: UUID | None = None
    recent: bool = False
    password_due: bool = False

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Principal":
        """A caller as the database found them."""
        return cls(**{**row, "scopes": tuple(row["scopes"])})

    def require(self, permission: str, *, one_task: bool = False, password_due: bool = False) -> None:
        """Raise Forbidden unless allowed.

        `one_task`: a key that is bound to one task may, too; `password_due`: so may who owes a new password.
        `read`, `write`: the scopes; `session`: not for API keys; `recent`: not for a session that was begun, or proved
        again, more than ten minutes ago; `operator`: an admin who reads; `admin`: who writes.
        """
        if self.task_id is not None and not one_task:
            raise Forbidden("This API key is for one task and may not do this", code="scope_required")
        if self.password_due and not password_due:
            raise Forbidden("Choose a new password first: POST /auth/password", code="password_change_required")
        if permission in ("session", "recent"):
            if self.session_id is None:
                raise Forbidden("An API key may not do this; log in", code="session_required")
            if permission == "recent" and not self.recent:
                raise Forbidden("Prove again who you are first, or log in anew", code="reauthentication_required")
        elif permission in ("operator", "admin"):
            if self.role != "admin" or (permission == "admin" and "write" not in self.scopes):
                raise Forbidden("This is for administrators", code="admin_required")
        elif permission not in self.scopes:
            raise Forbidden(f"This API key lacks the scope {permission!r}", code="scope_required")


def confine(principal: Principal | None) -> None:
    """From now on this request reaches what its caller may: of a key that is bound to one task, nothing of others."""
    confine_to_task(principal.task_id if principal else None)
