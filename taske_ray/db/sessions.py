"""Rows of sessions, of their refresh tokens, and of failed logins."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.tables import LoginFailure, RefreshToken, Session, User


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token as it was found; `fresh` if it was spent just now by this call."""

    session_id: UUID
    user_id: UUID
    fresh: bool
    in_grace: bool = False
    successor_sealed: bytes | None = None


async def add_session(
    tx: AsyncSession, *, owner: UUID, session_id: UUID, lives: timedelta, user_agent: str | None, address: str | None
) -> None:
    """Begin a session."""
    await tx.exec(
        insert(Session).values(
            id=session_id,
            user_id=owner,
            user_agent=user_agent,
            address=address,
            expires_at=func.clock_timestamp() + lives,
        )
    )


async def add_refresh_token(
    tx: AsyncSession, *, owner: UUID, session_id: UUID, digest: bytes, lives: timedelta
) -> None:
    """Remember a refresh token of a session by its digest."""
    await tx.exec(
        insert(RefreshToken).values(
            hash=digest, session_id=session_id, user_id=owner, expires_at=func.clock_timestamp() + lives
        )
    )


async def spend_refresh_token(
    tx: AsyncSession, *, digest: bytes, successor: bytes, sealed: bytes, grace: timedelta
) -> Presented | None:
    """Rotate: mark the token as used and name its successor, once. None when it is unknown or expired.

    A second presentation finds who was first: `in_grace` while that was less than `grace` ago and the successor is
    still unused.
    """
    spent = await tx.exec(
        update(RefreshToken)
        .where(
            col(RefreshToken.hash) == digest,
            col(RefreshToken.used_at).is_(None),
            col(RefreshToken.expires_at) > func.clock_timestamp(),
        )
        .values(used_at=func.clock_timestamp(), successor_hash=successor, successor_sealed=sealed)
        .returning(col(RefreshToken.session_id), col(RefreshToken.user_id))
    )
    row = spent.first()
    if row is not None:
        await _forget_sealed(tx, row.session_id, digest)
        return Presented(row.session_id, row.user_id, fresh=True)
    return await _presented_again(tx, digest, grace)


async def _presented_again(tx: AsyncSession, digest: bytes, grace: timedelta) -> Presented | None:
    row = (
        await tx.exec(
            select(RefreshToken, (col(RefreshToken.used_at) > func.clock_timestamp() - grace).label("recent")).where(
                RefreshToken.hash == digest, col(RefreshToken.used_at).is_not(None)
            )
        )
    ).first()
    if row is None:
        return None
    token, recent = row
    successor = await tx.get(RefreshToken, token.successor_hash) if token.successor_hash else None
    in_grace = bool(recent) and successor is not None and successor.used_at is None
    return Presented(
        token.session_id, token.user_id, fresh=False, in_grace=in_grace, successor_sealed=token.successor_sealed
    )


async def _forget_sealed(tx: AsyncSession, session_id: UUID, digest: bytes) -> None:
    """Once a successor is used nobody may be handed it again."""
    await tx.exec(
        update(RefreshToken)
        .where(col(RefreshToken.session_id) == session_id, col(RefreshToken.successor_hash) == digest)
        .values(successor_sealed=None)
    )


async def use_session(tx: AsyncSession, *, session_id: UUID) -> User | None:
    """The active user of a live session, which has just been used; else None."""
    used = await tx.exec(
        update(Session)
        .where(
            col(Session.id) == session_id,
            col(Session.revoked_at).is_(None),
            col(Session.expires_at) > func.clock_timestamp(),
            col(Session.user_id) == col(User.id),
            col(User.status) == "active",
        )
        .values(last_used_at=func.clock_timestamp())
        .returning(col(User.id))
    )
    user_id = used.scalar_one_or_none()
    return await tx.get(User, user_id) if user_id else None


async def end_session(tx: AsyncSession, *, owner: UUID, session_id: UUID) -> None:
    """End one session of a user: its access and refresh tokens are refused from now on."""
    await tx.exec(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.user_id) == owner, col(Session.revoked_at).is_(None))
        .values(revoked_at=func.clock_timestamp())
    )


async def end_all_sessions(tx: AsyncSession, *, owner: UUID) -> None:
    """End every session of a user, and refuse every access token issued before this moment."""
    await tx.exec(
        update(Session)
        .where(col(Session.user_id) == owner, col(Session.revoked_at).is_(None))
        .values(revoked_at=func.clock_timestamp())
    )
    await tx.exec(update(User).where(col(User.id) == owner).values(not_before=func.clock_timestamp()))


async def add_login_failure(tx: AsyncSession, *, email: str, address: str | None) -> None:
    """Count a failed login."""
    await tx.exec(insert(LoginFailure).values(email=email, address=address))


async def login_failures(tx: AsyncSession, *, email: str, address: str | None) -> tuple[int, datetime | None, int]:
    """(failures of this address book entry in 15 min, the last of them, failures from this network address in 1 h)."""
    recent = func.clock_timestamp() - timedelta(minutes=15)
    by_email = select(func.count(), func.max(LoginFailure.failed_at)).where(
        LoginFailure.email == email, col(LoginFailure.failed_at) > recent
    )
    count, last = (await tx.exec(by_email)).one()
    hour = func.clock_timestamp() - timedelta(hours=1)
    by_address = select(func.count()).where(LoginFailure.address == address, col(LoginFailure.failed_at) > hour)
    return count, last, (await tx.exec(by_address)).one() if address else 0


async def authenticate_session(
    database: Database, *, session_id: UUID, issued_at: float, kid: str
) -> dict[str, Any] | None:
    """The user of an access token: its session alive, its user active, its key not retired, itself not too old."""
    values = {"session_id": session_id, "issued_at": issued_at, "kid": kid}
    rows = await database.fetch(queries.authenticate_session, values)
    return rows[0] if rows else None
