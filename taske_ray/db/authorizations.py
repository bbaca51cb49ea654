"""Rows of visits to a provider that are expected back."""

from datetime import timedelta
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import AuthorizationState

_forgotten_at_once = 100


async def add_authorization(tx: AsyncSession, *, lives: timedelta, **values: Any) -> None:
    """Remember a visit; a few that nobody came back from are forgotten on the way."""
    lapsed = (
        select(AuthorizationState.hash)
        .where(col(AuthorizationState.expires_at) < func.clock_timestamp())
        .limit(_forgotten_at_once)
        .with_for_update(skip_locked=True)
    )
    await tx.exec(delete(AuthorizationState).where(col(AuthorizationState.hash).in_(lapsed)))
    await tx.exec(insert(AuthorizationState).values(**values, expires_at=func.clock_timestamp() + lives))


async def use_authorization(
    tx: AsyncSession, *, digest: bytes, purpose: str, browser: bytes, provider: str | None
) -> AuthorizationState | None:
    """Spend a state: its row, or None when it is unknown, spent, late or of another purpose, browser or provider.

    `provider` None: the way back is the same for all of them.
    """
    matching = _alive(digest, purpose, browser)
    if provider is not None:
        matching.append(col(AuthorizationState.provider) == provider)
    used = await tx.exec(
        update(AuthorizationState).where(*matching).values(used_at=func.clock_timestamp()).returning(AuthorizationState)
    )
    return used.scalar_one_or_none()


async def find_authorization(tx: AsyncSession, *, digest: bytes, purpose: str, browser: bytes) -> dict[str, Any] | None:
    """What was kept with a state that is still good, which stays so."""
    query = select(AuthorizationState.detail).where(*_alive(digest, purpose, browser))
    found = (await tx.exec(query)).first()
    return None if found is None else dict(found)


def _alive(digest: bytes, purpose: str, browser: bytes) -> list[Any]:
    return [
        col(AuthorizationState.hash) == digest,
        col(AuthorizationState.purpose) == purpose,
        col(AuthorizationState.browser_hash) == browser,
        col(AuthorizationState.used_at).is_(None),
        col(AuthorizationState.expires_at) > func.clock_timestamp(),
    ]
