"""Rows of the mail outbox: written in the transaction that causes a mail, sent by the mail loop."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db import queries
from taske_ray.db.tables import Mail


async def add_mail(tx: AsyncSession, mail: Mail) -> None:
    """Queue a mail."""
    await tx.exec(insert(Mail).values(**mail.model_dump(exclude_none=True)))


async def lock_mails_to(tx: AsyncSession, *, address: str, purpose: str) -> None:
    """Let one mail of a purpose to an address at a time be counted; freed by the end of the transaction."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('mail|' || :purpose || '|' || :address, 0))")
    await (await tx.connection()).execute(lock, {"purpose": purpose, "address": address})


async def mail_token(tx: AsyncSession, **values: Any) -> None:
    """Mail a token to the account that has an address, if there is one; the same work if there is none."""
    await (await tx.connection()).exec_driver_sql(queries.mail_token, values)


async def mails_to(tx: AsyncSession, *, address: str, purpose: str, within: timedelta) -> int:
    """How many mails of this purpose an address was sent lately."""
    query = select(func.count()).where(
        text("recipients[1] = :address").bindparams(address=address),
        Mail.purpose == purpose,
        col(Mail.created_at) > func.clock_timestamp() - within,
    )
    return (await tx.exec(query)).one()


async def list_mails(tx: AsyncSession, *, limit: int = 100) -> Sequence[Mail]:
    """The newest mails of the outbox, for the operator's `taske mail list`."""
    return (await tx.exec(select(Mail).order_by(col(Mail.id).desc()).limit(limit))).all()
