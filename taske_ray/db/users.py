"""Rows of accounts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.tables import User

_the_beginning = datetime(1970, 1, 1, tzinfo=UTC)  # the column's own default, -infinity, is no Python datetime


async def add_user(tx: AsyncSession, user: User) -> bool:
    """Insert an account; False if the address is taken. Safe for fifty at once."""
    values = {"not_before": _the_beginning, **user.model_dump(exclude_none=True)}
    added = await tx.exec(
        insert(User).values(**values).on_conflict_do_nothing(index_elements=["email"]).returning(col(User.id))
    )
    return added.first() is not None


async def get_user(tx: AsyncSession, *, owner: UUID) -> User | None:
    """The account with this id."""
    return await tx.get(User, owner)


async def lock_user(tx: AsyncSession, *, owner: UUID) -> User | None:
    """The account as it is now, and nobody changes it before this transaction ends.

    A session is begun and a compromise is declared under this lock, so that no session slips in behind the sweep.
    """
    # key_share: rows that point to the account may be added meanwhile
    query = select(User).where(User.id == owner).with_for_update(key_share=True)
    return (await tx.exec(query.execution_options(populate_existing=True))).first()


async def move_user(tx: AsyncSession, *, owner: UUID, email: str) -> bool:
    """Give the account another, proved address; False when another account has it."""
    values = {"email": email, "verified_at": func.clock_timestamp(), "updated_at": func.clock_timestamp()}
    try:
        async with tx.begin_nested():
            await tx.exec(update(User).where(col(User.id) == owner).values(**values))
    except IntegrityError:
        return False
    return True


async def mark_verified(tx: AsyncSession, *, owner: UUID) -> None:
    """The address was proved: an account that waited for it is active."""
    waiting = case((col(User.status) == "pending", "active"), else_=col(User.status))
    verified = func.coalesce(col(User.verified_at), func.clock_timestamp())
    await tx.exec(update(User).where(col(User.id) == owner).values(status=waiting, verified_at=verified))


async def set_password(tx: AsyncSession, *, owner: UUID, hashed: str) -> None:
    """Another password, just chosen by its owner."""
    values = {"password_hash": hashed, "password_set_at": func.clock_timestamp(), "password_due": False}
    await tx.exec(update(User).where(col(User.id) == owner).values(**values, updated_at=func.clock_timestamp()))


async def mark_compromised(tx: AsyncSession, *, owner: UUID) -> None:
    """The next login needs a second factor."""
    await tx.exec(update(User).where(col(User.id) == owner).values(compromised_at=func.clock_timestamp()))


async def find_user(tx: AsyncSession, email: str) -> User | None:
    """The account with this canonical address."""
    return (await tx.exec(select(User).where(User.email == email))).first()


async def list_users(tx: AsyncSession, *, after: UUID | None, limit: int, containing: str | None) -> Sequence[User]:
    """All accounts, newest first, beginning behind `after`."""
    query = select(User)
    if after is not None:
        query = query.where(col(User.id) < after)
    if containing:
        query = query.where(col(User.email).contains(containing.casefold(), autoescape=True))
    return (await tx.exec(query.order_by(col(User.id).desc()).limit(limit))).all()


async def lock_roles(tx: AsyncSession) -> None:
    """Let one change of roles at a time be decided; freed by the end of the transaction."""
    await (await tx.connection()).execute(text("SELECT pg_advisory_xact_lock(hashtextextended('roles', 0))"))


async def count_admins(tx: AsyncSession) -> int:
    """How many active administrators there are."""
    return (await tx.exec(select(func.count()).where(User.role == "admin", User.status == "active"))).one()


async def suspend_tasks(tx: AsyncSession, *, owner: UUID, suspended: bool) -> None:
    """Pause the triggers of an account that is disabled, or let those go on that paused for that."""
    door = text("SELECT suspend_tasks(:owner, :suspended)")
    await (await tx.connection()).execute(door, {"owner": owner, "suspended": suspended})


async def change_user(tx: AsyncSession, *, owner: UUID, **values: Any) -> User | None:
    """Set these columns and answer the account as it is then."""
    await tx.exec(update(User).where(col(User.id) == owner).values(**values, updated_at=func.clock_timestamp()))
    return (await tx.exec(select(User).where(User.id == owner).execution_options(populate_existing=True))).first()


async def rehash_password(tx: AsyncSession, *, owner: UUID, old: str | None, new: str) -> None:
    """Keep a newer hash of the same password, unless it was changed meanwhile."""
    await tx.exec(update(User).where(col(User.id) == owner, col(User.password_hash) == old).values(password_hash=new))


async def delete_user(tx: AsyncSession, *, owner: UUID) -> None:
    """Remove the account with its keys, connections and tasks: without the keys no copy of a secret opens again."""
    await tx.exec(delete(User).where(col(User.id) == owner))


async def forget_runs(database: Database, *, owner: UUID, most: int) -> int:
    """A batch of the runs that a removed account left behind; how many."""
    rows = await database.fetch(queries.forget_runs, {"gone": owner, "most": most})
    return int(rows[0]["forgotten"])
