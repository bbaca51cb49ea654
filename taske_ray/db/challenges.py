"""Rows of challenges: a first factor was right, the second is due (security, 6.2)."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import LoginChallenge


async def add_challenge(
    tx: AsyncSession, *, owner: UUID, digest: bytes, method: str, code_hash: bytes | None, lives: timedelta
) -> None:
    """Remember a login that waits for its second factor."""
    await tx.exec(
        insert(LoginChallenge).values(
            hash=digest,
            user_id=owner,
            method=method,
            code_hash=code_hash,
            expires_at=func.clock_timestamp() + lives,
        )
    )


async def try_challenge(tx: AsyncSession, *, digest: bytes, most: int) -> LoginChallenge | None:
    """Take one of the `most` tries of a challenge; None when there is none left, or it is unknown, used or late."""
    tried = await tx.exec(
        update(LoginChallenge)
        .where(*_open(digest), col(LoginChallenge.tries) < most)
        .values(tries=LoginChallenge.tries + 1)
        .returning(LoginChallenge)
    )
    return tried.scalar_one_or_none()


async def use_challenge(tx: AsyncSession, *, digest: bytes) -> bool:
    """Spend a challenge whose code was right: one of many at once gets it."""
    used = await tx.exec(
        update(LoginChallenge)
        .where(*_open(digest))
        .values(used_at=func.clock_timestamp())
        .returning(col(LoginChallenge.user_id))
    )
    return used.first() is not None


async def void_challenges(tx: AsyncSession, *, owner: UUID) -> None:
    """End every challenge of a user."""
    await tx.exec(
        update(LoginChallenge)
        .where(col(LoginChallenge.user_id) == owner, col(LoginChallenge.used_at).is_(None))
        .values(used_at=func.clock_timestamp())
    )


def _open(digest: bytes) -> list[ColumnElement[bool]]:
    return [
        col(LoginChallenge.hash) == digest,
        col(LoginChallenge.used_at).is_(None),
        col(LoginChallenge.expires_at) > func.clock_timestamp(),
    ]
