"""Rows of data keys and signing keys: wrapped and sealed, useless without the master key."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import DataKey, SigningKey

_kept = timedelta(days=1)


async def newest_data_key(tx: AsyncSession, *, owner: UUID | None, purpose: str) -> DataKey | None:
    """The data key that seals new values of a user (None: the instance) for a purpose."""
    whose = col(DataKey.user_id).is_(None) if owner is None else col(DataKey.user_id) == owner
    query = select(DataKey).where(whose, DataKey.purpose == purpose).order_by(col(DataKey.version).desc()).limit(1)
    return (await tx.exec(query)).first()


async def add_data_key(tx: AsyncSession, key: DataKey) -> None:
    """Insert a data key, unless somebody else has just done so."""
    await tx.exec(insert(DataKey).values(**key.model_dump(exclude_none=True)).on_conflict_do_nothing())


async def get_data_key(tx: AsyncSession, key_id: UUID) -> DataKey | None:
    """The data key that a sealed value names."""
    return await tx.get(DataKey, key_id)


async def signing_key(tx: AsyncSession, *, younger_than: timedelta | None = None) -> SigningKey | None:
    """The key that signs; None if there is none, or none so young."""
    wanted: list[ColumnElement[bool]] = [col(SigningKey.retired_at).is_(None)]
    if younger_than is not None:
        wanted.append(col(SigningKey.created_at) > func.clock_timestamp() - younger_than)
    query = select(SigningKey).where(*wanted).order_by(col(SigningKey.created_at).desc()).limit(1)
    return (await tx.exec(query)).first()


async def retire_signing_keys(tx: AsyncSession, *, verify_for: timedelta) -> None:
    """No key signs any more, and none verifies for longer than this; those that long do not are forgotten."""
    end = func.clock_timestamp() + verify_for
    longer = or_(col(SigningKey.retired_at).is_(None), col(SigningKey.retired_at) > end)
    await tx.exec(update(SigningKey).where(longer).values(retired_at=end))
    await tx.exec(delete(SigningKey).where(col(SigningKey.retired_at) < func.clock_timestamp() - _kept))


async def public_keys(tx: AsyncSession) -> dict[str, bytes]:
    """The public halves of the keys that sign or still verify, by id, the newest first."""
    newest_first = col(SigningKey.created_at).desc()
    query = select(SigningKey.kid, SigningKey.public_key).where(_verifies()).order_by(newest_first)
    return {kid: bytes(public) for kid, public in await tx.exec(query)}


async def add_signing_key(tx: AsyncSession, key: SigningKey) -> None:
    """Insert a signing key."""
    await tx.exec(insert(SigningKey).values(**key.model_dump(exclude_none=True)))


async def lock_signing_keys(tx: AsyncSession) -> None:
    """Let one process at a time decide whether a signing key must be made; freed by the end of the transaction."""
    await (await tx.connection()).execute(text("SELECT pg_advisory_xact_lock(hashtextextended('signing_keys', 0))"))


def _verifies() -> ColumnElement[bool]:
    return or_(col(SigningKey.retired_at).is_(None), col(SigningKey.retired_at) > func.clock_timestamp())
