"""Rows of failed logins, counted for throttling (security, 2.8).

A login is written down before anybody knows whether it is right: it is `pending` while its hash is computed, then gone
or a failure. One whose process died is a failure after a minute.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import distinct, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import LoginFailure

_settled = or_(~col(LoginFailure.pending), col(LoginFailure.failed_at) < func.clock_timestamp() - timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class RecentFailures:
    """What counts against a login: failures of the account as typed, the last of them, those being looked at.

    `from_address` are failures from the same origin; `now` is the database's clock, which all are counted by.
    """

    of_account: int
    last_at: datetime | None
    pending: int
    from_address: int
    now: datetime


async def lock_logins(tx: AsyncSession, *, email: str) -> None:
    """Let one login of an account at a time be counted; freed by the end of the transaction."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('login|' || :email, 0))")
    await (await tx.connection()).execute(lock, {"email": email})


async def recent_failures(tx: AsyncSession, *, email: str, address: str | None) -> RecentFailures:
    """Failures of an account in 15 minutes, and of an address of origin in an hour."""
    by_email = select(
        func.count().filter(_settled),
        func.max(LoginFailure.failed_at).filter(_settled),
        func.count().filter(~_settled),
        func.clock_timestamp(),
    ).where(LoginFailure.email == email, col(LoginFailure.failed_at) > func.clock_timestamp() - timedelta(minutes=15))
    by_address = select(func.count()).where(
        LoginFailure.address == address,
        col(LoginFailure.failed_at) > func.clock_timestamp() - timedelta(hours=1),
        _settled,
    )
    count, last, pending, now = (await tx.exec(by_email)).one()
    return RecentFailures(count, last, pending, (await tx.exec(by_address)).one() if address else 0, now)


async def begin_login(tx: AsyncSession, *, email: str, address: str | None, password_tag: bytes) -> int:
    """Write a login down while it is looked at."""
    row = insert(LoginFailure).values(email=email, address=address, password_tag=password_tag, pending=True)
    return int((await tx.exec(row.returning(col(LoginFailure.id)))).scalar_one())


async def login_failed(tx: AsyncSession, login_id: int) -> None:
    """The login was wrong."""
    await tx.exec(
        update(LoginFailure)
        .where(col(LoginFailure.id) == login_id)
        .values(pending=False, failed_at=func.clock_timestamp())
    )


async def lock_password(tx: AsyncSession, *, password_tag: bytes) -> None:
    """Let the failures of one password be counted one by one; freed by the end of the transaction."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('password|' || encode(:tag, 'hex'), 0))")
    await (await tx.connection()).execute(lock, {"tag": password_tag})


async def accounts_tried_with(tx: AsyncSession, *, password_tag: bytes, within: timedelta) -> int:
    """With how many addresses one password has failed lately; what is looked at yet has not."""
    query = select(func.count(distinct(col(LoginFailure.email)))).where(
        LoginFailure.password_tag == password_tag,
        col(LoginFailure.failed_at) > func.clock_timestamp() - within,
        _settled,
    )
    return (await tx.exec(query)).one()


async def forgive_logins(tx: AsyncSession, *, email: str, login_id: int | None = None) -> None:
    """The owner got in, by this login or a reset: what was counted against the account is forgotten."""
    await tx.exec(
        delete(LoginFailure).where(
            col(LoginFailure.email) == email, or_(col(LoginFailure.id) == login_id, ~col(LoginFailure.pending))
        )
    )
