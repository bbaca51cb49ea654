"""Consents under way, from the side of who begins them and is told what became of them; every read names the user."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from taske_ray.db.database import Transaction
from taske_ray.db.tables import ConnectionAuthorization


async def add_consent(tx: Transaction, *, lives: timedelta, **values: Any) -> ConnectionAuthorization:
    """Remember that a user is being sent to a provider."""
    statement = (
        insert(ConnectionAuthorization)
        .values(**values, expires_at=func.clock_timestamp() + lives)
        .returning(ConnectionAuthorization)
    )
    found: ConnectionAuthorization = (await tx.exec(statement)).scalar_one()
    return found


async def get_consent(tx: Transaction, *, owner: UUID, consent_id: UUID) -> ConnectionAuthorization | None:
    """What became of a consent that this user began."""
    query = select(ConnectionAuthorization).where(
        ConnectionAuthorization.user_id == owner, ConnectionAuthorization.id == consent_id
    )
    return (await tx.exec(query)).first()


async def return_consent(tx: Transaction, *, owner: UUID, consent_id: UUID, **sealed: Any) -> bool:
    """The user came back: keep the sealed code and proof for the one who exchanges it; False where that is over."""
    statement = (
        update(ConnectionAuthorization)
        .where(
            col(ConnectionAuthorization.user_id) == owner,
            col(ConnectionAuthorization.id) == consent_id,
            col(ConnectionAuthorization.status) == "pending",
        )
        .values(**sealed)
    )
    return bool((await tx.exec(statement)).rowcount)


async def fail_consent(tx: Transaction, *, owner: UUID, consent_id: UUID, error: dict[str, Any]) -> None:
    """The user came back without a code."""
    await tx.exec(
        update(ConnectionAuthorization)
        .where(
            col(ConnectionAuthorization.user_id) == owner,
            col(ConnectionAuthorization.id) == consent_id,
            col(ConnectionAuthorization.status) == "pending",
        )
        .values(status="failed", error=error, sealed=None)
    )
