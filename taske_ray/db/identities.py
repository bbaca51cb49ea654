"""Rows of identities: whom a provider means, and which account that is."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import LinkedIdentity


async def lock_identity(tx: AsyncSession, *, issuer: str, subject: str) -> None:
    """Let one login at a time decide whose an identity is; freed by the end of the transaction."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
    await (await tx.connection()).execute(lock, {"name": f"identity {issuer} {subject}"})


async def use_identity(tx: AsyncSession, *, issuer: str, subject: str, email: str | None) -> UUID | None:
    """The account of an identity that has just been used, with the address that the provider knows it by today."""
    used = await tx.exec(
        update(LinkedIdentity)
        .where(col(LinkedIdentity.issuer) == issuer, col(LinkedIdentity.subject) == subject)
        .values(last_used_at=func.clock_timestamp(), email=email)
        .returning(col(LinkedIdentity.user_id))
    )
    return used.scalar_one_or_none()


async def add_identity(tx: AsyncSession, identity: LinkedIdentity) -> None:
    """From now on this identity is this account."""
    await tx.exec(insert(LinkedIdentity).values(**identity.model_dump(exclude_none=True)))


async def list_identities(
    tx: AsyncSession, *, owner: UUID, after: UUID | None = None, limit: int | None = None
) -> Sequence[LinkedIdentity]:
    """The identities of an account, newest first, beginning behind `after`; all of them without a limit."""
    query = select(LinkedIdentity).where(LinkedIdentity.user_id == owner)
    if after is not None:
        query = query.where(col(LinkedIdentity.id) < after)
    return (await tx.exec(query.order_by(col(LinkedIdentity.id).desc()).limit(limit))).all()


async def drop_identity(tx: AsyncSession, *, owner: UUID, identity_id: UUID) -> None:
    """This identity does not vouch for this account any more."""
    await tx.exec(
        delete(LinkedIdentity).where(col(LinkedIdentity.id) == identity_id, col(LinkedIdentity.user_id) == owner)
    )


async def drop_identities(
    tx: AsyncSession, *, owner: UUID, provider: str | None = None, since: datetime | None = None
) -> bool:
    """No provider, or not this one, or none that was linked since, vouches for this account any more."""
    wanted = [col(LinkedIdentity.user_id) == owner]
    if provider is not None:
        wanted.append(col(LinkedIdentity.provider) == provider)
    if since is not None:
        wanted.append(col(LinkedIdentity.created_at) >= since)
    dropped = await tx.exec(delete(LinkedIdentity).where(*wanted).returning(col(LinkedIdentity.subject)))
    return dropped.first() is not None
