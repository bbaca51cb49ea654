"""Rows of second factors: the secret of one-time codes, recovery codes, and wrong codes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import CodeFailure, RecoveryCode, TotpFactor


async def get_totp(tx: AsyncSession, *, owner: UUID) -> TotpFactor | None:
    """A user's factor, confirmed or not."""
    return await tx.get(TotpFactor, owner, populate_existing=True)


async def is_enrolled(tx: AsyncSession, *, owner: UUID) -> bool:
    """Whether a user's logins need a code."""
    query = select(TotpFactor.user_id).where(TotpFactor.user_id == owner, col(TotpFactor.confirmed_at).is_not(None))
    return (await tx.exec(query)).first() is not None


async def begin_totp(tx: AsyncSession, *, owner: UUID, data_key: UUID, sealed: bytes) -> bool:
    """Keep a new secret, instead of one that was never confirmed; False when a confirmed one is in use."""
    values = {"data_key": data_key, "sealed": sealed, "last_step": 0, "created_at": func.clock_timestamp()}
    kept = await tx.exec(
        insert(TotpFactor)
        .values(user_id=owner, **values)
        .on_conflict_do_update(index_elements=["user_id"], set_=values, where=col(TotpFactor.confirmed_at).is_(None))
        .returning(col(TotpFactor.user_id))
    )
    return kept.first() is not None


async def confirm_totp(tx: AsyncSession, *, owner: UUID, step: int) -> bool:
    """Put the secret to use with its first code; False when that is done or the step is spent."""
    confirmed = await tx.exec(
        update(TotpFactor)
        .where(
            col(TotpFactor.user_id) == owner, col(TotpFactor.confirmed_at).is_(None), col(TotpFactor.last_step) < step
        )
        .values(confirmed_at=func.clock_timestamp(), last_step=step)
        .returning(col(TotpFactor.user_id))
    )
    return confirmed.first() is not None


async def spend_step(tx: AsyncSession, *, owner: UUID, step: int) -> bool:
    """Use the code of a step, once; False when it or a later one was used."""
    spent = await tx.exec(
        update(TotpFactor)
        .where(
            col(TotpFactor.user_id) == owner,
            col(TotpFactor.confirmed_at).is_not(None),
            col(TotpFactor.last_step) < step,
        )
        .values(last_step=step)
        .returning(col(TotpFactor.user_id))
    )
    return spent.first() is not None


async def drop_factors(tx: AsyncSession, *, owner: UUID, since: datetime | None = None) -> bool:
    """Forget a user's secret and recovery codes; with `since` only what was confirmed then or later."""
    wanted = [col(TotpFactor.user_id) == owner]
    if since is not None:
        wanted.append(col(TotpFactor.confirmed_at) >= since)
    dropped = (await tx.exec(delete(TotpFactor).where(*wanted).returning(col(TotpFactor.user_id)))).first() is not None
    if dropped:
        await tx.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == owner))
    return dropped


async def replace_recovery_codes(tx: AsyncSession, *, owner: UUID, hashes: Mapping[str, str]) -> None:
    """Keep these codes, hash by label, instead of all earlier ones."""
    await tx.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == owner))
    rows = [{"user_id": owner, "label": label, "hash": hashed} for label, hashed in hashes.items()]
    await tx.exec(insert(RecoveryCode).values(rows))


async def recovery_hash(tx: AsyncSession, *, owner: UUID, label: str) -> str | None:
    """The hash of an unused recovery code."""
    query = select(RecoveryCode.hash).where(
        RecoveryCode.user_id == owner, RecoveryCode.label == label, col(RecoveryCode.used_at).is_(None)
    )
    return (await tx.exec(query)).first()


async def spend_recovery_code(tx: AsyncSession, *, owner: UUID, label: str, hashed: str) -> bool:
    """Use a recovery code, once."""
    spent = await tx.exec(
        update(RecoveryCode)
        .where(
            col(RecoveryCode.user_id) == owner,
            col(RecoveryCode.label) == label,
            col(RecoveryCode.hash) == hashed,
            col(RecoveryCode.used_at).is_(None),
        )
        .values(used_at=func.clock_timestamp())
        .returning(col(RecoveryCode.label))
    )
    return spent.first() is not None


async def lock_codes(tx: AsyncSession, *, owner: UUID) -> None:
    """Let one try of a user's code at a time be counted; freed by the end of the transaction."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('code|' || :owner, 0))")
    await (await tx.connection()).execute(lock, {"owner": str(owner)})


async def code_failures(tx: AsyncSession, *, owner: UUID, within: timedelta) -> tuple[int, datetime | None, datetime]:
    """(how many wrong codes a user had lately, the last of them, the database's clock)."""
    query = select(func.count(), func.max(CodeFailure.failed_at), func.clock_timestamp()).where(
        CodeFailure.user_id == owner, col(CodeFailure.failed_at) > func.clock_timestamp() - within
    )
    count, last, now = (await tx.exec(query)).one()
    return count, last, now


async def add_code_failure(tx: AsyncSession, *, owner: UUID) -> int:
    """Count a try as wrong until it is known to be right."""
    added = await tx.exec(insert(CodeFailure).values(user_id=owner).returning(col(CodeFailure.id)))
    return int(added.scalar_one())


async def drop_code_failure(tx: AsyncSession, failure_id: int) -> None:
    """The try was right."""
    await tx.exec(delete(CodeFailure).where(col(CodeFailure.id) == failure_id))
