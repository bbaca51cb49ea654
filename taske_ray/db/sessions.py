"""Rows of sessions and of their refresh tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.tables import RefreshToken, Session, User

_alive = (col(Session.revoked_at).is_(None), col(Session.expires_at) > func.clock_timestamp())
_seconds_left = func.ceil(func.extract("epoch", RefreshToken.expires_at - func.clock_timestamp()))


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token as it was found; `fresh` if it was spent just now by this call."""

    session_id: UUID
    user_id: UUID
    fresh: bool
    in_grace: bool = False
    successor_sealed: bytes | None = None
    successor_lives_s: int = 0


async def add_session(tx: AsyncSession, *, owner: UUID, session_id: UUID, lives: timedelta, **values: Any) -> None:
    """Begin a session; `values` are its user agent, address, method, and since when its user is authenticated."""
    await tx.exec(
        insert(Session).values(id=session_id, user_id=owner, expires_at=func.clock_timestamp() + lives, **values)
    )


async def add_refresh_token(tx: AsyncSession, *, owner: UUID, session_id: UUID, digest: bytes, lives: timedelta) -> int:
    """Remember a refresh token of a session by its digest; how many seconds it lives, never longer than its session."""
    session_ends = select(Session.expires_at).where(Session.id == session_id).scalar_subquery()
    added = await tx.exec(
        insert(RefreshToken)
        .values(
            hash=digest,
            session_id=session_id,
            user_id=owner,
            expires_at=func.least(func.clock_timestamp() + lives, session_ends),
        )
        .returning(_seconds_left)
    )
    return int(added.scalar_one())


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
    successor = aliased(RefreshToken)
    query = (
        select(
            RefreshToken,
            (col(RefreshToken.used_at) > func.clock_timestamp() - grace).label("recent"),
            (col(successor.hash).is_not(None) & col(successor.used_at).is_(None)).label("unused"),
            func.ceil(func.extract("epoch", successor.expires_at - func.clock_timestamp())).label("left"),
        )
        .join(successor, col(successor.hash) == col(RefreshToken.successor_hash), isouter=True)
        .where(RefreshToken.hash == digest, col(RefreshToken.used_at).is_not(None))
    )
    row = (await tx.exec(query)).first()
    if row is None:
        return None
    token, recent, unused, left = row
    return Presented(
        token.session_id,
        token.user_id,
        fresh=False,
        in_grace=bool(recent and unused),
        successor_sealed=token.successor_sealed,
        successor_lives_s=int(left or 0),
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
            *_alive,
            col(Session.user_id) == col(User.id),
            col(User.status) == "active",
        )
        .values(last_used_at=func.clock_timestamp())
        .returning(col(User.id))
    )
    user_id = used.scalar_one_or_none()
    return await tx.get(User, user_id) if user_id else None


async def list_sessions(tx: AsyncSession, *, owner: UUID, after: UUID | None, limit: int) -> Sequence[Session]:
    """The live sessions of a user, newest first, beginning behind `after`."""
    query = select(Session).where(Session.user_id == owner, *_alive)
    if after is not None:
        query = query.where(col(Session.id) < after)
    return (await tx.exec(query.order_by(col(Session.id).desc()).limit(limit))).all()


async def end_session(tx: AsyncSession, *, owner: UUID, session_id: UUID) -> bool:
    """End one session of a user: its access and refresh tokens are refused from now on. False if it is not alive."""
    ended = await tx.exec(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.user_id) == owner, *_alive)
        .values(revoked_at=func.clock_timestamp())
        .returning(col(Session.id))
    )
    return ended.first() is not None


async def end_sessions_begun_by(tx: AsyncSession, *, owner: UUID, method: str, but: UUID | None) -> None:
    """End the sessions of a user that were begun in one way, all `but` one."""
    await tx.exec(
        update(Session)
        .where(col(Session.user_id) == owner, col(Session.method) == method, col(Session.id) != but, *_alive)
        .values(revoked_at=func.clock_timestamp())
    )


async def end_all_sessions(tx: AsyncSession, *, owner: UUID) -> None:
    """End every session of a user, and refuse every access token issued before this moment."""
    # the user's row first: whoever begins a session holds it, so that none is missed
    await tx.exec(update(User).where(col(User.id) == owner).values(not_before=func.clock_timestamp()))
    await tx.exec(
        update(Session)
        .where(col(Session.user_id) == owner, col(Session.revoked_at).is_(None))
        .values(revoked_at=func.clock_timestamp())
    )


async def get_session(tx: AsyncSession, *, owner: UUID, session_id: UUID) -> Session | None:
    """A live session of a user."""
    return (await tx.exec(select(Session).where(Session.id == session_id, Session.user_id == owner, *_alive))).first()


async def renew_authentication(tx: AsyncSession, *, owner: UUID, session_id: UUID) -> bool:
    """The user has just proved again who they are."""
    renewed = await tx.exec(
        update(Session)
        .where(col(Session.id) == session_id, col(Session.user_id) == owner, *_alive)
        .values(authenticated_at=func.clock_timestamp())
        .returning(col(Session.id))
    )
    return renewed.first() is not None


async def authenticate_session(
    database: Database, *, session_id: UUID, issued_at: float, kid: str
) -> dict[str, Any] | None:
    """The user of an access token: its session alive, its user active, its key not retired, itself not too old."""
    values = {"session_id": session_id, "issued_at": issued_at, "kid": kid}
    rows = await database.fetch(queries.authenticate_session, values)
    return rows[0] if rows else None
