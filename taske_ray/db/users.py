"""Rows of accounts and of the tokens mailed to them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import OneTimeToken, Run, User

_the_beginning = datetime(1970, 1, 1, tzinfo=UTC)  # the column's own default, -infinity, is no Python datetime


async def add_user(tx: AsyncSession, user: User) -> bool:
    """Insert an account; False if the address is taken. Safe for fifty at once."""
    values = {"not_before": _the_beginning, **user.model_dump(exclude_none=True)}
    added = await tx.exec(
        insert(User).values(**values).on_conflict_do_nothing(index_elements=["email"]).returning(col(User.id))
    )
    return added.first() is not None


async def get_user(tx: AsyncSession, *, owner: UUID) -> User | None:
    """The account with this id."""
    return await tx.get(User, owner)


async def find_user(tx: AsyncSession, email: str) -> User | None:
    """The account with this canonical address."""
    return (await tx.exec(select(User).where(User.email == email))).first()


async def change_user(tx: AsyncSession, *, owner: UUID, **values: Any) -> User | None:
    """Set these columns and answer the account as it is then."""
    await tx.exec(update(User).where(col(User.id) == owner).values(**values, updated_at=func.clock_timestamp()))
    return (await tx.exec(select(User).where(User.id == owner).execution_options(populate_existing=True))).first()


async def delete_user(tx: AsyncSession, *, owner: UUID) -> None:
    """Remove the account and everything that hangs on it; its keys go too, so no backup of a secret opens again."""
    await tx.exec(delete(Run).where(col(Run.user_id) == owner))
    await tx.exec(delete(User).where(col(User.id) == owner))


async def add_one_time_token(tx: AsyncSession, *, owner: UUID, digest: bytes, purpose: str, lives: timedelta) -> None:
    """Remember a token that is about to be mailed."""
    await tx.exec(
        insert(OneTimeToken).values(
            hash=digest, user_id=owner, purpose=purpose, expires_at=func.clock_timestamp() + lives
        )
    )


async def use_one_time_token(tx: AsyncSession, *, digest: bytes, purpose: str) -> UUID | None:
    """Spend a token: its user, or None when it is unknown, spent, expired or for something else."""
    used = await tx.exec(
        update(OneTimeToken)
        .where(
            col(OneTimeToken.hash) == digest,
            col(OneTimeToken.purpose) == purpose,
            col(OneTimeToken.used_at).is_(None),
            col(OneTimeToken.expires_at) > func.clock_timestamp(),
        )
        .values(used_at=func.clock_timestamp())
        .returning(col(OneTimeToken.user_id))
    )
    return used.scalar_one_or_none()
