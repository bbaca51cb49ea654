"""Rows of failed logins, counted for throttling (security, 2.8).

A try is counted before anybody knows whether it is right and taken back when it was, so that many at once are counted.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import distinct, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import LoginFailure


@dataclass(frozen=True, slots=True)
class RecentFailures:
    """What counts against a login: failures of the account as typed, the last of them, those from the same origin.

    `now` is the database's clock, which they are counted by.
    """

    of_account: int
    last_at: datetime | None
    from_address: int
    now: datetime


async def lock_logins(tx: AsyncSession, *, email: str) -> None:
    """Let one login of an account at a time be counted; freed by the end of the transaction."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('login|' || :email, 0))")
    await (await tx.connection()).execute(lock, {"email": email})


async def recent_failures(tx: AsyncSession, *, email: str, address: str | None) -> RecentFailures:
    """Failures of an account in 15 minutes, and of an address of origin in an hour."""
    by_email = select(func.count(), func.max(LoginFailure.failed_at), func.clock_timestamp()).where(
        LoginFailure.email == email, col(LoginFailure.failed_at) > func.clock_timestamp() - timedelta(minutes=15)
    )
    by_address = select(func.count()).where(
        LoginFailure.address == address, col(LoginFailure.failed_at) > func.clock_timestamp() - timedelta(hours=1)
    )
    count, last, now = (await tx.exec(by_email)).one()
    return RecentFailures(count, last, (await tx.exec(by_address)).one() if address else 0, now)


async def add_login_failure(tx: AsyncSession, *, email: str, address: str | None, password_tag: bytes) -> int:
    """Count a login as failed until it is known to be right."""
    row = insert(LoginFailure).values(email=email, address=address, password_tag=password_tag)
    return int((await tx.exec(row.returning(col(LoginFailure.id)))).scalar_one())


async def accounts_tried_with(tx: AsyncSession, *, password_tag: bytes, within: timedelta) -> int:
    """With how many addresses one password has failed lately."""
    query = select(func.count(distinct(col(LoginFailure.email)))).where(
        LoginFailure.password_tag == password_tag, col(LoginFailure.failed_at) > func.clock_timestamp() - within
    )
    return (await tx.exec(query)).one()


async def drop_login_failures(tx: AsyncSession, *, email: str) -> None:
    """The owner got in: what was counted against the account is forgotten."""
    await tx.exec(delete(LoginFailure).where(col(LoginFailure.email) == email))
