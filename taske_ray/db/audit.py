"""Rows of the audit trail: append only."""

from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import Audit


async def add_audit(  # noqa: PLR0913 - one argument a column
    tx: AsyncSession,
    *,
    entry_id: UUID,
    action: str,
    result: str = "ok",
    user_id: UUID | None = None,
    session_id: UUID | None = None,
    key_id: UUID | None = None,
    address: str | None = None,
    object_: str | None = None,
    detail: Any = None,
) -> None:
    """Record who did what to which thing, in the transaction that does it."""
    values = {
        "id": entry_id,
        "action": action,
        "result": result,
        "user_id": user_id,
        "session_id": session_id,
        "key_id": key_id,
        "address": address,
        "object": object_,
        "detail": detail,
    }
    await tx.exec(insert(Audit).values(**{name: value for name, value in values.items() if value is not None}))
