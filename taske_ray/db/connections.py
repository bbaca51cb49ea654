"""Rows of connections: open fields as they are, secrets sealed. Every read names the owner."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.core.connection import KnownConnection
from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.tables import Connection


@dataclass(frozen=True, slots=True)
class SealedConnection:
    """A connection with its sealed secret and the data key that seals it. `user_id` None: the instance's."""

    id: UUID
    user_id: UUID | None
    module: str
    auth: str
    status: str
    version: int
    config: dict[str, Any]
    sealed: bytes | None
    data_key: UUID | None
    scopes: list[str] | None
    token_at: datetime | None
    refresh_from: datetime | None
    token_expires_at: datetime | None


async def sealed_connections(
    database: Database, wanted: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], SealedConnection]:
    """The one read behind every use of a connection (security, 8.2): for the IntegrationClient that may open them.

    `wanted` are (user, connection): who wants to use which; what a user may not use is not there.
    """
    values = {"user_ids": [user for user, _ in wanted], "ids": [connection for _, connection in wanted]}
    rows = await database.fetch(queries.sealed_connections, values)
    return {(row.pop("asked_by"), row["id"]): SealedConnection(**row) for row in rows}


async def granted_scopes(
    database: Database, uses: Sequence[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], Sequence[str] | None]:
    """What was granted to the connections of these (user, connection), as far as the user may use them."""
    rows = await database.fetch(
        queries.granted_scopes, {"users": [use[0] for use in uses], "ids": [use[1] for use in uses]}
    )
    return {(row["user_id"], row["id"]): row["scopes"] for row in rows}


async def resume_triggers(database: Database, *, owner: UUID, connection_id: UUID) -> None:
    """The connection has a good credential again: its triggers go on."""
    await database.fetch(queries.resume_triggers, {"user_id": owner, "connection_id": connection_id}, owner=owner)


async def resume_instance_triggers(database: Database, *, by: UUID, connection_id: UUID) -> None:
    """The same for a connection of the instance, whoever's the triggers are; `by` is an administrator."""
    await database.fetch("SELECT resume_instance_triggers(%(id)s)", {"id": connection_id}, owner=by)


async def known_connections(database: Database, *, owner: UUID, ids: Iterable[UUID]) -> dict[UUID, KnownConnection]:
    """Of these ids those that the user may use: their own, and the instance's."""
    wanted = list(ids)
    if not wanted:
        return {}
    rows = await database.fetch(queries.known_connections, {"user_id": owner, "ids": wanted}, owner=owner)
    return {row.pop("id"): KnownConnection(**row) for row in rows}


async def add_connection(tx: AsyncSession, connection: Connection) -> Connection:
    """Insert a connection and answer it with what the database filled in."""
    tx.add(connection)
    await tx.flush()
    await tx.refresh(connection)
    return connection


async def add_instance_connection(tx: AsyncSession, connection: Connection) -> bool:
    """Insert a connection of the instance; False if there is one of its scheme already."""
    values = connection.model_dump(exclude_none=True)
    statement = insert(Connection).values(**values).on_conflict_do_nothing(index_elements=["id"])
    return (await tx.exec(statement.returning(col(Connection.id)))).first() is not None


async def get_connection(
    tx: AsyncSession, *, owner: UUID | None, connection_id: UUID, lock: bool = False
) -> Connection | None:
    """One connection of a user, or of the instance (None)."""
    query = select(Connection).where(_of(owner), Connection.id == connection_id)
    return (await tx.exec(query.with_for_update() if lock else query)).first()


async def list_connections(
    tx: AsyncSession, *, owner: UUID | None, after: UUID | None, limit: int, module: str | None = None
) -> Sequence[Connection]:
    """A page of a user's connections, newest first, beginning behind `after`."""
    query = select(Connection).where(_of(owner))
    if after is not None:
        query = query.where(col(Connection.id) < after)
    if module is not None:
        query = query.where(Connection.module == module)
    return (await tx.exec(query.order_by(col(Connection.id).desc()).limit(limit))).all()


async def change_connection(tx: AsyncSession, connection: Connection, **values: Any) -> Connection:
    """Set these columns of a connection that this transaction has read, and answer it as it is then."""
    await tx.exec(
        update(Connection)
        .where(col(Connection.id) == connection.id, _of(connection.user_id))
        .values(**values, updated_at=func.clock_timestamp())
    )
    await tx.refresh(connection)
    return connection


async def mark_tested(tx: AsyncSession, *, owner: UUID | None, connection_id: UUID, label: str | None) -> None:
    """A test request succeeded: the credential works."""
    values: dict[str, Any] = {"tested_at": func.clock_timestamp(), "status": "active", "status_reason": None}
    if label is not None:
        values["label"] = label
    await tx.exec(update(Connection).where(col(Connection.id) == connection_id, _of(owner)).values(**values))


async def delete_connection(tx: AsyncSession, *, owner: UUID | None, connection_id: UUID) -> bool:
    """Destroy a connection with its ciphertext; False if the user has none of this id."""
    gone = await tx.exec(delete(Connection).where(col(Connection.id) == connection_id, _of(owner)))
    return bool(gone.rowcount)


def _of(owner: UUID | None) -> ColumnElement[bool]:
    return col(Connection.user_id).is_(None) if owner is None else col(Connection.user_id) == owner
