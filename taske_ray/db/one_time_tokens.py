"""Rows of tokens that were mailed: each is good once, for one user and one purpose (security, 2.5)."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import OneTimeToken


async def add_one_time_token(
    tx: AsyncSession, *, owner: UUID, digest: bytes, purpose: str, lives: timedelta, **values: str | None
) -> None:
    """Remember a token that is about to be mailed; `values`: the address and the password that it is about."""
    await tx.exec(
        insert(OneTimeToken).values(
            hash=digest, user_id=owner, purpose=purpose, expires_at=func.clock_timestamp() + lives, **values
        )
    )


async def find_one_time_token(tx: AsyncSession, *, digest: bytes, purpose: str) -> OneTimeToken | None:
    """A token that is still good, left as it is."""
    return (await tx.exec(select(OneTimeToken).where(*_good(digest, [purpose])))).first()


async def use_one_time_token(tx: AsyncSession, *, digest: bytes, purposes: Sequence[str]) -> OneTimeToken | None:
    """Spend a token: its row, or None when it is unknown, spent, expired or for something else."""
    used = await tx.exec(
        update(OneTimeToken)
        .where(*_good(digest, purposes))
        .values(used_at=func.clock_timestamp())
        .returning(OneTimeToken)
    )
    return used.scalar_one_or_none()


async def drop_one_time_tokens(tx: AsyncSession, *, owner: UUID, purpose: str | None = None) -> None:
    """Forget what was mailed to a user for a purpose (None: for any) and has become void."""
    wanted = [col(OneTimeToken.user_id) == owner]
    if purpose is not None:
        wanted.append(col(OneTimeToken.purpose) == purpose)
    await tx.exec(delete(OneTimeToken).where(*wanted))


def _good(digest: bytes, purposes: Sequence[str]) -> list[ColumnElement[bool]]:
    return [
        col(OneTimeToken.hash) == digest,
        col(OneTimeToken.purpose).in_(purposes),
        col(OneTimeToken.used_at).is_(None),
        col(OneTimeToken.expires_at) > func.clock_timestamp(),
    ]
